"""The examples of docs/campaigns.md as tests can play them.

A scene is a block of campaigns (and of a policy, if one stands before it) with the table that follows it.
Each row of the table is a request; the last columns claim what becomes of each campaign. The document
itself explains the notation to its readers ("How to read the examples").
"""

import re
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from api.campaigns.fields import WEEKDAYS
from tests.support.markdown import Block, Table, blocks, tables

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "campaigns.md"
#: "Mon" in the document is this one, "Sun" the last day of its week.
MONDAY: Final = date(2026, 11, 2)
#: The key of a campaign that is alone in its example and has none written.
ALONE: Final = "example"

_INPUTS: Final = ("now", "before", "delivered", "user", "request")
_ANSWER: Final = "answer"
_TIME: Final = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun|\d{4}-\d\d-\d\d) \d\d:\d\d(?::\d\d)?"
_EVENT: Final = re.compile(
    r"(?:(\d+) times )?(?:`([a-z0-9-]+)` )?(shown|ghost|clicked|dismissed|converted)"
    rf"(?: ({_TIME}))?(?: in `(\w+)`)?"
)
_CLAIM: Final = re.compile(
    r"(?:(shown)|(\d)(?:st|nd|rd|th)|`(\w+)`(?: \(also ((?:`\w+`(?:, )?)+)\))?"
    rf"(?:, (?:again from ({_TIME})|(for good)))?)"
)
_DELIVERED: Final = re.compile(r"([\d,]+) (today|in all)")
_USER: Final = re.compile(r"on the list|test user|held out(?: of (?:all|`[a-z0-9-]+`))?")


@dataclass(frozen=True)
class Event:
    """`kind`: shown, ghost, clicked …; `at` is wall time, None: a moment ago; `session` "": none is named."""

    campaign: str
    kind: str
    at: datetime | None
    session: str


@dataclass(frozen=True)
class Claim:
    """`rank` from 1, None with `code` None: shown at whatever place. `also`: the other codes, None: any.

    `until`: from when on it may be shown again; None if the document says nothing of it. `for_good`: never.
    """

    code: str | None = None
    rank: int | None = None
    also: frozenset[str] | None = None
    until: datetime | None = None
    for_good: bool = False


@dataclass(frozen=True)
class Row:
    """`held_out_of`: keys of campaigns, and "" for all of them. `delivered`: today, in all."""

    line: int
    now: datetime | None
    before: tuple[Event, ...]
    delivered: tuple[int, int]
    listed: bool
    test_user: bool
    held_out_of: frozenset[str]
    request: str
    claims: dict[str, Claim]

    @property
    def timeless(self) -> bool:
        """Whether it can happen at any time: through the API, for instance."""
        return self.now is None and all(event.at is None for event in self.before)


@dataclass
class Scene:
    """`campaigns` are whole documents as they would be posted."""

    line: int
    campaigns: list[dict[str, Any]]
    policy: dict[str, Any] | None
    rows: list[Row] = field(default_factory=list)

    @property
    def zone(self) -> ZoneInfo:
        """In which the times of its table are."""
        return ZoneInfo(self.campaigns[0].get("timezone", "UTC"))


def whole(fragment: dict[str, Any], key: str = ALONE) -> dict[str, Any]:
    """A small campaign with these fields."""
    return {
        "key": key,
        "name": key,
        "status": "live",
        "placement": "home",
        "variants": [{"key": "a", "weight": 1, "content": {"title": "Hi"}}],
        **fragment,
    }


def read(text: str) -> list[Scene]:
    """All scenes of a document. A table that looks like one and can't be read raises ValueError."""
    scenes: list[Scene] = []
    policy: dict[str, Any] | None = None
    scene: Scene | None = None
    parts: list[Block | Table] = [*blocks(text), *tables(text)]
    for part in sorted(parts, key=lambda part: part.line):
        if isinstance(part, Table):
            if scene is not None and any(cell == _ANSWER or cell.startswith("`") for cell in part.head):
                scene.rows = [_row(scene, part, number) for number in range(len(part.rows))]
                scenes.append(scene)
                scene, policy = None, None
        elif part.kind == "policy":
            policy = part.value
        elif not part.kind:
            fragments = part.value if isinstance(part.value, list) else [part.value]
            scene = Scene(part.line, [whole(fragment) for fragment in fragments], policy)
    return scenes


def moment(text: str, zone: ZoneInfo) -> datetime:
    """ "Mon 10:00", "Mon 10:00:59" or "2026-11-09 10:00"."""
    day, _, clock = text.partition(" ")
    weekday = day.lower()
    on = MONDAY + timedelta(days=WEEKDAYS.index(weekday)) if weekday in WEEKDAYS else date.fromisoformat(day)
    return datetime.combine(on, time.fromisoformat(clock), zone)


def _row(scene: Scene, table: Table, number: int) -> Row:
    line = table.line + 2 + number
    cells = dict(zip(table.head, table.rows[number], strict=True))
    claims = {}
    for head, cell in cells.items():
        if head in _INPUTS:
            continue
        key = scene.campaigns[0]["key"] if head == _ANSWER else head.strip("`")
        if key not in {campaign["key"] for campaign in scene.campaigns}:
            raise ValueError(f"line {line}: {head!r} is neither a campaign of the example nor an input")
        claims[key] = _claim(cell, scene.zone, line)
    now = cells.get("now")
    user = _all(_USER, cells.get("user", ""), line)
    delivered = {
        found[2]: int(found[1].replace(",", ""))
        for found in _all(_DELIVERED, cells.get("delivered", ""), line)
    }
    return Row(
        line=line,
        now=moment(now, scene.zone) if now else None,
        before=tuple(_events(scene, cells.get("before", ""), line)),
        delivered=(delivered.get("today", 0), max(delivered.values(), default=0)),
        listed=any(found[0] == "on the list" for found in user),
        test_user=any(found[0] == "test user" for found in user),
        held_out_of=frozenset(_held(found[0], scene) for found in user if found[0].startswith("held")),
        request=cells.get("request", "").strip("`"),
        claims=claims,
    )


def _claim(cell: str, zone: ZoneInfo, line: int) -> Claim:
    found = _CLAIM.fullmatch(cell)
    if found is None:
        raise ValueError(f"line {line}: {cell!r} is no claim")
    _shown, rank, code, also, until, for_good = found.groups()
    return Claim(
        code=code,
        rank=int(rank) if rank else None,
        also=frozenset(re.findall(r"\w+", also)) if also else None,
        until=moment(until, zone) if until else None,
        for_good=bool(for_good),
    )


def _events(scene: Scene, cell: str, line: int) -> list[Event]:
    events = []
    for times, key, kind, at, session in (found.groups() for found in _all(_EVENT, cell, line)):
        event = Event(
            key or scene.campaigns[0]["key"], kind, moment(at, scene.zone) if at else None, session or ""
        )
        events += [event] * int(times or 1)
    return events


def _held(words: str, scene: Scene) -> str:
    _, _, of = words.partition(" of ")
    return "" if of == "all" else of.strip("`") or str(scene.campaigns[0]["key"])


def _all(pattern: re.Pattern[str], cell: str, line: int) -> list[re.Match[str]]:
    """What a cell lists, separated by commas; nothing of it may be left over."""
    found = list(pattern.finditer(cell))
    if ", ".join(each[0] for each in found) != cell:
        raise ValueError(f"line {line}: {cell!r} can't be read")
    return found
