"""`python -m loadtests.explain`: how long an explanation takes with 5,000 live campaigns in one placement.

Twice: each campaign for one country, so that most don't match; and for everybody, so that all do. Of users
with counts of ten campaigns, over HTTP, to the last byte of the answer. Progress goes to standard error.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any, Final

from loadtests.campaigns import PLACEMENT, many
from loadtests.cores import cpu_seconds
from loadtests.database import Database
from loadtests.figures import percentile
from loadtests.progress import Progress
from loadtests.service import BenchError, Service
from loadtests.traffic import user_id

CAMPAIGNS: Final = 5_000
#: Issue 4: milliseconds, HTTP and JSON included.
AIM_MS: Final = 20.0
_ATTRIBUTES: Final = "platform=android&app_version=5.2.1&locale=id-ID&country=ID&attr.tier=gold"
_SEEDED: Final = 40
_WARM_UP: Final = 5
_REQUEST_SECONDS: Final = 60


@dataclass(frozen=True)
class Run:
    """`cpu_ms` are the api process's, for one explanation."""

    name: str
    milliseconds: list[float]
    cpu_ms: float
    answer_bytes: int

    def __str__(self) -> str:
        median = statistics.median(self.milliseconds)
        return (
            f"{self.name}: least {min(self.milliseconds):.1f} ms, median {median:.1f}, "
            f"p95 {percentile(self.milliseconds, 95):.1f}; {self.cpu_ms:.1f} ms of CPU; "
            f"{self.answer_bytes / 1e6:.2f} MB (the aim is {AIM_MS:g} ms)"
        )


def main() -> int:
    """0: measured; 1: it went wrong."""
    arguments = _arguments()
    progress = Progress()
    try:
        for run in _measure(arguments.campaigns, arguments.requests, progress):
            print(run)
    except BenchError as error:
        progress.say(f"failed: {error}")
        return 1
    return 0


def _measure(campaigns: int, requests: int, progress: Progress) -> Iterator[Run]:
    with ExitStack() as stack:
        with progress.step("tayang up"):
            service = stack.enter_context(Service())
        database = stack.enter_context(Database(service))
        for campaign in service.admin("GET", "/v1/admin/campaigns?status=live&limit=200")["campaigns"]:
            change = {"status": "paused", "version": campaign["version"]}
            service.admin("PATCH", f"/v1/admin/campaigns/{campaign['id']}", change)
        with progress.step(f"2 x {campaigns:,} campaigns"):
            ids = [_create(service, campaign) for campaign in many(campaigns)]
            for campaign in many(campaigns):
                _create(service, {**campaign, "key": f"all-{campaign['key']}", "targeting": None})
        database.seed(0, requests, ids[:: max(1, campaigns // _SEEDED)])
        database.tidy()
        for name, live, paused in (("of one country each", "many-", "all-"), ("for all", "all-", "many-")):
            database.set_status(paused, "paused")
            database.set_status(live, "live")
            yield _run(service, f"{campaigns:,} {name}", requests)


def _create(service: Service, campaign: dict[str, Any]) -> int:
    document = {**campaign, "placement": PLACEMENT, "status": "paused"}
    return int(service.admin("POST", "/v1/admin/campaigns", document)["id"])


def _run(service: Service, name: str, requests: int) -> Run:
    api = service.pids()["api"]
    connection = HTTPConnection(*service.address, timeout=_REQUEST_SECONDS)
    for number in range(_WARM_UP):  # the first one has the catalog loaded
        _explain(connection, service, number)
    before = cpu_seconds(api)
    milliseconds = []
    body = b""
    for number in range(requests):
        started = time.perf_counter()
        body = _explain(connection, service, number)
        milliseconds.append(1000 * (time.perf_counter() - started))
    cpu_ms = 1000 * (cpu_seconds(api) - before) / requests
    connection.close()
    return Run(name, milliseconds, cpu_ms, len(body))


def _explain(connection: HTTPConnection, service: Service, number: int) -> bytes:
    path = f"/v1/admin/explain?user_id={user_id(number)}&placement={PLACEMENT}&{_ATTRIBUTES}"
    connection.request("GET", path, headers=service.admin_headers)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status // 100 != 2:
        raise BenchError(f"GET {path}: {answer.status} {body[:300]!r}")
    return body


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.explain", description=__doc__)
    parser.add_argument("--campaigns", type=int, default=CAMPAIGNS, help=f"live campaigns ({CAMPAIGNS})")
    parser.add_argument("--requests", type=int, default=100, help="explanations of each kind (100)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
