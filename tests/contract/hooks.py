"""What schemathesis is taught: how text/csv is written, what a problem's code may be, and to count."""

import atexit
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any, Final

import schemathesis
from schemathesis.core.failures import Failure

#: Where the counts go at the end: requests by operation, status, and whether they named a caller.
COUNTS_FILE: Final = "TAYANG_CONTRACT_COUNTS"
_counts: Counter[tuple[str, str, str]] = Counter()


class UndocumentedCode(Failure):
    """A problem document whose code the answer's `x-codes` doesn't list."""


@schemathesis.serializer("text/csv", "application/partial-upload")
def _lines(_context: Any, value: Any) -> bytes:
    data = getattr(value, "data", value)  # of what it makes for the format `binary`
    return data if isinstance(data, bytes) else str(data).encode(errors="surrogatepass")


@schemathesis.check
def documented_code(_context: Any, response: Any, case: Any) -> None:
    if not response.headers.get("content-type", [""])[0].startswith("application/problem+json"):
        return
    code = response.json()["code"]
    whole = case.operation.schema.raw_schema
    answers = case.operation.definition.raw["responses"]
    answer = answers.get(str(response.status_code), {})
    if "$ref" in answer:
        answer = whole["components"]["responses"][answer["$ref"].rsplit("/", 1)[-1]]
    # A method that the path doesn't have is no operation: its 405 stands at all of them.
    if code not in answer.get("x-codes", ()) and response.status_code in (int(each) for each in answers):
        raise UndocumentedCode(
            operation=case.operation.label,
            title="Undocumented code",
            message=f"{response.status_code} {code} is not among x-codes: {answer.get('x-codes')}",
        )


@schemathesis.hook
def after_call(_context: Any, case: Any, response: Any) -> None:
    named = "named" if "Authorization" in response.request.headers else "nobody"
    _counts[case.operation.label, str(response.status_code), named] += 1


def _write() -> None:
    path = os.environ.get(COUNTS_FILE)
    if path:
        rows = [[*key, number] for key, number in sorted(_counts.items())]
        Path(path).write_text(json.dumps(rows), encoding="utf-8")


atexit.register(_write)
