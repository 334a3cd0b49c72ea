"""For operators, and about the service itself."""

from typing import Any, Final

from api.contract import answers
from api.contract.words import Answer, Operation

_PARTS: Final = {"reads": {"ok": True}, "writes": {"ok": True}, "buffer": {"ok": True}, "merge": {"ok": True}}
_STATIC: Final = ("ETag", "Cache-Control")

OPERATIONS: Final = {
    "GET /healthz": Operation(
        "getHealth",
        "Operations",
        "The process answers",
        description="It says nothing of the database.",
        answers=[Answer(200, "It does.", answers.Health, {"status": "ok"})],
    ),
    "GET /readyz": Operation(
        "getReadiness",
        "Operations",
        "Whether popups can be served and impressions stored",
        answers=[
            Answer(200, "Both.", answers.Readiness, {"status": "ready", "parts": _PARTS}),
            Answer(
                503,
                "Not both: `parts` says why.",
                answers.Readiness,
                {"status": "not_ready", "parts": {**_PARTS, "writes": {"ok": False, "detail": "refused"}}},
                headers=["Retry-After"],
            ),
        ],
    ),
    "GET /metrics": Operation(
        "getMetrics",
        "Operations",
        "Figures of all workers, for Prometheus",
        answers=[
            Answer(200, "The figures.", str, "tayang_events_accepted_total 1.0\n", media_type="text/plain")
        ],
    ),
    "GET /openapi.json": Operation(
        "getOpenapi",
        "Operations",
        "This document",
        answers=[
            Answer(200, "OpenAPI 3.1.", dict[str, Any], {"openapi": "3.1.0"}, headers=_STATIC),
        ],
    ),
    "GET /docs": Operation(
        "getDocs",
        "Operations",
        "This document as a page",
        answers=[
            Answer(200, "The page.", str, "<!doctype html>", media_type="text/html", headers=_STATIC),
        ],
    ),
    "GET /docs/style.css": Operation(
        "getDocsStyle",
        "Operations",
        "How the page looks",
        answers=[
            Answer(200, "The style sheet.", str, ":root {}", media_type="text/css", headers=_STATIC),
        ],
    ),
}
