"""What docs/clients/README.md says of each error code is what the reference client does."""

import re
from pathlib import Path

from api import errors
from api.errors import Code
from tayang_client.client import never_counts

README = Path(__file__).parents[2] / "docs" / "clients" / "README.md"
#: Of the admin API alone; a mobile request can't meet them.
_ADMIN = {
    *("key_taken", "limit_reached", "version_conflict", "unsupported_media_type", "invalid"),
    *("audience_invalid", "precondition_required", "uploads_busy"),
    *("mismatching_upload_offset", "inconsistent_upload_length", "completed_upload"),
}


def told() -> dict[tuple[str, int], str]:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (\w+)", README.read_text(encoding="utf-8"), re.MULTILINE)
    return {(code, int(status)): action for code, status, action in rows}


def test_every_code_that_an_app_can_meet_is_there_with_its_status() -> None:
    codes = {(code.code, code.status) for code in vars(errors).values() if isinstance(code, Code)}
    assert {row for row in codes if row[0] not in _ADMIN} <= told().keys()
    assert told().keys() <= codes


def test_the_client_drops_what_is_said_to_be_dropped_and_nothing_else() -> None:
    dropped = {row for row in told() if never_counts(row[1], {"code": row[0]})}
    assert dropped == {row for row, action in told().items() if action == "drop"}
    assert set(told().values()) == {"drop", "refresh", "resend", "stop"}
