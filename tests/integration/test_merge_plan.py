"""What a merge reads grows with what is buffered, not with what is counted."""

from datetime import UTC, datetime

from maintenance.duty import statement
from maintenance.partitions import bounds
from tests.support.buffered import NOON, Event, buffer
from tests.support.database import Database
from tests.support.plans import explain

BUFFERED = 200


async def test_records_of_erased_users_are_looked_up_or_read_once(database: Database) -> None:
    """Not all of them for each row that is merged, also while nobody has analyzed the table."""
    primary = await database.primary()
    await primary.execute(
        "INSERT INTO erasures (user_hash, erased_at, before_id, removed, done_at)"
        " SELECT n, now(), gen_random_uuid(), '{}', now() FROM generate_series(1, 5000) AS n"
    )
    await buffer(primary, [Event(f"u{n}") for n in range(1, BUFFERED + 1)])
    limits = await bounds(primary)
    nodes = await explain(primary, statement("merge"), 50_000, limits.ids, limits.midnights, NOON)
    read = [node for node in nodes if node.table == "erasures" and node.loops]
    assert read
    assert sum(node.rows_read for node in read) <= 5000


async def test_what_is_counted_is_not_scanned(database: Database) -> None:
    primary = await database.primary()
    await primary.execute(
        "INSERT INTO user_campaign_counts"
        " (user_id, campaign_id, total, clicks, dismissals, conversions, recent, first_at, last_at)"
        " SELECT 'u' || n, 1 + n % 50, 1, 0, 0, 0, ARRAY[$1::timestamptz], $1, $1"
        " FROM generate_series(1, 20000) AS n",
        datetime(2026, 1, 1, tzinfo=UTC),
    )
    await primary.execute(
        "INSERT INTO campaign_frequency (campaign_id, times, users)"
        " SELECT c, t, 100 FROM generate_series(1, 500) c, generate_series(1, 64) t"
    )
    await primary.execute("ANALYZE user_campaign_counts, campaign_frequency")
    await buffer(primary, [Event(f"u{n}", campaign_id=1 + n % 50) for n in range(1, BUFFERED + 1)])
    limits = await bounds(primary)
    nodes = await explain(primary, statement("merge"), 50_000, limits.ids, limits.midnights, NOON)
    counted = {"user_campaign_counts", "campaign_frequency", "campaign_daily_counts", "impressions"}
    assert [node for node in nodes if node.table in counted and node.loops] == []
    # Twice: for the lowest seq of each process, and for its rows.
    assert sum(node.rows_read for node in nodes if node.table == "impression_buffer") == 2 * BUFFERED
    # It was run, not only planned.
    assert (
        await primary.fetchval(
            "SELECT sum(users) FROM campaign_frequency WHERE (campaign_id, times) = (1, 2)"
        )
        == 104
    )
    assert (
        await primary.fetchval(
            "SELECT sum(users) FROM campaign_frequency WHERE (campaign_id, times) = (1, 1)"
        )
        == 96
    )
