"""A failover as a picture: what was answered when, and how late."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

from tests.adversity.drills.failover import Kind, Timeline

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "tayang"  # the same figures give the same file

from matplotlib import pyplot as plt  # noqa: E402  (it opens the backend that was chosen)


def draw(timeline: Timeline, file: Path) -> None:
    """Good and failed requests by tenths of a second, and the latency of the good ones."""
    figure, (rates, latencies) = plt.subplots(2, 1, sharex=True, figsize=(9, 6))
    kinds: Sequence[tuple[Kind, str]] = (("read", "tab:blue"), ("write", "tab:orange"))
    for kind, colour in kinds:
        good = _rate(timeline, kind, good=True)
        failed = _rate(timeline, kind, good=False)
        rates.step(*good, where="post", color=colour, label=f"{kind}s answered")
        rates.step(*failed, where="post", color=colour, linestyle=":", label=f"{kind}s refused or failed")
        latencies.step(*_slowest(timeline, kind), where="post", color=colour, label=f"slowest {kind}")
    for axes in (rates, latencies):
        axes.axvline(timeline.killed_at, color="tab:red", label="primary killed")
        axes.axvline(timeline.promoted_at, color="tab:green", label="replica promoted")
        axes.grid(alpha=0.3)
    rates.set_ylabel("answers per second")
    rates.legend(loc="center right", fontsize="small")
    latencies.set_yscale("log")
    latencies.set_ylabel("ms until the answer, of what was due then")
    latencies.set_xlabel("seconds")
    latencies.legend(loc="center right", fontsize="small")
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})


def _rate(timeline: Timeline, kind: Kind, *, good: bool) -> tuple[list[float], list[float]]:
    tenths = int(max(answer.answered for answer in timeline.answers) * 10) + 1
    counts = [0] * tenths
    for answer in timeline.answers:
        if answer.kind == kind and answer.good == good:
            counts[int(answer.answered * 10)] += 10
    return [tenth / 10 for tenth in range(tenths)], [float(count) for count in counts]


def _slowest(timeline: Timeline, kind: Kind) -> tuple[list[float], list[float]]:
    """In ms, of the good ones that were due in each tenth of a second."""
    slowest: dict[int, float] = {}
    for answer in timeline.answers:
        if answer.kind == kind and answer.good:
            tenth = int(answer.sent * 10)
            slowest[tenth] = max(slowest.get(tenth, 0.0), (answer.answered - answer.sent) * 1000)
    return [tenth / 10 for tenth in sorted(slowest)], [slowest[tenth] for tenth in sorted(slowest)]
