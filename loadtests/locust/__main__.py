"""`python -m loadtests.locust <order.json>`: Locust's process, started by `loadtests.load`.

Without a port: runs the stages and ends. With a port for the web UI: serves it until SIGTERM.
"""

import gc
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final

import gevent  # type: ignore[import-untyped]
from locust.env import Environment
from locust.html import get_html_report
from locust.stats import stats_history

from loadtests.locust.people import People
from loadtests.locust.phone import Phone, World
from loadtests.locust.phones import BEHAVIOURS
from loadtests.locust.record import Ledger, Record
from loadtests.locust.shape import Stages
from loadtests.locust.stages import USER_REQUESTS_PER_SECOND, Stage

RESULT: Final = "locust.json"
REPORT: Final = "report.html"
_STOP_SECONDS: Final = 30  # for the visits that are under way
_PROGRESS_SECONDS: Final = 5.0


def main(order: dict[str, Any], directory: Path) -> None:
    plan = [Stage(**stage) for stage in order["stages"]]
    shape = None if order["ui_port"] else Stages(plan)
    environment = Environment(
        user_classes=list(BEHAVIOURS), shape_class=shape, host=order["host"], stop_timeout=_STOP_SECONDS
    )
    runner = environment.create_local_runner()
    started = time.perf_counter()
    clock = shape.get_run_time if shape else lambda: time.perf_counter() - started
    record = Record(plan, clock)
    environment.events.request.add_listener(  # type: ignore[no-untyped-call]
        lambda name, response_time, exception, context, **_: record.answered(
            name, response_time, exception, context["late_ms"]
        )
    )
    environment.events.user_error.add_listener(  # type: ignore[no-untyped-call]
        lambda exception, **_: record.answered("a phone broke", 0.0, exception, 0.0)
    )
    with Ledger(directory) as ledger:
        Phone.world = world = World(
            people=People(order["people"], order["secret"], seed=order["seed"]),
            ledger=ledger,
            record=record,
            interval_seconds=1 / USER_REQUESTS_PER_SECOND,
            bots_from=order["people"],
        )
        # A pause of Locust's would be measured as one of the service.
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 50, 1_000)
        history = gevent.spawn(stats_history, runner)
        if shape is None:
            _serve_ui(environment, order["ui_port"])
        else:
            shape.world = world
            _run(environment, record)
        runner.quit()
        history.kill()
    result = {**record.as_dict(), "cpu_seconds": time.process_time()}
    (directory / RESULT).write_text(json.dumps(result))
    (directory / REPORT).write_text(get_html_report(environment))  # type: ignore[no-untyped-call]


def _run(environment: Environment, record: Record) -> None:
    assert environment.runner is not None
    environment.runner.start_shape()
    shape_greenlet = environment.runner.shape_greenlet
    assert shape_greenlet is not None
    while not shape_greenlet.dead:
        shape_greenlet.join(_PROGRESS_SECONDS)
        print(record.line(), file=sys.stderr, flush=True)


def _serve_ui(environment: Environment, port: int) -> None:
    """Whoever looks at it chooses how many users there are; each sends ten requests a second."""
    ui = environment.create_web_ui("127.0.0.1", port)
    stop = gevent.event.Event()
    gevent.signal_handler(signal.SIGTERM, stop.set)
    print(f"Locust's web UI: http://127.0.0.1:{port}  (Ctrl-C ends it)", file=sys.stderr, flush=True)
    stop.wait()
    ui.stop()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    order_file = Path(sys.argv[1])
    main(json.loads(order_file.read_text()), order_file.parent)
