"""Whether an answer to a mutated request is one that a client can live with."""

import json
from dataclasses import dataclass
from typing import Final

from api import errors
from api.errors import PROBLEM_JSON, Code
from tests.adversity.mutations.requests import Request

#: Longer than any limit of the service under test, at which it would have given up by itself.
HANG_SECONDS: Final = 15.0
_CODES: Final = {(value.status, value.code) for value in vars(errors).values() if isinstance(value, Code)}
#: Bytes; what is above it may be on its way when the answer is.
_SENT_AT_ONCE: Final = 64 * 1024
_RESETS: Final = ("no answer: BrokenPipeError", "no answer: ConnectionResetError")
_FRAMED: Final = "framing: "


@dataclass(frozen=True)
class Outcome:
    """What came back: `status` 0 if nothing did; `more` is what came after the first answer."""

    status: int
    fields: dict[str, str]
    body: bytes
    more: bytes = b""
    error: str = ""

    @property
    def code(self) -> str:
        """Of a problem document; else empty."""
        if self.fields.get("content-type") != PROBLEM_JSON or not self.body:
            return ""
        return str(json.loads(self.body)["code"])


def fault(request: Request, outcome: Outcome) -> str | None:
    """What is wrong with the answer; None: nothing."""
    if outcome.status == 0:
        return None if _is_cut_off(request, outcome) else outcome.error or "no answer"
    if not _is_legal(outcome):
        return f"status {outcome.status}"
    if any(note.startswith(_FRAMED) for note in request.notes) and b"HTTP/1.1 200" in outcome.more:
        return "a request was smuggled in"
    if outcome.status >= 400 and outcome.body:
        return _problem_fault(outcome)
    if outcome.status >= 400 and request.method != b"HEAD":
        return f"{outcome.status} without a problem document"
    return None


def _is_cut_off(request: Request, outcome: Outcome) -> bool:
    """What is refused by its head, and its connection closed, before its client has sent all of 200 KB."""
    return len(request.written()) > _SENT_AT_ONCE and outcome.error in _RESETS


def _is_legal(outcome: Outcome) -> bool:
    if outcome.status == 503:  # as many are under way as may be
        return outcome.code == "uploads_busy" and "retry-after" in outcome.fields
    return 200 <= outcome.status < 300 or outcome.status == 304 or 400 <= outcome.status < 500


def _problem_fault(outcome: Outcome) -> str | None:
    if outcome.fields.get("content-type") != PROBLEM_JSON:
        return f"{outcome.status} is no problem document"
    document = json.loads(outcome.body)
    if (outcome.status, document["code"]) not in _CODES or document["status"] != outcome.status:
        return f"{outcome.status} with the code {document['code']}"
    if len(document["detail"]) < 10:
        return "no detail"
    if document["code"] == "invalid" and not all("field" in each for each in document["errors"]):
        return "no field is named"
    if (
        document["code"] == "bad_parameter"
        and "parameter" not in document
        and "parameters" not in document["detail"]
    ):
        return "no parameter is named"
    return None
