"""What is counted of a campaign: on a day, of a variant, or of all."""

from collections.abc import Iterable
from typing import Any, NamedTuple


class Figures(NamedTuple):
    """Events (late ones among them), and users (`new_…`) for whom it was the first of its kind."""

    impressions: int = 0
    late_impressions: int = 0
    clicks: int = 0
    dismissals: int = 0
    conversions: int = 0
    late_events: int = 0
    new_users: int = 0
    new_clickers: int = 0
    new_dismissers: int = 0
    new_converters: int = 0

    @property
    def ctr(self) -> float | None:
        """Clicks by impressions; None without impressions."""
        return self.clicks / self.impressions if self.impressions else None

    def document(self) -> dict[str, Any]:
        return {**self._asdict(), "ctr": self.ctr}


def total(parts: Iterable[Figures]) -> Figures:
    return Figures(*map(sum, zip(Figures(), *parts, strict=True)))
