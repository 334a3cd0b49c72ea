"""What the app asks: popups, and what became of them."""

from typing import Annotated, Final

from pydantic import Field

from api import errors
from api.contract import answers, forms
from api.contract.words import Answer, Body, Link, Operation, Parameter

_FIRST: Final = "$response.body#/popups/0/token"
_EVENTS: Final = (
    errors.TOKEN_MALFORMED,
    errors.TOKEN_FORGED,
    errors.TOKEN_FOREIGN,
    errors.TOKEN_HELD_OUT,
    errors.TOKEN_EXPIRED,
    errors.RESERVATION_EXPIRED,
    errors.BUFFER_FULL,
    errors.ACK_TIMEOUT,
)
_STORED: Final = (
    "202 means: committed, and kept until it is merged. What is accepted is never counted twice, however "
    "often it is sent. A single event that is rejected gets its error as the status; of a list the others "
    "are accepted all the same."
)
_HEADERS: Final = ("Cache-Control", "RateLimit", "RateLimit-Policy")
_ACCEPTED: Final = {"accepted": 1, "rejected": []}

OPERATIONS: Final = {
    "GET /v1/popups": Operation(
        "getPopups",
        "App",
        "What this user may see now, in the order in which to show it",
        parameters=(
            *forms.CONTEXT,
            Parameter(
                "preview",
                Annotated[str, Field(max_length=512)],
                "A preview: its campaign comes first.",
            ),
            forms.ACTING_FOR,
        ),
        answers=[
            Answer(
                200,
                "The popups; an empty list if there are none.",
                answers.Popups,
                {
                    "popups": [
                        {
                            "campaign": "ramadan-sale",
                            "variant": "a",
                            "placement": "home",
                            "priority": 10,
                            "content": {"title": "Ramadan sale"},
                            "token": "AekBoghVpTp5",
                            "expires_at": "2026-11-01T08:10:00Z",
                        }
                    ],
                    "as_of": "2026-11-01T08:00:00.123456Z",
                    "next_fetch_seconds": 60,
                },
                headers=_HEADERS,
                links={
                    "shown": Link("postImpressions", body={"token": _FIRST}),
                    "clicked": Link("postInteractions", body={"token": _FIRST, "kind": "click"}),
                },
            )
        ],
        codes=[errors.READ_BUSY],
    ),
    "POST /v1/impressions": Operation(
        "postImpressions",
        "App",
        "A popup was shown, or up to 100 of them",
        description=_STORED,
        parameters=[forms.ACTING_FOR],
        body=Body(
            forms.Impression | forms.Impressions,
            {"token": "AekBoghVpTp5", "occurred_at": "2026-11-01T08:00:05Z"},
        ),
        answers=[Answer(202, "Stored.", answers.Accepted, _ACCEPTED, headers=_HEADERS)],
        codes=_EVENTS,
    ),
    "POST /v1/interactions": Operation(
        "postInteractions",
        "App",
        "The user clicked, dismissed, or converted; or up to 100 of these",
        description="Each kind counts once for each popup, and needn't wait for the popup's impression. "
        + _STORED,
        parameters=[forms.ACTING_FOR],
        body=Body(forms.Interaction | forms.Interactions, {"token": "AekBoghVpTp5", "kind": "click"}),
        answers=[Answer(202, "Stored.", answers.Accepted, _ACCEPTED, headers=_HEADERS)],
        codes=_EVENTS,
    ),
}
