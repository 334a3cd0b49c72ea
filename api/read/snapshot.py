"""The statements of the read path, and their answers in the form in which the engine takes them."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from asyncpg import Record
from pydantic import ValidationError
from pydantic_core import from_json

from api.campaigns.catalog import Stored
from api.campaigns.history import History
from api.campaigns.live import LiveCampaign
from api.campaigns.model import Campaign
from api.campaigns.policy import Policy, no_policy
from api.read.stored import StoredHistory

log = logging.getLogger("tayang.read")

_SQL: Final = Path(__file__).parent / "sql"
SNAPSHOT: Final = (_SQL / "snapshot.sql").read_text()
_MANY: Final = "unnest(ARRAY[NULL]::text[] || $2::text[]) WITH ORDINALITY AS u (user_id, place)"
assert _MANY in SNAPSHOT
#: The same for one user, $2 text, in one row: a quarter of what the other costs is making a plan of sixteen
#: partitions ready to run; of these only two are left when the user is a parameter (docs/decisions/0042).
SNAPSHOT_OF_ONE: Final = SNAPSHOT.replace(_MANY, "(SELECT $2::text AS user_id, 1 AS place) AS u")
CATALOG: Final = (_SQL / "catalog.sql").read_text()
PRIMARY_POSITION: Final = (_SQL / "primary_position.sql").read_text()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state of the database, as one server showed it."""

    server: str
    version: int  # of the catalog
    tick: int
    merged_at: datetime
    active_buffer: int
    watermark: int  # of this instance: its events up to here are in the counts
    peer_watermarks: Mapping[int, int]  # the same of the other instances that were asked for
    replayed: int | None  # log position; None on a primary
    rows: Sequence[Record]  # the first one is not a user's

    def history(self, index: int) -> History:
        """Of the index-th user asked for."""
        row = self.rows[index + 1]
        counts = row["counts"]
        return History({}, row["listed"]) if counts is None else StoredHistory(counts, row["listed"])


def snapshot_of(server: str, rows: Sequence[Record], peers: Sequence[int]) -> Snapshot:
    first = rows[0]
    return Snapshot(
        server,
        first["version"],
        first["tick"],
        first["merged_at"],
        first["active_buffer"],
        first["watermark"],
        dict(zip(peers, first["peer_watermarks"], strict=True)),
        first["replayed"],
        rows,
    )


def stored_catalog(row: Record, changed: Sequence[LiveCampaign]) -> Stored:
    """The answer to `catalog.sql`, its documents compiled."""
    return Stored(
        version=row["version"],
        live=row["live"],
        changed=changed,
        hard_budget_ids=row["hard_budget_ids"],
        policy=_policy(row["policy"]),
        tags={int(each): tags for each, tags in from_json(row["tags"] or "{}").items()},
        uncounted=row["uncounted"],
        exempt=row["exempt"],
        test_users=row["test_users"],
    )


def campaigns_of(documents: Sequence[str]) -> list[Campaign]:
    """One that is not valid (edited by hand) hides no other."""
    campaigns = []
    for document in documents:
        try:
            campaigns.append(Campaign.model_validate_json(document))
        except ValidationError as error:
            log.error("a stored campaign is not valid and is not shown: %s", error)  # noqa: TRY400  (no trace)
    return campaigns


def _policy(document: str | None) -> Policy:
    if document is None:
        return no_policy()
    try:
        return Policy.model_validate_json(document)
    except ValidationError as error:
        log.error("the stored policy is not valid, and nothing of it holds: %s", error)  # noqa: TRY400
        return no_policy()
