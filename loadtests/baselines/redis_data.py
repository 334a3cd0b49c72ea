"""What Redis holds, from Tayang's data: campaigns, lists, and counters as if it had counted all along."""

import json
import math
import time
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Final

import psycopg
import redis

from loadtests.baselines.answers import popup
from loadtests.baselines.redis_campaigns import CAMPAIGNS_KEY, counter, window_seconds

_BATCH: Final = 5_000
_TIMEOUT_SECONDS: Final = 60.0

Caps = Sequence[tuple[int, int | None]]


def fill(primary: psycopg.Connection[Any], url: str) -> None:
    """Of the live campaigns, lists and counts that are in Tayang's primary now."""
    rows = primary.execute(
        "SELECT id, key, placement, priority, audience = 'listed', variants -> 0 -> 'content', caps,"
        " extract(epoch FROM starts_at)::float8, extract(epoch FROM ends_at)::float8"
        " FROM campaigns WHERE status = 'live'"
    ).fetchall()
    campaigns = [_campaign(row) for row in rows]
    with redis.Redis.from_url(url, socket_timeout=_TIMEOUT_SECONDS) as client:
        client.set(CAMPAIGNS_KEY, json.dumps(campaigns))
        _lists(primary, client)
        _counters(primary, client, {each["id"]: each["caps"] for each in campaigns})


def _campaign(row: Sequence[Any]) -> dict[str, Any]:
    campaign_id, key, placement, priority, listed, content, caps, starts_at, ends_at = row
    return {
        "id": campaign_id,
        "placement": placement,
        "priority": priority,
        "listed": listed,
        "popup": popup(campaign_id, key, placement, priority, content),
        "caps": [(cap["limit"], window_seconds(cap["window"])) for cap in caps],
        "starts_at": starts_at or 0.0,
        "ends_at": ends_at or math.inf,
    }


def _lists(primary: psycopg.Connection[Any], client: "redis.Redis") -> None:
    with primary.transaction(), primary.cursor("lists") as cursor:
        cursor.itersize = _BATCH
        cursor.execute("SELECT user_id, campaign_id FROM audience_members")
        for rows in _batches(cursor):
            pipeline = client.pipeline(transaction=False)
            for user, campaign_id in rows:
                pipeline.sadd(f"t:{user}", campaign_id)
            pipeline.execute()


def _counters(primary: psycopg.Connection[Any], client: "redis.Redis", caps: dict[int, Caps]) -> None:
    """A window that began with its oldest impression within reach ends its length after that."""
    now = time.time()
    with primary.transaction(), primary.cursor("counters") as cursor:
        cursor.itersize = _BATCH
        cursor.execute(
            "SELECT user_id, campaign_id, total,"
            " ARRAY(SELECT extract(epoch FROM at)::float8 FROM unnest(recent) AS r (at))"
            " FROM user_campaign_counts WHERE campaign_id > 0"
        )
        for rows in _batches(cursor):
            pipeline = client.pipeline(transaction=False)
            for user, campaign_id, total, recent in rows:
                for _, seconds in caps.get(campaign_id, ()):
                    key = counter(user, campaign_id, seconds)
                    if seconds is None:
                        pipeline.set(key, total)
                    elif inside := [at for at in recent if at > now - seconds]:
                        pipeline.set(key, len(inside), exat=math.ceil(min(inside) + seconds))
            pipeline.execute()


def _batches(cursor: Iterable[Any]) -> Iterable[list[Any]]:
    rows = iter(cursor)
    while batch := list(islice(rows, _BATCH)):
        yield batch
