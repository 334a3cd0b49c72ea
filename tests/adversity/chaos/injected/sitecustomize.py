"""Imported by Python at the start of the service's processes, when its directory is in PYTHONPATH.

So the tests change a process from outside: production code has no hook for them. Each variable below
does one thing; without them nothing happens.
"""

import os
import sys


def _steps_the_clock(file: str) -> None:
    """A worker's `time.time` and `time.time_ns` are off by what its place in the file says, in ns."""
    import mmap  # noqa: PLC0415  (most processes need none of these)
    import struct  # noqa: PLC0415
    import time  # noqa: PLC0415

    with open(file, "rb") as stream:  # noqa: PTH123  (pathlib would cost every process its import)
        offsets = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    place = 8 * int(sys.orig_argv[sys.orig_argv.index("--number") + 1])
    real_ns = time.time_ns

    def time_ns() -> int:
        return real_ns() + int(struct.unpack_from("q", offsets, place)[0])

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9


def _rotates_often(seconds: str) -> None:
    """The merge leaves a buffer table so soon, instead of after a minute or 2 MiB."""
    from maintenance import loop  # noqa: PLC0415

    loop.FORCED_ROTATION_SECONDS = float(seconds)  # type: ignore[misc]  # the constant is what is changed


def _forgets_to_send_again() -> None:
    """Sabotage: after a lost connection nothing is sent again."""
    from buffer.pending import PendingList  # noqa: PLC0415

    def rewind(_self: PendingList, _watermark: int) -> int:
        return 0

    PendingList.rewind = rewind  # type: ignore[assignment, method-assign]  # this is the sabotage


if "worker" in sys.orig_argv:
    if "CHAOS_CLOCK_FILE" in os.environ:
        _steps_the_clock(os.environ["CHAOS_CLOCK_FILE"])
    if os.environ.get("CHAOS_SABOTAGE") == "no-retransmission":
        _forgets_to_send_again()
if "maintain" in sys.orig_argv and "CHAOS_FORCED_ROTATION_SECONDS" in os.environ:
    _rotates_often(os.environ["CHAOS_FORCED_ROTATION_SECONDS"])
