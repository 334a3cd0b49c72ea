"""Hard budgets as their accounts on the primary say, where a process has no units of its own to judge by."""

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

from asyncpg import Record

from api.campaigns.budget import Budget, Shortage, Stock
from api.campaigns.catalog import Catalog
from api.campaigns.live import LiveCampaign
from api.campaigns.windows import local_day
from api.explain.reading import fetch, statement
from api.read.reader import Reader

_ACCOUNTS: Final = statement("accounts")


LimitName = Literal["total", "per_day"]


class Account(NamedTuple):
    """`shortage` is None if there is room. `figures` are of the limit that has the least left.

    Among them `leased`: units that processes hold for popups, and that are not spent yet.
    """

    shortage: Shortage | None
    figures: dict[str, Any]


Accounts = Mapping[Budget, Account]


async def read_accounts(reader: Reader, catalog: Catalog, now_us: int) -> Accounts:
    """Of all live campaigns with a hard budget, for the day of each. Raises ProblemError (503).

    Units that were leased count as room: some process can show the popup.
    """
    hard = {campaign.id: campaign for campaign in catalog.budgeted if isinstance(campaign.budget, Stock)}
    if not hard:
        return {}
    days = [local_day(now_us, campaign.zone)[0] for campaign in hard.values()]
    rows = {row["campaign_id"]: row for row in await fetch(reader, _ACCOUNTS, list(hard), days)}
    return {
        campaign.budget: _account(campaign, rows.get(campaign.id), now_us)
        for campaign in hard.values()
        if campaign.budget is not None
    }


def _account(campaign: LiveCampaign, row: Record | None, now_us: int) -> Account:
    limits = campaign.document.budget
    assert limits is not None
    if row is None:  # the budget has become hard a moment ago
        return Account(_shortage("total", 0, 0), {"opened": False})
    ever = _Limit("total", row["spent_ever"], limits.total, row["leased_ever"])
    that_day = _Limit("per_day", row["spent_that_day"], limits.per_day, row["leased_that_day"])
    tightest = min((each for each in (ever, that_day) if each.allowed is not None), key=_Limit.left)
    figures = {
        "limit": tightest.name,
        "used": tightest.used,
        "allowed": tightest.allowed,
        "leased": tightest.leased,
        "opened": row["opened"],
    }
    if tightest.left() > 0 and row["opened"]:
        return Account(None, figures)
    spent_for_today = tightest.name == "per_day" and tightest.left() <= 0
    until_us = local_day(now_us, campaign.zone)[2] if spent_for_today else None
    return Account(_shortage(tightest.name, tightest.used, tightest.allowed or 0, until_us), figures)


class _Limit(NamedTuple):
    name: LimitName
    used: int
    allowed: int | None
    leased: int

    def left(self) -> int:
        return (self.allowed or 0) - self.used


def _shortage(limit: LimitName, used: int, allowed: int, until_us: int | None = None) -> Shortage:
    return Shortage("out_of_budget", limit, used, allowed, until_us)
