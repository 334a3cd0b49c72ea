"""Test users, whose events never count."""

from typing import Final

from api import errors
from api.admin.testers import TesterIn
from api.contract import answers, forms
from api.contract.words import Answer, Body, Link, Operation, Parameter

_PATH: Final = "/v1/admin/test-users/{user_id}"
_ANI: Final = {"user_id": "ani", "note": "QA, Pixel 9", "created_at": "2026-11-01T08:00:00Z"}
_USER: Final = Parameter("user_id", forms.UserId, "The user's id.", where="path", example="ani")
_LINKS: Final = {"delete": Link("deleteTestUser", {"user_id": "$response.body#/user_id"})}

OPERATIONS: Final = {
    "GET /v1/admin/test-users": Operation(
        "listTestUsers",
        "Test users",
        "Test users, by ascending id",
        parameters=(
            forms.PAGE_LIMIT,
            forms.CURSOR,
        ),
        answers=[
            Answer(
                200,
                "A page.",
                answers.TestUserPage,
                {"test_users": [_ANI], "next_cursor": None},
                headers=["ETag", "Link"],
            )
        ],
    ),
    f"PUT {_PATH}": Operation(
        "putTestUser",
        "Test users",
        "Make a user a test user, or change the note",
        parameters=[_USER],
        body=Body(TesterIn, {"note": "QA, Pixel 9"}, required=False),
        answers=[
            Answer(200, "The user was one.", answers.TestUser, _ANI, links=_LINKS),
            Answer(201, "The user is one now.", answers.TestUser, _ANI, links=_LINKS),
        ],
        codes=(errors.LIMIT_REACHED, errors.INVALID, errors.UNSUPPORTED_MEDIA_TYPE),
    ),
    f"DELETE {_PATH}": Operation(
        "deleteTestUser",
        "Test users",
        "Let the user's later events count",
        parameters=[_USER],
        answers=[Answer(204, "The user is none any more.")],
        codes=[errors.INVALID],
    ),
}
