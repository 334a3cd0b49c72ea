"""Five times the capacity for a minute: `python -m tests.adversity.drills.flood [--json]`.

A fresh `tayang up` with one worker, on the loopback interface. First its capacity in a closed loop; then the
flood in an open loop; then a quarter of the capacity, to see when service is full again. All the time a
witness in a process of its own asks a hundred times a second: its latencies are the service's, while those
of the generators are also their own. The generators give way to everything else: in life they are elsewhere.
"""

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import Any, Final

from loadtests.cores import pin
from loadtests.service import Service
from tayang.user_token import mint
from tests.adversity.drills.flood_report import Flood, report, table
from tests.adversity.drills.open_loop import Load, Outcome, generate
from tests.adversity.drills.worker_watch import watched

_USERS: Final = 2000
_CAMPAIGNS: Final = 5
_CLOSED_CONNECTIONS: Final = 64
_CLOSED_SECONDS: Final = 8.0
_AFTER_SHARE: Final = 0.25
_AFTER_SECONDS: Final = 6.0
_WITNESS_RATE: Final = 100.0
_WITNESS_CONNECTIONS: Final = 64


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the flood")
    parser.add_argument("--times", type=float, default=5.0, help="of the capacity")
    parser.add_argument("--connections", type=int, default=1500, help="of the flood, at most")
    parser.add_argument("--cold", action="store_true", help="the flood opens its connections as it comes")
    parser.add_argument("--generators", type=int, default=2, help="processes that offer the load")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    flood = drill(
        options.seconds,
        options.times,
        connections=options.connections,
        connected=not options.cold,
        generators=options.generators,
    )
    result = report(flood)
    print(json.dumps(result, indent=2) if options.json else table(result))  # noqa: T201
    return 0 if all(result["claims"].values()) else 1


def drill(seconds: float, times: float, *, connections: int, connected: bool, generators: int) -> Flood:
    with (
        Service() as service,
        _processes(generators, niceness=19) as many,
        _processes(1, niceness=0) as one,
    ):
        _create_campaigns(service)
        crowd = _Crowd(many, generators)
        load = Load(service.address, _jwts(service), _CLOSED_CONNECTIONS, _CLOSED_SECONDS)
        crowd.offer(load)  # warms everything up
        pin([service.pids()["api"]])
        closed = crowd.offer(load)
        capacity = closed.accepted / closed.seconds
        flood = replace(
            load,
            connections=connections,
            connected=connected,
            seconds=seconds,
            rate=times * capacity,
        )
        after = replace(load, seconds=_AFTER_SECONDS, rate=_AFTER_SHARE * capacity)
        witness = replace(
            load, connections=_WITNESS_CONNECTIONS, seconds=seconds + _AFTER_SECONDS, rate=_WITNESS_RATE
        )
        with watched(service) as worker:
            seen = one.submit(generate, witness)
            flooded = crowd.offer(flood)
            quiet = crowd.offer(after)
            return Flood(times, closed, flooded, quiet, seen.result(), worker)


def _processes(count: int, *, niceness: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        count, mp_context=get_context("spawn"), initializer=os.nice, initargs=(niceness,)
    )


class _Crowd:
    """The generators: each offers its share at the same time."""

    def __init__(self, pool: ProcessPoolExecutor, generators: int) -> None:
        self._pool = pool
        self._generators = generators

    def offer(self, load: Load) -> Outcome:
        count = self._generators
        rate = None if load.rate is None else load.rate / count
        shares = [
            replace(load, jwts=load.jwts[n::count], connections=load.connections // count, rate=rate)
            for n in range(count)
        ]
        whole = Outcome()
        for outcome in self._pool.map(generate, shares):
            whole.add(outcome)
        return whole


def _create_campaigns(service: Service) -> None:
    """Without caps: whoever asks is served, however often."""
    for number in range(_CAMPAIGNS):
        document: dict[str, Any] = {
            "key": f"flood-{number}",
            "name": f"Flood {number}",
            "status": "live",
            "priority": 1,
            "placement": "home",
            "variants": [{"key": "a", "weight": 1, "content": {"title": f"Flood {number}"}}],
        }
        service.admin("POST", "/v1/admin/campaigns", document)


def _jwts(service: Service) -> list[bytes]:
    return [mint(service.user_secret, f"flood-{number}").encode() for number in range(_USERS)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
