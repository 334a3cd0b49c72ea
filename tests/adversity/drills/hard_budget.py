"""A hard budget under fire: `python -m tests.adversity.drills.hard_budget --repeat 20 [--json]`.

Real servers, api processes and maintenance. In each repetition two campaigns with a hard budget meet as many
phones at once: of the first one's, half never confirm; of the second one's, all do. What counts is what the
database has counted in the end. Exit code 1 if a budget was exceeded, or less than 99 % delivered to
phones that confirm.
"""

import argparse
import asyncio
import json
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Final

import aiohttp
import asyncpg
import uvloop

from maintenance.prepare import prepare_database
from maintenance.settings import MaintenanceConfig
from tayang.user_token import mint
from tests.acceptance.processes import Command, Shell
from tests.adversity.drills.budget_phones import Phone, Tally
from tests.adversity.ground import own_cluster
from tests.support.directories import servers_directory
from tests.support.waiting import until

DELIVERED_SHARE: Final = 0.99
#: Short, so that what was reserved and never confirmed comes back within a repetition.
SHOW_WITHIN_SECONDS: Final = 4
LEASE_SECONDS: Final = 1.0
GRACE_SECONDS: Final = 1.0
#: So long after the last popup nothing can come back any more.
IDLE_SECONDS: Final = SHOW_WITHIN_SECONDS + LEASE_SECONDS + GRACE_SECONDS + 2.0
MERGED_SECONDS: Final = 30.0
_DATABASE: Final = "tayang"
_LOG_CHARACTERS: Final = 5_000


@dataclass(frozen=True)
class Plan:
    budget: int = 10_000
    users: int = 2_000
    workers: int = 4
    half_seconds: float = 25.0  # the phones that never confirm could go on for ever
    all_seconds: float = 120.0  # far more than it takes: how fast it goes is no question here


@dataclass(frozen=True)
class Outcome:
    """One campaign's. `counted` is what the database says, `accepted` what the phones were told."""

    all_confirm: bool
    budget: int
    counted: int
    accepted: int
    served: int
    kept_back: int
    lapsed: int  # confirmations answered 410
    refused_for_now: int  # … 503
    seconds: float

    @property
    def good(self) -> bool:
        enough = not self.all_confirm or self.counted >= DELIVERED_SHARE * self.budget
        return self.counted == self.accepted <= self.budget and enough


class Stack:
    """A running service, and a connection to its primary."""

    def __init__(
        self, shell: Shell, serve: Command, primary: asyncpg.Connection, user_secret: str, admin_key: str
    ) -> None:
        self.serve = serve
        self.address = ("127.0.0.1", shell.http_port)
        self.primary = primary
        self.jwts: dict[int, str] = {}
        self._url = shell.url
        self._user_secret = user_secret
        self._headers = {"Authorization": f"Bearer {admin_key}"}

    def jwt(self, user: int) -> str:
        if user not in self.jwts:
            self.jwts[user] = mint(self._user_secret, f"user {user}")
        return self.jwts[user]

    async def create(self, key: str, budget: int) -> int:
        """A live campaign at a placement of its own; its id."""
        document = {
            "key": key,
            "name": key,
            "status": "live",
            "placement": key,
            "budget": {"total": budget, "hard": True},
            "variants": [{"key": "a", "weight": 1, "content": {}}],
        }
        async with (
            aiohttp.ClientSession(self._url, headers=self._headers) as session,
            session.post("/v1/admin/campaigns", json=document) as response,
        ):
            assert response.status == 201, await response.text()
            return int((await response.json())["id"])

    async def pause(self, campaign: int) -> None:
        """Its leases are not renewed any more."""
        async with (
            aiohttp.ClientSession(self._url, headers=self._headers | {"If-Match": "*"}) as session,
            session.patch(f"/v1/admin/campaigns/{campaign}", json={"status": "paused"}) as response,
        ):
            assert response.status == 200, await response.text()

    async def counted(self, campaign: int) -> int:
        statement = "SELECT coalesce(sum(events), 0) FROM campaign_daily_counts WHERE campaign_id = $1"
        return int(await self.primary.fetchval(statement, campaign))


@asynccontextmanager
async def running(shell: Shell, primary_dsn: str, replica_dsn: str, workers: int) -> AsyncIterator[Stack]:
    """`tayang serve` and `tayang maintain` on these servers, stopped in order at the end."""
    user_secret, admin_key = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
    maintain = await shell.start("maintain", primary_dsn=primary_dsn)
    serve = await shell.start(
        *("serve", "--workers", str(workers)),
        primary_dsn=primary_dsn,
        replica_dsn=replica_dsn,
        admin_key=admin_key,
        token_secrets=secrets.token_urlsafe(24),
        user_jwt_secret=user_secret,
        user_max_requests_per_second=1e6,  # phones without pauses
        show_within_seconds=SHOW_WITHIN_SECONDS,
        budget_lease_seconds=LEASE_SECONDS,
        budget_grace_seconds=GRACE_SECONDS,
    )
    await serve.says("serving on ")
    await until(lambda: _all_ready(shell.url, workers), "every worker is ready", seconds=60)
    primary = await asyncpg.connect(primary_dsn)
    try:
        yield Stack(shell, serve, primary, user_secret, admin_key)
    finally:
        await primary.close()
        for command in (serve, maintain):
            command.signal(signal.SIGTERM)
            assert (await command.ended()).code == 0, command.err


async def _all_ready(url: str, workers: int) -> bool:
    """A worker tells its siblings' figures once it has told its own, a second after its start at most."""
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as response:
            return (await response.text()).count("tayang_flush_connected{") == workers
    except aiohttp.ClientError:
        return False


async def one_round(stack: Stack, plan: Plan, key: str, *, all_confirm: bool) -> Outcome:
    """All phones at once on a new campaign, until its budget is delivered or nothing comes any more."""
    campaign = await stack.create(key, plan.budget)
    started = time.monotonic()
    ends_at = started + (plan.all_seconds if all_confirm else plan.half_seconds)
    tally = Tally()

    def done() -> bool:
        now = time.monotonic()
        idle = now - tally.last_served_at > IDLE_SECONDS
        return tally.accepted >= plan.budget or idle or now > ends_at

    async with asyncio.TaskGroup() as phones:
        for user in range(plan.users):
            phone = Phone(stack.address, stack.jwt(user), key)
            phones.create_task(phone.use(tally, confirms=all_confirm or user % 2 == 0, done=done))
    seconds = time.monotonic() - started

    async def merged() -> bool:
        return await stack.counted(campaign) >= tally.accepted

    await until(merged, "what was accepted is merged", seconds=MERGED_SECONDS)
    await stack.pause(campaign)
    return Outcome(
        all_confirm=all_confirm,
        budget=plan.budget,
        counted=await stack.counted(campaign),
        accepted=tally.accepted,
        served=tally.served,
        kept_back=tally.kept_back,
        lapsed=tally.statuses[410],
        refused_for_now=tally.statuses[503],
        seconds=round(seconds, 1),
    )


async def drill(plan: Plan, repeat: int, *, told: bool) -> list[Outcome]:
    """On servers of its own, which sync to a disk; `told` writes each outcome to standard error."""
    outcomes = []
    with servers_directory("tayang-drill-", memory=False) as directory:
        shell = Shell(directory / "data", directory)
        async with own_cluster(directory, durable=True) as (cluster, _):
            dsn = cluster.primary.dsn(_DATABASE)
            await prepare_database(MaintenanceConfig(primary_dsn=dsn))
            try:
                async with running(shell, dsn, cluster.replica.dsn(_DATABASE), plan.workers) as stack:
                    for number in range(2 * repeat):
                        outcome = await one_round(stack, plan, f"drill-{number}", all_confirm=number % 2 == 1)
                        outcomes.append(outcome)
                        if told:
                            print(number // 2 + 1, outcome, file=sys.stderr)  # noqa: T201
            finally:
                await shell.close()
    return outcomes


def report(outcomes: Sequence[Outcome]) -> str:
    lines = []
    for all_confirm, who in ((False, "half never confirm"), (True, "all confirm")):
        some = [outcome for outcome in outcomes if outcome.all_confirm is all_confirm]
        counted = [outcome.counted for outcome in some]
        seconds = [outcome.seconds for outcome in some]
        lines.append(
            f"{who}: {len(some)} times, budget {some[0].budget}: delivered {min(counted)} to {max(counted)}, "
            f"median {median(counted):g}; {min(seconds):g} to {max(seconds):g} s; "
            f"lapsed {sum(o.lapsed for o in some)}, 503 {sum(o.refused_for_now for o in some)}"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="hard budgets with many phones at once")
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--budget", type=int, default=Plan.budget)
    parser.add_argument("--users", type=int, default=Plan.users)
    parser.add_argument("--workers", type=int, default=Plan.workers)
    parser.add_argument("--json", action="store_true", help="every outcome as JSON")
    given: Any = parser.parse_args()
    plan = Plan(given.budget, given.users, given.workers)
    outcomes = uvloop.run(drill(plan, given.repeat, told=not given.json))
    if given.json:
        print(json.dumps([asdict(outcome) | {"good": outcome.good} for outcome in outcomes]))  # noqa: T201
    else:
        print(report(outcomes))  # noqa: T201
    return 0 if all(outcome.good for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
