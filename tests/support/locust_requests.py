"""`python -m tests.support.locust_requests <host>`: requests as a phone of the load test sends them.

Standard input has pairs of a path and a body or null, in JSON; standard output, what became of them. In a
process of its own: whoever imports Locust has gevent's standard library.
"""

import json
import sys
from collections.abc import Iterable
from typing import Any

from locust import task
from locust.env import Environment

from loadtests.locust.phone import Phone


class Caller(Phone):
    @task
    def nothing(self) -> None:
        """Locust wants one."""


def main(host: str, requests: Iterable[tuple[str, str | None]]) -> list[dict[str, Any]]:
    """`name`, `error`, `bytes` and the context that Locust's listeners get, and `status` and `text`."""
    found: list[dict[str, Any]] = []
    Caller.host = host
    environment = Environment(user_classes=[Caller])
    environment.events.request.add_listener(  # type: ignore[no-untyped-call]
        lambda name, exception, response_length, context, **_: found.append(
            {"name": name, "error": exception and str(exception), "bytes": response_length} | context
        )
    )
    caller = Caller(environment)
    caller.late_ms = 7.0
    for path, body in requests:
        method = "GET" if body is None else "POST"
        with caller.client.request(method, path, name=path, data=body, catch_response=True) as answer:
            status, text = answer.status_code, answer.text
        found[-1] |= {"status": status, "text": text}
    return found


if __name__ == "__main__":
    json.dump(main(sys.argv[1], json.load(sys.stdin)), sys.stdout)
