"""`python -m loadtests.locust.ceiling`: how many requests/s Locust itself can send, to the bare handler.

A closed loop of FastHttpUsers that do nothing else: as Locust comes, and talking HTTP as the phones of the
load test do (`client.py`). These have more to do besides.
"""

import argparse
import time
from typing import Final

import gevent  # type: ignore[import-untyped]
from locust import FastHttpUser, task
from locust.env import Environment

from loadtests.baselines.process import baseline
from loadtests.locust.client import Agent

_USERS: Final = 50
_WARM_UP_SECONDS: Final = 2.0
_TIMEOUT_SECONDS: Final = 15.0
_HEADERS: Final = {"Authorization": "Bearer " + "x" * 160}


class Asker(FastHttpUser):
    """Asks again as soon as it has its answer."""

    def wait_time(self) -> float:
        return 0.0

    @task
    def ask(self) -> None:
        self.client.get("/v1/popups?placement=home&platform=android", name="GET", headers=_HEADERS)


class LeanAsker(Asker):
    """With the user agent of the phones."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.client.client = Agent(str(self.host), _TIMEOUT_SECONDS)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtests.locust.ceiling", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="measured, of each (5)")
    seconds = parser.parse_args().seconds
    with baseline("bare") as bare:
        host = "http://{}:{}".format(*bare.address)
        for title, asker in (("Locust's own user agent", Asker), ("the phones'", LeanAsker)):
            print(f"{title}: {_measured(host, asker, seconds)}")


def _measured(host: str, asker: type[Asker], seconds: float) -> str:
    environment = Environment(user_classes=[asker], host=host)
    runner = environment.create_local_runner()
    runner.start(_USERS, spawn_rate=_USERS)
    gevent.sleep(_WARM_UP_SECONDS)
    before, cpu, started = environment.stats.total.num_requests, time.process_time(), time.perf_counter()
    gevent.sleep(seconds)
    requests = environment.stats.total.num_requests - before
    elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
    runner.quit()
    return (
        f"{requests / elapsed:,.0f} requests/s of {_USERS} users, {1e6 * cpu / requests:.0f} µs of CPU each, "
        f"{environment.stats.total.num_failures} failed"
    )


if __name__ == "__main__":
    main()
