"""Users who are to be forgotten."""

from typing import Final
from uuid import UUID

from api import errors
from api.contract import answers, forms
from api.contract.words import Answer, Link, Operation, Parameter

_ID: Final = "019a3f5e-7c00-7a10-8f00-3c5d1e9b2a44"
_ERASING: Final = {
    "id": _ID,
    "status": "erasing",
    "erased_at": "2026-11-01T08:00:00Z",
    "done_at": None,
    "removed": {"audience": 2, "counts": 5, "quarantine": 0, "test_users": 0},
}
_ERASED: Final = {
    **_ERASING,
    "status": "erased",
    "done_at": "2026-11-01T08:00:12Z",
    "removed": {"audience": 2, "counts": 5, "quarantine": 0, "test_users": 0, "log": 41},
}

OPERATIONS: Final = {
    "DELETE /v1/admin/users/{user_id}": Operation(
        "eraseUser",
        "Erasure",
        "Erase all that is known of a user",
        description="At once from audiences, counts and the pending events of every process; the log is "
        "searched afterwards. Sums over all users stay. Sent again, it is the same erasure with a new time.",
        parameters=[
            Parameter("user_id", forms.UserId, "The user's id.", where="path", example="ani"),
        ],
        answers=[
            Answer(
                202,
                "It has begun: nothing of before counts any more.",
                answers.Erasure,
                _ERASING,
                headers=["Location"],
                links={"ask": Link("getErasure", {"id": "$response.body#/id"})},
            )
        ],
        codes=[errors.INVALID],
    ),
    "GET /v1/admin/erasures/{id}": Operation(
        "getErasure",
        "Erasure",
        "How far an erasure is",
        parameters=[Parameter("id", UUID, "The erasure's id.", where="path", example=_ID)],
        answers=[Answer(200, "The erasure.", answers.Erasure, _ERASED, headers=["ETag"])],
    ),
}
