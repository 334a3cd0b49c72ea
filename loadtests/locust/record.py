"""What Locust saw: latencies by stage and name, and on disk what the service acknowledged."""

import base64
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from loadtests.locust.stages import Stage, at

IMPRESSION: Final = 1
KINDS: Final = {"click": 2, "dismiss": 3}
ACKNOWLEDGED: Final = "acknowledged.bin"
UNANSWERED: Final = "unanswered.bin"
#: An impression id and a kind.
ENTRY_BYTES: Final = 17
#: So many characters of a token are its version, its key and the impression id.
_ID_CHARACTERS: Final = 24
_BUCKETS_PER_MS: Final = 20
_ERRORS_MAX: Final = 50
#: Locust names it in every error; the name says enough, and one message stands for all.
_URL: Final = re.compile(r"URL \S+: ")


class Latencies:
    """Counts in steps of 0.05 ms: as much memory for a million answers as for a thousand."""

    def __init__(self) -> None:
        self.buckets: defaultdict[int, int] = defaultdict(int)

    def add(self, milliseconds: float) -> None:
        self.buckets[int(milliseconds * _BUCKETS_PER_MS)] += 1

    @classmethod
    def together(cls, parts: Iterable[Self]) -> Self:
        found = cls()
        for part in parts:
            for bucket, count in part.buckets.items():
                found.buckets[bucket] += count
        return found

    @property
    def count(self) -> int:
        return sum(self.buckets.values())

    def percentile(self, percent: float) -> float:
        """Milliseconds that so many per cent do not exceed, rounded up to the next step; 0 without any."""
        left = self.count * percent / 100
        for bucket in sorted(self.buckets):
            left -= self.buckets[bucket]
            if left <= 1e-9:
                return (bucket + 1) / _BUCKETS_PER_MS
        return 0.0

    def as_dict(self) -> dict[str, float]:
        return {
            "count": self.count,
            "p50_ms": self.percentile(50),
            "p95_ms": self.percentile(95),
            "p99_ms": self.percentile(99),
            "max_ms": self.percentile(100),
        }


class Record:
    """`now` counts the seconds since the first stage began."""

    def __init__(self, plan: Sequence[Stage], now: Callable[[], float]) -> None:
        self._plan = plan
        self._now = now
        self._stages = {stage.name: _StageRecord(stage) for stage in plan}
        self.messages: Counter[str] = Counter()

    def answered(self, name: str, milliseconds: float, error: object, late_ms: float) -> None:
        """It took so long from sending to the whole answer, and was sent so long after it was due."""
        if error is not None:
            message = f"{name}: {_URL.sub('', str(error))}"
            if len(self.messages) < _ERRORS_MAX or message in self.messages:
                self.messages[message] += 1
        stage = at(self._plan, self._now())
        if stage is not None:
            self._stages[stage.name].add(name, milliseconds, late_ms, failed=error is not None)

    def line(self) -> str:
        """How it stands, for a terminal."""
        elapsed = self._now()
        stage = at(self._plan, elapsed)
        if stage is None:
            return f"{elapsed:5.0f} s  over; the last visits end"
        record = self._stages[stage.name]
        sent = record.all
        return (
            f"{elapsed:5.0f} s  {stage.name:9} {stage.rate:,.0f}/s: {sent.count:,} requests, "
            f"p50 {sent.percentile(50):.2f} ms, p99 {sent.percentile(99):.2f} ms "
            f"({record.since_due.percentile(99):.2f} ms since they were due), {record.errors:,} errors"
        )

    def as_dict(self) -> dict[str, Any]:
        return {
            "stages": [self._stages[stage.name].as_dict() for stage in self._plan if stage.measured],
            "messages": dict(self.messages.most_common()),
        }


class _StageRecord:
    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._names: defaultdict[str, Latencies] = defaultdict(Latencies)
        self._errors: Counter[str] = Counter()
        self.since_due = Latencies()
        self.late = Latencies()

    @property
    def errors(self) -> int:
        return self._errors.total()

    @property
    def all(self) -> Latencies:
        return Latencies.together(self._names.values())

    def add(self, name: str, milliseconds: float, late_ms: float, *, failed: bool) -> None:
        self._names[name].add(milliseconds)
        self.since_due.add(late_ms + milliseconds)
        self.late.add(late_ms)
        if failed:
            self._errors[name] += 1

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self._stage.name,
            "gated": self._stage.gated,
            "seconds": self._stage.seconds,
            "target_per_second": self._stage.rate,
            "achieved_per_second": self.late.count / self._stage.seconds,
            "errors": self.errors,
            "all": self.all.as_dict(),
            "since_due": self.since_due.as_dict(),
            "late": self.late.as_dict(),
            "names": {
                name: {**self._names[name].as_dict(), "errors": self._errors[name]}
                for name in sorted(self._names)
            },
        }


class Ledger:
    """Context manager: what was acknowledged, and what was sent and got no answer, in two files."""

    def __init__(self, directory: Path) -> None:
        self._acknowledged = (directory / ACKNOWLEDGED).open("wb")
        self._unanswered = (directory / UNANSWERED).open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._acknowledged.close()
        self._unanswered.close()

    def acknowledged(self, events: Iterable[tuple[str, int]]) -> None:
        """Tokens and kinds that a 202 accepted; what is sent again stands there again."""
        for token, kind in events:
            self._acknowledged.write(_entry(token, kind))

    def unanswered(self, events: Iterable[tuple[str, int]]) -> None:
        """May be counted, or may not: 503, or the connection broke."""
        for token, kind in events:
            self._unanswered.write(_entry(token, kind))


def _entry(token: str, kind: int) -> bytes:
    return base64.urlsafe_b64decode(token[:_ID_CHARACTERS])[2:18] + bytes([kind])
