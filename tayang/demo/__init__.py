"""`tayang demo`: some users live a day each, squeezed into a minute, through the public API.

Ends with checks that must hold: no request failed, no user was shown a campaign more often than
its caps allow (counted here, from what the service has acknowledged), only live campaigns came.
"""

import asyncio
import sys
import time
from dataclasses import dataclass
from typing import Final

from rich.console import Console

from tayang.demo.checks import check
from tayang.demo.day import day_of
from tayang.demo.display import Display
from tayang.demo.ledger import Ledger
from tayang.demo.phone import Phone
from tayang.demo.report import Report
from tayang.demo.service import RunningService
from tayang.service import stop_event
from tayang.settings import Settings, SettingsError

#: Other workers' figures in /metrics are at most a second old.
_SIBLINGS_SECONDS: Final = 1.2
_FIGURES_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Plan:
    """How many users, in how many seconds; one seed gives one plan of their days."""

    users: int
    seconds: int
    seed: int


async def run_demo(settings: Settings, plan: Plan, *, as_json: bool) -> int:
    """Exit code: 0 done; 1 a check failed. Raises SettingsError if no service can be played with.

    The report goes to standard output, progress to standard error. SIGINT ends the day early.
    """
    stop = stop_event()
    async with RunningService.find(settings) as service:
        ledger = Ledger(await service.campaigns())
        await service.read_figures(ledger)
        display = Display(Console(stderr=True), ledger, plan.seconds)
        started = time.monotonic()
        await _play(service, ledger, plan, stop, display)
        seconds = time.monotonic() - started
        if ledger.workers > 1:
            await asyncio.sleep(_SIBLINGS_SECONDS)
        await service.read_figures(ledger)
        await _learn_new_campaigns(service, ledger)
    report = Report(plan.users, plan.seed, seconds, stop.is_set(), ledger, check(ledger))
    report.print(sys.stdout, as_json=as_json)
    return 0 if report.passed else 1


async def _play(
    service: RunningService, ledger: Ledger, plan: Plan, stop: asyncio.Event, display: Display
) -> None:
    """Let all users live their day; returns when the last one is done."""
    with display:
        shown = asyncio.create_task(_show(service, ledger, display), name="demo display")
        try:
            async with asyncio.TaskGroup() as users:
                for number in range(1, plan.users + 1):
                    phone = Phone(service, day_of(number, plan.seed), ledger, plan.seconds, stop)
                    users.create_task(phone.live(), name=phone.day.user_id)
        finally:
            shown.cancel()
            await asyncio.wait([shown])
            display.update()


async def _learn_new_campaigns(service: RunningService, ledger: Ledger) -> None:
    try:
        ledger.learn(await service.campaigns())
    except SettingsError as error:
        ledger.failed(str(error))


async def _show(service: RunningService, ledger: Ledger, display: Display) -> None:
    """Draw until cancelled; the service's own figures come once a second."""
    read_at = 0.0
    while True:
        if time.monotonic() - read_at >= _FIGURES_SECONDS:
            await service.read_figures(ledger)
            read_at = time.monotonic()
        display.update()
        await asyncio.sleep(display.interval_seconds)
