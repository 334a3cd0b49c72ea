"""`GET /v1/admin/campaigns/{id}/report` on what real merges have counted."""

import csv
import io
import json
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from api.admin.reports.report import _DAYS, _FREQUENCY, _NEWCOMERS, _NO_SHOWS
from buffer.contract import (
    KIND_CLICK,
    KIND_CONVERT,
    KIND_DISMISS,
    KIND_GHOST,
    KIND_GHOST_CONVERT,
    KIND_SERVED,
)
from maintenance.merge import merge_once
from tayang.report import print_report
from tests.integration.admin_support import (  # noqa: F401  (the fixtures are used by name)
    CAMPAIGNS,
    Client,
    admin_client_fixture,
    connection_fixture,
    created,
    problem,
)
from tests.support.buffered import NOON, Event, buffer
from tests.support.database import Database
from tests.support.plans import explain

YESTERDAY, TODAY = [(NOON - timedelta(days=days)).date() for days in (1, 0)]


class Campaign:
    """Its events are merged at once; all of them are of one process."""

    def __init__(self, connection: asyncpg.Connection, number: int) -> None:
        self.id = number
        self._connection = connection
        self._seq = 0

    async def happened(self, *events: Event) -> None:
        mine = [event.as_(campaign_id=self.id) for event in events]
        await buffer(self._connection, mine, first_seq=self._seq + 1, instance=self.id)
        self._seq += len(mine)
        await merge_once(self._connection, NOON)


@pytest.fixture(name="sale")
async def sale_fixture(admin_client: Client, connection: asyncpg.Connection) -> Campaign:
    variants: list[dict[str, Any]] = [{"key": key, "weight": 1, "content": {}} for key in ("a", "b")]
    document = await created(admin_client, variants=variants)
    # Else the report would begin today.
    await connection.execute("UPDATE campaigns SET created_at = $1", NOON - timedelta(days=1))
    return Campaign(connection, document["id"])


async def report(client: Client, **query: str) -> dict[str, Any]:
    async with client.get(f"{CAMPAIGNS}/sale/report", params=query) as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "application/json"
        document: dict[str, Any] = await response.json()
        return document


async def table(client: Client, **query: str) -> list[dict[str, str]]:
    query = {"format": "csv", **query}
    async with client.get(f"{CAMPAIGNS}/sale/report", params=query) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
        return list(csv.DictReader(io.StringIO(await response.text(), newline="")))


def before(**changes: object) -> Event:
    return Event(occurred_at=NOON - timedelta(days=1)).as_(**changes)


async def happened(sale: Campaign) -> None:
    await sale.happened(before(), before(user_id="budi", variant="b"))
    await sale.happened(
        Event(), Event("citra"), Event("citra", late=True), Event(kind=KIND_CLICK),
        Event(kind=KIND_CLICK, late=True), Event("citra", kind=KIND_DISMISS),
        Event("budi", variant="b", kind=KIND_CONVERT),
    )  # fmt: skip


async def test_what_was_counted(admin_client: Client, sale: Campaign) -> None:
    await happened(sale)
    document = await report(admin_client)
    assert (document["campaign"], document["name"], document["timezone"]) == ("sale", "Sale", "UTC")
    assert (document["from"], document["to"]) == (str(YESTERDAY), str(TODAY))
    assert document["as_of"] == NOON.isoformat().replace("+00:00", "Z")
    assert document["total"] == {
        "impressions": 5, "late_impressions": 1, "clicks": 2, "dismissals": 1, "conversions": 1,
        "late_events": 2, "new_users": 3, "new_clickers": 1, "new_dismissers": 1,
        "new_converters": 1, "ctr": 0.4,
    }  # fmt: skip
    assert document["reach"] == 3
    assert document["frequency"] == [{"times": 1, "users": 1}, {"times": 2, "users": 2}]
    assert [(day["day"], day["impressions"], day["new_users"]) for day in document["days"]] == [
        (str(YESTERDAY), 2, 2),
        (str(TODAY), 3, 1),
    ]
    assert [(each["variant"], each["ctr"]) for each in document["days"][0]["variants"]] == [
        ("a", 0),
        ("b", 0),
    ]
    assert [each["variant"] for each in document["days"][1]["variants"]] == ["a", "b"]
    assert document["days"][1]["variants"][1]["ctr"] is None
    by_variant = [
        (each["variant"], each["impressions"], each["conversions"]) for each in document["variants"]
    ]
    assert by_variant == [("a", 4, 0), ("b", 1, 1)]
    assert document["no_shows"] == []


async def test_days_are_chosen_and_reach_is_not(admin_client: Client, sale: Campaign) -> None:
    await happened(sale)
    await sale.happened(before(occurred_at=NOON - timedelta(days=2)))
    document = await report(admin_client, **{"from": str(TODAY)})
    assert (document["total"]["impressions"], document["total"]["new_users"]) == (3, 1)
    assert [day["day"] for day in document["days"]] == [str(TODAY)]
    assert document["reach"] == 3
    document = await report(admin_client, to=str(YESTERDAY))
    assert (document["total"]["impressions"], document["from"]) == (2, str(YESTERDAY))
    long_ago = await report(admin_client, **{"from": "2020-01-01", "to": "2020-12-31"})
    assert (long_ago["total"]["impressions"], long_ago["total"]["ctr"], long_ago["days"]) == (0, None, [])


async def test_other_campaigns_are_not_in_it(admin_client: Client, sale: Campaign) -> None:
    await happened(sale)
    expected = await report(admin_client)
    await Campaign(sale._connection, sale.id + 1).happened(Event(), Event("dewi"))
    assert await report(admin_client) == expected


async def experiment(sale: Campaign) -> None:
    """60 of each variant are shown, of whom 30 and 12 convert; 50 are held out, of whom 10 do."""
    for variant, converted in (("a", 30), ("b", 12)):
        users = [f"{variant}{n}" for n in range(60)]
        await sale.happened(*(Event(user, kind=KIND_SERVED, variant=variant) for user in users))
        # Ten close the app before it is on the screen.
        await sale.happened(*(Event(user, variant=variant) for user in users[10:]))
        await sale.happened(
            *(Event(user, kind=KIND_CONVERT, variant=variant) for user in users[-converted:] * 2)
        )
    ghosts = [f"g{n}" for n in range(50)]
    await sale.happened(*(Event(user, kind=KIND_GHOST) for user in ghosts * 2))
    await sale.happened(*(Event(user, kind=KIND_GHOST_CONVERT) for user in ghosts[:10] * 2))


async def test_lift(admin_client: Client, sale: Campaign) -> None:
    assert (await report(admin_client))["lift"]["problem"] == "no_holdout"
    await experiment(sale)
    document = await report(admin_client)
    lift = document["lift"]
    assert (lift["problem"], lift["confidence"]) == (None, 0.95)
    assert lift["shown"] == {"users": 120, "converted": 42, "rate": 0.35}
    assert lift["held_out"] == {"users": 50, "converted": 10, "rate": 0.2}
    # By hand: Wilson's limits of 42/120 are 0.2706 and 0.4388, those of 10/50 are 0.1124 and 0.3304.
    assert lift["difference"]["value"] == pytest.approx(0.15)
    assert lift["difference"]["low"] == pytest.approx(0.15 - (0.0794**2 + 0.1304**2) ** 0.5, abs=0.001)
    assert lift["difference"]["high"] == pytest.approx(0.15 + (0.0888**2 + 0.0876**2) ** 0.5, abs=0.001)
    assert lift["relative"]["value"] == pytest.approx(0.75)
    assert lift["relative"]["low"] < 0 < lift["relative"]["high"]
    first, second = document["variants"]
    assert first["lift"]["relative"]["value"] == pytest.approx(1.5)
    assert first["lift"]["relative"]["low"] > 0, "the first variant is proven to work"
    assert second["lift"]["relative"]["value"] == pytest.approx(0)
    assert second["lift"]["held_out"]["users"] == 50


async def test_lift_is_that_of_all_days_until_the_last(admin_client: Client, sale: Campaign) -> None:
    await sale.happened(*(before(user_id=f"u{n}", kind=KIND_SERVED) for n in range(40)))
    await sale.happened(*(Event(f"u{n}", kind=KIND_CONVERT) for n in range(20)))
    document = await report(admin_client, **{"from": str(TODAY)})
    assert document["lift"]["shown"] == {"users": 40, "converted": 20, "rate": 0.5}
    document = await report(admin_client, to=str(YESTERDAY))
    assert document["lift"]["shown"] == {"users": 40, "converted": 0, "rate": 0}


async def test_as_csv(admin_client: Client, sale: Campaign) -> None:
    await happened(sale)
    await sale._connection.execute(
        "INSERT INTO campaign_no_shows VALUES ($1, $2, 'capped', 7)", TODAY, sale.id
    )
    days = await table(admin_client)
    assert [(row["day"], row["variant"], row["impressions"], row["ctr"]) for row in days] == [
        (str(YESTERDAY), "a", "1", "0.0"),
        (str(YESTERDAY), "b", "1", "0.0"),
        (str(TODAY), "a", "3", str(2 / 3)),
        (str(TODAY), "b", "0", ""),
    ]
    assert await table(admin_client, table="frequency") == [
        {"times": "1", "users": "1"},
        {"times": "2", "users": "2"},
    ]
    assert await table(admin_client, table="no_shows") == [{"reason": "capped", "requests": "7"}]
    last = (await table(admin_client, table="variants"))[-1]
    assert (last["impressions"], last["problem"], last["relative_value"]) == ("5", "no_holdout", "")


async def test_lift_as_csv(admin_client: Client, sale: Campaign) -> None:
    await experiment(sale)
    variants = await table(admin_client, table="variants")
    groups = [(row["variant"], row["shown"], row["shown_converted"], row["held_out"]) for row in variants]
    assert groups == [("a", "60", "30", "50"), ("b", "60", "12", "50"), ("(all)", "120", "42", "50")]
    document = await report(admin_client)
    for row, lift in zip(
        variants, [*(each["lift"] for each in document["variants"]), document["lift"]], strict=True
    ):
        assert row["problem"] == ""
        for name in ("difference", "relative"):
            estimate = {part: float(row[f"{name}_{part}"]) for part in ("value", "low", "high")}
            assert estimate == lift[name]


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("text/csv", "text/csv"),
        ("text/csv, application/json;q=0.9", "text/csv"),
        ("text/csv;q=0.5, application/json", "application/json"),
        ("text/csv;q=much", "application/json"),
        ("*/*", "application/json"),
        ("image/png", "application/json"),
    ],
)
async def test_the_client_says_what_it_wants(
    admin_client: Client,
    sale: Campaign,
    accept: str,
    media_type: str,
) -> None:
    url = f"{CAMPAIGNS}/{sale.id}/report"
    async with admin_client.get(url, headers={"Accept": accept}) as response:
        assert response.content_type == media_type
        assert response.headers["Vary"].split(", ")[0] == "Accept"
    async with admin_client.get(f"{url}?format=json", headers={"Accept": accept}) as response:
        assert response.content_type == "application/json"


@pytest.mark.parametrize(
    "query",
    [
        {"from": "yesterday"},
        {"from": "2026-11-02", "to": "2026-11-01"},
        {"from": "2025-11-01", "to": "2026-11-02"},
        {"to": "9999-12-31"},
        {"format": "xml"},
        {"format": "csv", "table": "users"},
    ],
)
async def test_what_is_wrong_is_refused(admin_client: Client, sale: Campaign, query: dict[str, str]) -> None:
    async with admin_client.get(f"{CAMPAIGNS}/{sale.id}/report", params=query) as response:
        await problem(response, 400, "bad_parameter")


async def test_a_campaign_that_is_not_there(admin_client: Client) -> None:
    async with admin_client.get(f"{CAMPAIGNS}/nothing/report") as response:
        await problem(response, 404, "not_found")


async def test_nothing_but_the_campaigns_own_rows_is_read(connection: asyncpg.Connection) -> None:
    """Of 200 campaigns' counts, and no log or users' counts at all."""
    await connection.execute(
        "INSERT INTO campaign_daily_counts (day, campaign_id, variant, kind, events, new_users)"
        " SELECT $1::date - d, c, v, k, 1, 1 FROM generate_series(0, 9) d, generate_series(1, 200) c,"
        " unnest(ARRAY['a', 'b']) v, generate_series(1, 7) k",
        TODAY,
    )
    await connection.execute(
        "INSERT INTO campaign_frequency (campaign_id, times, users)"
        " SELECT c, t, 1 FROM generate_series(1, 200) c, generate_series(1, 64) t"
    )
    await connection.execute(
        "INSERT INTO campaign_no_shows SELECT $1::date - d, c, r, 1 FROM generate_series(0, 9) d,"
        " generate_series(1, 200) c, unnest(ARRAY['capped', 'paced']) r",
        TODAY,
    )
    await connection.execute("ANALYZE campaign_daily_counts, campaign_frequency, campaign_no_shows")
    days = (TODAY - timedelta(days=9), TODAY)
    for statement, arguments, most in (
        (_DAYS, (7, *days), 10 * 14),
        (_NEWCOMERS, (7, *days), 10 * 14),
        (_FREQUENCY, (7,), 64),
        (_NO_SHOWS, (7, *days), 10 * 2),
    ):
        nodes = await explain(connection, statement, *arguments)
        read = {node.table for node in nodes if node.loops}
        assert len(read) == 1, read
        assert 0 < sum(node.rows_read for node in nodes) <= most


async def test_the_command(
    database: Database,
    admin_client: Client,
    sale: Campaign,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await happened(sale)
    await experiment(sale)
    await sale._connection.execute(
        "INSERT INTO campaign_no_shows VALUES ($1, $2, 'capped', 7)", TODAY, sale.id
    )
    dsn = database.primary_dsn
    assert await print_report(dsn, "sale", None, TODAY, as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == await report(admin_client, to=str(TODAY))
    assert await print_report(dsn, str(sale.id), None, TODAY, as_json=False) == 0
    shown = capsys.readouterr().out
    for text in (
        "105 impressions (1 late)",
        "103 users have ever seen it",
        str(YESTERDAY),
        "capped",
        "held out: 10 of 50",
    ):
        assert text in shown
    assert shown.count("█") > 40


async def test_a_year_is_drawn_by_weeks(
    database: Database, sale: Campaign, capsys: pytest.CaptureFixture[str]
) -> None:
    await sale._connection.execute(
        "CREATE TABLE year PARTITION OF campaign_daily_counts FOR VALUES FROM (MINVALUE) TO ('2025-01-01')"
    )
    await sale._connection.execute(
        "INSERT INTO campaign_daily_counts (day, campaign_id, variant, kind, events, new_users)"
        " SELECT DATE '2024-01-01' + d, $1, 'a', 1, 1000, 0 FROM generate_series(0, 69) d", sale.id
    )  # fmt: skip
    first, last = [TODAY.replace(year=2024, month=month, day=1) for month in (1, 12)]
    assert await print_report(database.primary_dsn, "sale", first, last, as_json=False) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "week of" in line]
    assert len(lines) == 10
    assert all("7,000" in line for line in lines)


@pytest.mark.usefixtures("sale")
async def test_the_command_says_what_is_wrong(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    for key, days, said in (
        ("nothing", (None, None), "no campaign has this id or key"),
        ("sale", (TODAY, YESTERDAY), "to must not be before from"),
    ):
        assert await print_report(database.primary_dsn, key, *days, as_json=False) == 2
        assert said in capsys.readouterr().err
    assert await print_report("postgresql://127.0.0.1:1/none", "sale", None, None, as_json=False) == 1
    assert "the primary database failed" in capsys.readouterr().err
