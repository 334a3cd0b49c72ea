"""Migrations: up, down and up again give the same database; one runs at a time; nobody waits for ever."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from maintenance import migrate as migrate_module
from maintenance.duty import MERGE_LOCK, MIGRATION_DUTY, MaintenanceError
from maintenance.migrate import migrate
from maintenance.schema import check_schema, newest_revision
from tests.support.database import Database
from tests.support.waiting import until

SQL = Path(migrate_module.__file__).parent / "migrations" / "sql"

_SCHEMA = """
SELECT 'relation' AS what, c.relname AS name, concat_ws(' ', c.relkind, c.relpersistence, c.reloptions,
    pg_get_partkeydef(c.oid), pg_get_expr(c.relpartbound, c.oid), pg_get_viewdef(c.oid)) AS definition
FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S')
UNION ALL
SELECT 'column', a.attrelid::regclass::text, concat_ws(' ', a.attnum, a.attname,
    format_type(a.atttypid, a.atttypmod), a.attstattarget = 0, a.attnotnull, a.attidentity,
    a.attcollation::regcollation, pg_get_expr(d.adbin, d.adrelid))
FROM pg_attribute AS a
INNER JOIN pg_class AS c ON c.oid = a.attrelid
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND a.attnum > 0
    AND NOT a.attisdropped
UNION ALL
SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL
SELECT 'constraint', conrelid::regclass::text, conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT 'trigger', tgrelid::regclass::text, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL
SELECT 'function', proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace
ORDER BY 1, 2, 3
"""


async def schema(connection: asyncpg.Connection) -> list[tuple[str, str, str]]:
    return [tuple(row) for row in await connection.fetch(_SCHEMA)]


async def run(database: Database, revision: str = "head") -> str:
    return await asyncio.to_thread(migrate, database.primary_dsn, revision=revision)


async def test_up_down_up(empty_database: Database) -> None:
    primary = await empty_database.primary()
    assert await schema(primary) == []

    assert await run(empty_database) == newest_revision()
    up = await schema(primary)
    assert len(up) > 100
    assert await run(empty_database, "base") == "base"
    down = await schema(primary)
    assert {name for _, name, _ in down} == {"alembic_version", "alembic_version_pkc"}, (
        "nothing is left of ours"
    )
    assert await run(empty_database) == newest_revision()
    assert await schema(primary) == up


async def test_counts_have_statistics_of_their_key_only(database: Database) -> None:
    """All queries are by the primary key, and ANALYZE of the rest took four fifths of its CPU."""
    rows = await (await database.primary()).fetch(
        """
        SELECT a.attrelid::regclass::text AS counts, array_agg(a.attname::text ORDER BY a.attnum) AS analyzed
        FROM pg_attribute AS a
        WHERE a.attrelid::regclass::text LIKE 'user\\_campaign\\_counts%' AND a.attnum > 0
            AND NOT a.attisdropped AND a.attstattarget IS DISTINCT FROM 0
        GROUP BY 1
        """
    )
    tables = [row for row in rows if not row["counts"].endswith("_pkey")]
    assert len(tables) == 9, "the table and its partitions"
    assert {tuple(row["analyzed"]) for row in tables} == {("user_id", "campaign_id")}


async def test_migrating_again_changes_nothing(database: Database) -> None:
    primary = await database.primary()
    await primary.execute("INSERT INTO audience_members VALUES ('ani', 1)")
    before = await schema(primary)
    assert await run(database) == newest_revision()
    assert await schema(primary) == before
    assert await primary.fetchval("SELECT count(*) FROM audience_members") == 1


async def test_two_at_once_take_turns(empty_database: Database) -> None:
    assert await asyncio.gather(*(run(empty_database) for _ in range(3))) == [newest_revision()] * 3


async def test_a_migration_waits_for_one_that_is_under_way(empty_database: Database) -> None:
    primary = await empty_database.primary()
    await primary.execute("SELECT pg_advisory_lock($1)", MIGRATION_DUTY)
    task = asyncio.create_task(run(empty_database))

    async def waiting() -> bool:
        statement = (
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'tayang migrate' AND wait_event_type = 'Lock')"
        )
        return bool(await primary.fetchval(statement))

    await until(waiting, "the migration waits")
    assert await schema(primary) == []
    await primary.execute("SELECT pg_advisory_unlock($1)", MIGRATION_DUTY)
    assert await task == newest_revision()


async def test_a_migration_gives_up_rather_than_wait_for_ever(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate_module, "_LOCK_TIMEOUT", "50ms")
    primary = await empty_database.primary()
    await primary.execute("SELECT pg_advisory_lock($1)", MIGRATION_DUTY)
    with pytest.raises(MaintenanceError, match=r"cannot migrate: .*lock timeout"):
        await run(empty_database)
    assert await schema(primary) == []


async def test_a_migration_that_fails_leaves_nothing_half_done(empty_database: Database) -> None:
    """Its last statements fail: a table of that name is there already."""
    primary = await empty_database.primary()
    await primary.execute("CREATE TABLE impression_quarantine (mine text)")
    before = await schema(primary)
    with pytest.raises(MaintenanceError, match=r"cannot migrate: .*impression_quarantine.* already exists"):
        await run(empty_database)
    after = [row for row in await schema(primary) if "alembic_version" not in row[1]]
    assert after == before


async def test_a_table_in_use_makes_a_migration_give_up(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting for its lock, it would hold up every query behind it."""
    monkeypatch.setattr(migrate_module, "_LOCK_TIMEOUT", "50ms")
    primary = await database.primary()
    before = await schema(primary)
    async with primary.transaction():
        # Some table of each migration: one that has gone through before the first that can't is done.
        tables = await primary.fetch(
            "SELECT oid::regclass::text AS name FROM pg_class WHERE relkind IN ('r', 'p')"
            " AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'"
        )
        await primary.execute(f"LOCK TABLE {', '.join(row['name'] for row in tables)} IN ACCESS SHARE MODE")
        with pytest.raises(MaintenanceError, match=r"cannot migrate: .*lock timeout"):
            await run(database, "base")
    assert await run(database) == newest_revision()  # later ones, which don't touch it, were undone before
    assert await schema(primary) == before


async def test_what_was_counted_before_there_were_reports_is_in_them(empty_database: Database) -> None:
    await run(empty_database, "0003_engine")
    primary = await empty_database.primary()
    await primary.execute(
        "INSERT INTO user_campaign_counts"
        " (user_id, campaign_id, total, clicks, dismissals, conversions, recent)"
        " SELECT 'u' || n, c, t, 0, 0, 0, '{}' FROM (VALUES (1, 1, 1), (2, 1, 1), (3, 1, 63), (4, 1, 64),"
        " (5, 1, 900), (6, 1, 0), (7, -1, 2), (8, 2, 3)) AS seen (n, c, t)"
    )
    await run(empty_database)
    rows = await primary.fetch(
        "SELECT campaign_id, times, sum(users) FROM campaign_frequency GROUP BY 1, 2 ORDER BY 1, 2"
    )
    assert [tuple(row) for row in rows] == [(1, 1, 2), (1, 63, 1), (1, 64, 2), (2, 3, 1)]


async def test_going_back_adds_the_stripes_up(empty_database: Database) -> None:
    await run(empty_database)
    primary = await empty_database.primary()
    await primary.execute(
        "INSERT INTO campaign_frequency (campaign_id, times, stripe, users)"
        " VALUES (1, 2, 0, 5), (1, 2, 63, -2)"
    )
    await primary.execute("CREATE TABLE days PARTITION OF campaign_daily_counts DEFAULT")
    await primary.execute(
        "INSERT INTO campaign_daily_counts (day, campaign_id, variant, kind, stripe, events, new_users,"
        " late_events)"
        " VALUES ('2026-01-01', 1, 'a', 1, 0, 5, 1, 0), ('2026-01-01', 1, 'a', 1, 63, 2, 1, 1)"
    )
    async with primary.transaction():
        await primary.execute((SQL / "0009_stripes.down.sql").read_text())
    frequency = await primary.fetch("SELECT campaign_id, times, users FROM campaign_frequency")
    assert [tuple(row) for row in frequency] == [(1, 2, 3)]
    days = await primary.fetch(
        "SELECT campaign_id, events, new_users, late_events FROM campaign_daily_counts"
    )
    assert [tuple(row) for row in days] == [(1, 7, 2, 1)]


async def test_the_backfill_waits_for_a_merge(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what that one commits would be in no row."""
    await run(empty_database, "0003_engine")
    monkeypatch.setattr(migrate_module, "_LOCK_TIMEOUT", "50ms")
    primary = await empty_database.primary()
    async with primary.transaction():
        await primary.execute("SELECT pg_advisory_xact_lock($1)", MERGE_LOCK)
        with pytest.raises(MaintenanceError, match=r"cannot migrate: .*lock timeout"):
            await run(empty_database)


async def test_check_schema(database: Database, empty_database: Database) -> None:
    await check_schema(await database.primary())
    with pytest.raises(MaintenanceError, match=r"is at nothing, .* run 'tayang migrate'"):
        await check_schema(await empty_database.primary())
    await run(database, "base")
    with pytest.raises(MaintenanceError, match="run 'tayang migrate'"):
        await check_schema(await database.primary())


async def test_an_unreachable_server_is_one_clear_error() -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/nothing"
    with pytest.raises(MaintenanceError, match="cannot migrate"):
        await asyncio.to_thread(migrate, nowhere)
