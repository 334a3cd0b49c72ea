"""The audit sees each thing that it is there to see."""

from uuid import UUID

import pytest

from tests.adversity.chaos.audit import audit
from tests.adversity.chaos.ledger import Ledger
from tests.support.buffered import NOON, Event, buffer, impression_id
from tests.support.database import Database
from tests.support.service import TOKEN_SECRET
from tests.support.tokens import SIGNER, token


async def _three_impressions(database: Database) -> Ledger:
    """Merged, and of the first two the users know it."""
    ledger = Ledger(TOKEN_SECRET)
    tokens = [token("ani"), token("ani"), token("budi")]
    for each in tokens:
        ledger.sent(each)
    for each in tokens[:2]:
        ledger.acknowledged(each)
    popups = [SIGNER.verify(each) for each in tokens]
    events = [Event(popup.user_id, 7, id=UUID(bytes=popup.impression_id)) for popup in popups]
    await buffer(await database.primary(), events)
    await database.merge()
    return ledger


async def test_all_is_well_on_both_servers(database: Database) -> None:
    ledger = await _three_impressions(database)
    for dsn in (database.primary_dsn, database.replica_dsn):
        seen = await audit(dsn, ledger)
        assert seen.passed
        assert seen.counted == 3


_TOTAL = "counts: "
#: What is done; then how many are lost, doubled and unsent, and how the complaint begins.
_DAMAGES = {
    "lost": ("DELETE FROM impressions WHERE user_id = 'ani'", (2, 0, 0), _TOTAL),
    "unsent": (
        f"INSERT INTO impressions VALUES ('{impression_id(NOON)}', 1, 'ani', 7, 'a', now())",
        (0, 0, 1),
        _TOTAL,
    ),
    "doubled": (
        """
        ALTER TABLE impressions DROP CONSTRAINT impressions_pkey;
        INSERT INTO impressions SELECT * FROM impressions WHERE user_id = 'budi'
        """,
        (0, 1, 0),
        _TOTAL,
    ),
    "counted twice": ("UPDATE user_campaign_counts SET total = total + 1", (0, 0, 0), _TOTAL),
    "events": (
        "UPDATE campaign_daily_counts SET events = 2",
        (0, 0, 0),
        "daily counts: ",
    ),
    "new users": (
        "UPDATE campaign_daily_counts SET new_users = 3",
        (0, 0, 0),
        "new users: ",
    ),
    "frequency": (
        "UPDATE campaign_frequency SET users = users + 1",
        (0, 0, 0),
        "frequency: ",
    ),
    "quarantine": (
        """
        INSERT INTO impression_quarantine
        SELECT 1, 1, impression_id, 1, user_id, 7, 'a', now(), now() FROM impressions
        """,
        (0, 0, 0),
        "in quarantine",
    ),
}


@pytest.mark.parametrize("damage", _DAMAGES)
async def test_damage_is_seen(database: Database, damage: str) -> None:
    statement, figures, complaint = _DAMAGES[damage]
    ledger = await _three_impressions(database)
    await (await database.primary()).execute(statement)

    seen = await audit(database.primary_dsn, ledger)

    assert (seen.lost, seen.doubled, seen.unsent) == figures
    assert any(text.startswith(complaint) for text in seen.disagreements), seen.disagreements
    assert not seen.passed
