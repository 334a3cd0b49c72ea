"""The hot statements read what they must and no more: bounds on rows, not on time."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest

from api.database import primary_reader_connection
from api.read.snapshot import SNAPSHOT, SNAPSHOT_OF_ONE
from buffer.contract import KIND_SERVED
from buffer.primary import Primary
from maintenance.duty import statement
from maintenance.merge import rotate
from maintenance.partitions import bounds
from tayang.embedded import EmbeddedCluster
from tests.support.buffered import NOON, Event, buffer, impression_id
from tests.support.database import Database, new_database
from tests.support.plans import EXPLAIN, Node, explain, scans

USERS = 20_000
CAMPAIGNS = 10
LISTS_OF_A_USER = 2
PARTITIONS = 8
BUFFERED = 1_000
ONE_USERS_TABLES = ("user_campaign_counts", "audience_members")
BIG_TABLES = (*ONE_USERS_TABLES, "impressions")

_FILL = (
    f"""
    INSERT INTO user_campaign_counts
    SELECT 'user ' || u, c, 2, 0, 0, 0, ARRAY[now(), now() - interval '1 hour'], now(), now(), NULL, NULL
    FROM generate_series(1, {USERS}) AS u CROSS JOIN generate_series(1, {CAMPAIGNS}) AS c
    """,
    f"""
    INSERT INTO audience_members
    SELECT 'user ' || u, c
    FROM generate_series(1, {USERS}) AS u CROSS JOIN generate_series(1, {LISTS_OF_A_USER}) AS c
    """,
    f"""
    INSERT INTO impressions
    SELECT overlay(gen_random_uuid()::text PLACING left('{impression_id(NOON)}', 13) FROM 1)::uuid, 1,
        'user ' || u, 1, 'a', now()
    FROM generate_series(1, {USERS}) AS u
    """,
    "VACUUM (ANALYZE) user_campaign_counts, audience_members, impressions",
)


@pytest.fixture(scope="module")
async def filled(cluster: EmbeddedCluster, template: str) -> AsyncIterator[Database]:
    """200,000 counts of 20,000 users, who are on two lists each, and a log."""
    async with new_database(cluster, template) as database:
        primary = await database.primary()
        for each in _FILL:
            await primary.execute(each)
        yield database


@pytest.fixture
async def primary(filled: Database) -> AsyncIterator[asyncpg.Connection]:
    """A connection whose work is undone."""
    connection = await asyncpg.connect(filled.primary_dsn)
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()
    await connection.close()


def on(nodes: list[Node], table: str) -> list[Node]:
    return [node for node in nodes if node.table == table]


def rows_read(nodes: list[Node]) -> float:
    return sum(node.rows_read for node in nodes)


# The snapshot, as the readers run it: planned once, without knowing the users.


async def snapshot_plan(dsn: str, users: list[str]) -> list[Node]:
    connection = await asyncpg.connect(dsn, server_settings={"plan_cache_mode": "force_generic_plan"})
    await connection.execute(f"PREPARE snapshot (bigint, text[], bigint[]) AS {SNAPSHOT}")
    names = ", ".join(f"'{user}'" for user in users)
    plan = await connection.fetchval(f"{EXPLAIN} EXECUTE snapshot (1, ARRAY[{names}]::text[], ARRAY[2, 3])")
    await connection.close()
    return scans(plan)


@pytest.mark.parametrize("server", ["primary", "replica"])
async def test_a_snapshot_reads_the_rows_of_its_users_alone(filled: Database, server: str) -> None:
    users = [f"user {n}" for n in range(1, 33)]
    await filled.caught_up()
    dsn = filled.primary_dsn if server == "primary" else filled.replica_dsn

    nodes = await snapshot_plan(dsn, users)

    assert rows_read(on(nodes, "user_campaign_counts")) == len(users) * CAMPAIGNS
    assert rows_read(on(nodes, "audience_members")) == len(users) * LISTS_OF_A_USER
    for table in ONE_USERS_TABLES:
        found = on(nodes, table)
        assert len(found) == PARTITIONS
        assert {node.kind for node in found} <= {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}
        assert sum(node.loops for node in found) == len(users), "one partition a user, the others are pruned"
    others = [node for node in nodes if node.table not in ONE_USERS_TABLES]
    assert {node.table for node in others} == {"catalog_version", "merge_ticks", "buffer_watermarks"}
    assert rows_read(others) <= 3, "what all users share is read once"


async def test_what_was_empty_when_the_snapshot_was_planned_is_not_read_whole(database: Database) -> None:
    """An audience may have a million rows before the next ANALYZE makes the generic plan anew."""
    primary = await database.primary()
    await primary.execute(f"ANALYZE {', '.join(ONE_USERS_TABLES)}")
    reader = Primary(database.primary_dsn, timeout_seconds=5.0, stagger_seconds=1.0)
    connection = await primary_reader_connection(reader, name="test")()
    await connection.execute(f"PREPARE snapshot (bigint, text[], bigint[]) AS {SNAPSHOT}")
    plan = await connection.fetchval(f"{EXPLAIN} EXECUTE snapshot (1, ARRAY['ani'], ARRAY[2])")
    await connection.close()
    for table in ONE_USERS_TABLES:
        found = on(scans(plan), table)
        assert len(found) == PARTITIONS
        assert {node.kind for node in found} <= {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}


async def test_partitions_of_other_users_are_never_executed(filled: Database) -> None:
    nodes = await snapshot_plan(filled.primary_dsn, ["user 1"])
    for table in ONE_USERS_TABLES:
        assert sorted(node.loops for node in on(nodes, table)) == [0] * (PARTITIONS - 1) + [1]


async def plan_of_one(dsn: str, user: str) -> list[Node]:
    """`user` as SQL writes it."""
    connection = await asyncpg.connect(dsn, server_settings={"plan_cache_mode": "force_generic_plan"})
    await connection.execute(f"PREPARE snapshot (bigint, text, bigint[]) AS {SNAPSHOT_OF_ONE}")
    plan = await connection.fetchval(f"{EXPLAIN} EXECUTE snapshot (1, {user}, ARRAY[2, 3])")
    await connection.close()
    return scans(plan)


async def test_for_one_user_other_partitions_are_not_even_made_ready(filled: Database) -> None:
    nodes = await plan_of_one(filled.primary_dsn, "'user 1'")
    for table in ONE_USERS_TABLES:
        assert [node.loops for node in on(nodes, table)] == [1]
    assert rows_read(on(nodes, "user_campaign_counts")) == CAMPAIGNS
    assert rows_read(on(nodes, "audience_members")) == LISTS_OF_A_USER
    others = [node for node in nodes if node.table not in ONE_USERS_TABLES]
    assert {node.table for node in others} == {"catalog_version", "merge_ticks", "buffer_watermarks"}


async def test_for_nobody_no_partition_is_made_ready(filled: Database) -> None:
    """The heartbeat of an idle process."""
    nodes = await plan_of_one(filled.primary_dsn, "NULL")
    assert [node for node in nodes if node.table in BIG_TABLES] == []


@pytest.mark.parametrize("user", ["user 1", "a stranger"])
async def test_one_user_is_told_the_same_as_several(filled: Database, user: str) -> None:
    connection = await asyncpg.connect(filled.primary_dsn)
    shared, alone = await connection.fetch(SNAPSHOT, 1, [user], [2, 3])
    together = (await connection.fetch(SNAPSHOT_OF_ONE, 1, user, [2, 3]))[0]
    await connection.close()
    assert (together["counts"], together["listed"]) == (alone["counts"], alone["listed"])
    assert dict(together) == dict(shared) | {"counts": alone["counts"], "listed": alone["listed"]}


async def test_unknown_users_cost_one_look_each(filled: Database) -> None:
    nodes = await snapshot_plan(filled.primary_dsn, [f"stranger {n}" for n in range(32)])
    assert rows_read(on(nodes, "user_campaign_counts")) == 0
    assert sum(node.loops for node in on(nodes, "user_campaign_counts")) == 32


async def test_the_check_can_fail(filled: Database) -> None:
    """The same question without pruning: every partition is asked for every user."""
    connection = await asyncpg.connect(filled.primary_dsn)
    await connection.execute("SET enable_partition_pruning = off")
    nodes = await explain(
        connection,
        "SELECT (SELECT count(*) FROM user_campaign_counts AS c WHERE c.user_id = u.user_id)"
        " FROM unnest($1::text[]) AS u (user_id)",
        ["user 1", "user 2"],
    )
    await connection.close()
    assert sum(node.loops for node in on(nodes, "user_campaign_counts")) == 2 * PARTITIONS


# The merge.


async def merge_plan(connection: asyncpg.Connection) -> list[Node]:
    limits = await bounds(connection)
    return await explain(
        connection,
        statement("merge"),
        50_000,
        limits.ids,
        limits.midnights,
        NOON,
    )


def events(count: int) -> list[Event]:
    """Half of them of users that are counted already."""
    return [
        Event(
            f"user {n}" if n % 2 else f"new {uuid4()}",
            n % CAMPAIGNS + 1,
            occurred_at=NOON + timedelta(seconds=n),
        )
        for n in range(count)
    ]


async def test_a_merge_reads_each_buffered_row_twice_and_no_big_table(primary: asyncpg.Connection) -> None:
    await buffer(primary, events(BUFFERED))
    nodes = await merge_plan(primary)
    buffered = on(nodes, "impression_buffer")
    assert {node.relation for node in buffered} == {"impression_buffer_0", "impression_buffer_1"}
    assert rows_read(buffered) == 2 * BUFFERED
    assert [node for node in nodes if node.table in BIG_TABLES and node.loops] == [], (
        "only their keys, by INSERT"
    )
    others = [node for node in nodes if node not in buffered]
    assert rows_read(others) <= 10, "watermarks, campaigns, the tick"


async def test_for_each_user_served_first_a_merge_asks_for_one_row(primary: asyncpg.Connection) -> None:
    """By the key, in one partition."""
    served = [event.as_(kind=KIND_SERVED) for event in events(50)]
    await buffer(primary, [*served, *events(BUFFERED)])
    asked = [node for node in await merge_plan(primary) if node.table in BIG_TABLES and node.loops]
    assert {node.kind for node in asked} <= {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}
    assert 0 < sum(node.loops for node in asked) <= len(served)
    assert rows_read(asked) <= len(served)


async def test_a_merge_reads_merged_rows_once_more_at_most_until_the_table_is_emptied(
    primary: asyncpg.Connection,
) -> None:
    await buffer(primary, events(BUFFERED))
    await merge_plan(primary)
    await buffer(primary, events(10), first_seq=BUFFERED + 1)
    assert rows_read(on(await merge_plan(primary), "impression_buffer")) <= 2 * (BUFFERED + 10)
    assert rows_read(on(await merge_plan(primary), "impression_buffer")) <= 2 * (BUFFERED + 10)

    await rotate(primary, min_bytes=1)
    await rotate(primary, min_bytes=1)
    assert rows_read(on(await merge_plan(primary), "impression_buffer")) == 0


async def test_an_idle_merge_reads_next_to_nothing(primary: asyncpg.Connection) -> None:
    nodes = await merge_plan(primary)
    assert rows_read(nodes) <= 10
    assert [node for node in nodes if node.table in BIG_TABLES and node.loops] == []


async def test_the_duties_beside_the_merge_read_the_buffer_alone(primary: asyncpg.Connection) -> None:
    await buffer(primary, events(BUFFERED))
    for name in ("rows_left", "unmerged_in", "buffer_sizes"):
        nodes = await explain(primary, statement(name))
        assert {node.table for node in nodes} <= {"impression_buffer", "buffer_watermarks", "merge_ticks"}
        assert rows_read(nodes) <= BUFFERED + 5, name
