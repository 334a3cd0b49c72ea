"""Dayparts decided the slow way, and random times of day."""

from collections.abc import Sequence
from datetime import datetime

from hypothesis import strategies as st

from api.campaigns.fields import WEEKDAYS, Daypart

CLOCKS = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.sampled_from([0, 1, 30, 59]))


def inside(slots: Sequence[Daypart], local: datetime) -> bool:
    """By comparing times of day as text, one slot and one day at a time."""
    clock = f"{local:%H:%M}"
    today, yesterday = WEEKDAYS[local.weekday()], WEEKDAYS[local.weekday() - 1]
    for each in slots:
        overnight = each.to <= each.from_
        if today in each.days and each.from_ <= clock and (overnight or clock < each.to):
            return True
        if overnight and yesterday in each.days and clock < each.to:
            return True
    return False
