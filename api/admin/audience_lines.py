"""Audience files: from bytes as they come to text for COPY, in memory for one line only."""

import re
from base64 import b64decode, b64encode
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from api.users import user_id_problem

MAX_LINE_BYTES: Final = 1024
MAX_PROBLEMS: Final = 20
HEADER: Final = "user_id"

_BOM: Final = b"\xef\xbb\xbf"
# Whole pieces of such lines need no look at each: no blank, quote, comma or backslash, within every limit.
_PLAIN_LINES: Final = re.compile(rb"(?:[!#-+\--\[\]-~]{1,128}+\r?+\n)++")
_QUOTED: Final = re.compile(r'"((?:[^"]|"")*)"')
#: With `problems` and `_rest`, all that the reading of the next piece depends on.
_STATE: Final = ("lines", "bad_lines", "has_header", "_line", "_skipping", "_started")


@dataclass(frozen=True)
class LineProblem:
    line: int  # from 1, as an editor counts
    detail: str


class AudienceLines:
    """One user id a line, optional header `user_id`, CSV quotes, LF or CRLF, BOM; blank lines don't count.

    Bad lines are counted, the first 20 kept, and reading goes on.
    """

    def __init__(self) -> None:
        self.lines = 0  # with a user id, good ones
        self.bad_lines = 0
        self.problems: list[LineProblem] = []
        self.has_header = False
        self._line = 0
        self._rest = b""
        self._skipping = False  # the rest of a line that was too long
        self._started = False  # something that is not blank was there

    @classmethod
    def resumed(cls, state: dict[str, Any]) -> Self:
        """From where `state` was taken, perhaps in another process."""
        lines = cls()
        for name in _STATE:
            setattr(lines, name, state[name.lstrip("_")])
        lines.problems = [LineProblem(**problem) for problem in state["problems"]]
        lines._rest = b64decode(state["rest"])
        return lines

    def state(self) -> dict[str, Any]:
        """As JSON has it, at most some 5 KB."""
        return {
            **{name.lstrip("_"): getattr(self, name) for name in _STATE},
            "problems": [asdict(problem) for problem in self.problems],
            "rest": b64encode(self._rest).decode(),
        }

    def feed(self, chunk: bytes) -> bytes:
        """The user ids whose lines are complete, as text for COPY."""
        data = self._rest + chunk
        end = data.rfind(b"\n") + 1
        complete, self._rest = data[:end], data[end:]
        ids = self._read(complete) if complete else b""
        if len(self._rest) > MAX_LINE_BYTES:
            if not self._skipping:
                self._too_long(self._line + 1)
            self._skipping, self._rest = True, b""
        return ids

    def close(self) -> bytes:
        """The user id on a last line without a line end."""
        last, self._rest = self._rest, b""
        return self._read(last + b"\n") if last else b""

    def _read(self, data: bytes) -> bytes:
        if self._started and not self._skipping and _PLAIN_LINES.fullmatch(data):
            count = data.count(b"\n")
            self._line += count
            self.lines += count
            return data.replace(b"\r", b"")
        ids: list[str] = []
        for raw in data[:-1].split(b"\n"):
            self._line += 1
            if self._skipping:
                self._skipping = False
            elif len(raw) > MAX_LINE_BYTES:
                self._too_long(self._line)
            else:
                self._read_line(raw, ids)
        self.lines += len(ids)
        return "".join([f"{user_id}\n" for user_id in ids]).replace("\\", "\\\\").encode()

    def _read_line(self, raw: bytes, ids: list[str]) -> None:
        if self._line == 1:
            raw = raw.removeprefix(_BOM)
        raw = raw.removesuffix(b"\r")
        if not raw or raw.isspace():
            return
        first, self._started = not self._started, True
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            self._bad(self._line, "is not UTF-8: save the file as 'CSV UTF-8'")
            return
        user_id, problem = _value(text)
        if first and user_id.lower() == HEADER:
            self.has_header = True
            return
        problem = problem or user_id_problem(user_id)
        if problem is None:
            ids.append(user_id)
        else:
            self._bad(self._line, problem)

    def _too_long(self, line: int) -> None:
        self._started = True
        self._bad(line, f"is longer than {MAX_LINE_BYTES} bytes: write one user id a line")

    def _bad(self, line: int, detail: str) -> None:
        self.bad_lines += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(LineProblem(line, detail))


def _value(text: str) -> tuple[str, str | None]:
    """The one value of a CSV line, and what is wrong with the line."""
    if '"' in text:
        quoted = _QUOTED.fullmatch(text.strip(" \t"))
        if quoted is None:
            return "", 'has a quote in the wrong place: write "a""b" for a"b, and one user id a line'
        return quoted[1].replace('""', '"'), None
    if "," in text:
        return "", "has more than one column: write one user id a line, in quotes if it holds a comma"
    # Most likely a slip, and it would make another user of it.
    if text != text.strip():
        return "", "starts or ends with a blank: remove it, or put the user id in quotes"
    return text, None
