"""`python -m loadtests.locust.ceiling`: how many requests/s Locust itself can send, to the bare handler.

A closed loop of FastHttpUsers that do nothing else; the phones of the load test have more to do.
"""

import argparse
import time
from typing import Final

import gevent  # type: ignore[import-untyped]
from locust import FastHttpUser, task
from locust.env import Environment

from loadtests.baselines.process import baseline

_USERS: Final = 50
_WARM_UP_SECONDS: Final = 2.0
_HEADERS: Final = {"Authorization": "Bearer " + "x" * 160}


class Asker(FastHttpUser):
    """Asks again as soon as it has its answer."""

    def wait_time(self) -> float:
        return 0.0

    @task
    def ask(self) -> None:
        self.client.get("/v1/popups?placement=home&platform=android", name="GET", headers=_HEADERS)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtests.locust.ceiling", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="measured (10)")
    seconds = parser.parse_args().seconds
    with baseline("bare") as bare:
        environment = Environment(user_classes=[Asker], host="http://{}:{}".format(*bare.address))
        runner = environment.create_local_runner()
        runner.start(_USERS, spawn_rate=_USERS)
        gevent.sleep(_WARM_UP_SECONDS)
        before, cpu, started = environment.stats.total.num_requests, time.process_time(), time.perf_counter()
        gevent.sleep(seconds)
        requests = environment.stats.total.num_requests - before
        elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
        runner.quit()
    print(
        f"{requests / elapsed:,.0f} requests/s of {_USERS} users, {1e6 * cpu / requests:.0f} µs of CPU each, "
        f"{environment.stats.total.num_failures} failed"
    )


if __name__ == "__main__":
    main()
