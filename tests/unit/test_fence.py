"""Which primary is the newest: by timeline, among servers of one origin."""

import pytest

from buffer.connection import ConnectionFailedError
from buffer.fence import Fence, Standing


class Opened:
    """Stands for a connection: the fence only keeps it, and cuts it."""

    def __init__(self) -> None:
        self.cut = False

    def terminate(self) -> None:
        self.cut = True


def admitted(fence: Fence, system: int, timeline: int | None) -> Opened:
    opened = Opened()
    fence.admit(opened, Standing(system, timeline), "host")  # type: ignore[arg-type]
    return opened


def test_a_lower_timeline_is_refused_and_the_same_is_not() -> None:
    fence = Fence()
    assert not fence.has_seen_a_primary
    admitted(fence, 1, 7)
    admitted(fence, 1, 7)
    with pytest.raises(ConnectionFailedError, match=r"timeline 6, now 7"):
        admitted(fence, 1, 6)


def test_a_higher_one_cuts_what_is_open_to_lower_ones() -> None:
    fence = Fence()
    old, elsewhere = admitted(fence, 1, 7), admitted(fence, 2, 1)
    new = admitted(fence, 1, 8)
    assert (old.cut, elsewhere.cut, new.cut) == (True, False, False)


def test_timelines_of_different_systems_do_not_compare() -> None:
    """A database that was moved by dump and restore begins at timeline 1 again."""
    fence = Fence()
    admitted(fence, 1, 7)
    admitted(fence, 2, 1)
    with pytest.raises(ConnectionFailedError):
        admitted(fence, 1, 6)


def test_a_standby_says_nothing() -> None:
    fence = Fence()
    admitted(fence, 1, None)
    assert not fence.has_seen_a_primary
    admitted(fence, 1, 7)
    assert not admitted(fence, 1, None).cut
