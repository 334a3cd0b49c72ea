"""How many more convert because they were shown a campaign (docs/campaigns.md, "Lift")."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, NamedTuple

from api.admin.reports.intervals import CONFIDENCE, Interval, Proportion, difference_interval, ratio_interval
from buffer.contract import KIND_CONVERT, KIND_GHOST, KIND_GHOST_CONVERT, KIND_IMPRESSION, KIND_SERVED

#: Of those who converted, and of those who didn't, in each group. With fewer the intervals would still be
#: right, and so wide that they invite to read more into the rates than there is.
MIN_USERS: Final = 10

#: Of the users who saw it: these may lack a served mark, since marks are left out when the buffer is full.
_UNMARKED_SHARE: Final = 0.01

NO_HOLDOUT: Final = "no_holdout"
NOT_COMPARABLE: Final = "not_comparable"
TOO_FEW: Final = "too_few"


class Newcomers(NamedTuple):
    """`users` whose first event of this kind was of this variant; the first such day is `since`."""

    variant: str
    kind: int
    users: int
    since: date


@dataclass(frozen=True)
class Lift:
    """`problem` says why nothing is compared; then the estimates are None."""

    shown: Proportion
    held_out: Proportion
    problem: str | None

    def document(self) -> dict[str, Any]:
        return {
            "shown": _group(self.shown),
            "held_out": _group(self.held_out),
            "problem": self.problem,
            "confidence": CONFIDENCE,
            "difference": self.difference,
            "relative": self.relative,
        }

    @property
    def difference(self) -> dict[str, float] | None:
        """Of the rates: 0.01 is one more of a hundred."""
        if self.problem is not None:
            return None
        value = self.shown.rate - self.held_out.rate
        return _estimate(value, difference_interval(self.shown, self.held_out))

    @property
    def relative(self) -> dict[str, float] | None:
        """To the rate of those held out: 0.25 is a quarter more."""
        if self.problem is not None:
            return None
        low, high = ratio_interval(self.shown, self.held_out)
        return _estimate(self.shown.rate / self.held_out.rate - 1, Interval(low - 1, high - 1))


def lift_of(counted: Iterable[Newcomers], variant: str | None = None) -> Lift:
    """Of all, or of those who were shown one variant; always against all who are held out.

    Who is held out and who gets which variant are draws that have nothing to do with each other, so the whole
    holdout is what each variant compares with.
    """
    counted = list(counted)

    def users(kind: int, only: str | None = None) -> int:
        return sum(each.users for each in counted if each.kind == kind and only in (None, each.variant))

    shown = Proportion(users(KIND_CONVERT, variant), users(KIND_SERVED, variant))
    held_out = Proportion(users(KIND_GHOST_CONVERT), users(KIND_GHOST))
    return Lift(shown, held_out, _problem(counted, shown, held_out))


def _problem(counted: list[Newcomers], shown: Proportion, held_out: Proportion) -> str | None:
    if not held_out.of:
        return NO_HOLDOUT
    if _seen_before(counted) or shown.part > shown.of or held_out.part > held_out.of:
        return NOT_COMPARABLE
    groups = (shown.part, shown.of - shown.part, held_out.part, held_out.of - held_out.part)
    return TOO_FEW if min(groups) < MIN_USERS else None


def _seen_before(counted: list[Newcomers]) -> bool:
    """Whether users had seen the campaign before there was a holdout: they convert, and are in no group."""
    days = {KIND_IMPRESSION: date.max, KIND_SERVED: date.max, KIND_GHOST: date.max}
    users = dict.fromkeys(days, 0)
    for each in counted:
        if each.kind in days:
            days[each.kind] = min(days[each.kind], each.since)
            users[each.kind] += each.users
    began = min(days[KIND_SERVED], days[KIND_GHOST])
    unmarked = users[KIND_IMPRESSION] - users[KIND_SERVED]
    return days[KIND_IMPRESSION] < began or unmarked > users[KIND_IMPRESSION] * _UNMARKED_SHARE


def _group(group: Proportion) -> dict[str, Any]:
    rate = group.rate if group.of else None
    return {"users": group.of, "converted": group.part, "rate": rate}


def _estimate(value: float, interval: Interval) -> dict[str, float]:
    return {"value": value, "low": interval.low, "high": interval.high}
