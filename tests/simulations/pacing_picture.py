"""Paced days as a picture: what was delivered beside the ideal, and how far apart they were."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes

from tests.simulations.pacing import TOLERATED
from tests.simulations.pacing_world import Outcome

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "tayang"  # the same figures give the same file

from matplotlib import pyplot as plt  # noqa: E402  (it opens the backend that was chosen)


def draw(outcomes: Mapping[str, Outcome], file: Path) -> None:
    """A row for each: delivered and ideal; the difference in % of the day's budget, before the traffic."""
    figure, rows = plt.subplots(len(outcomes), 2, sharex=True, figsize=(11, 2.6 * len(outcomes)))
    for (name, outcome), (curves, differences) in zip(outcomes.items(), rows, strict=True):
        ideal, feasible = outcome.ideal(), outcome.feasible()
        curves.plot(*_each(5, outcome.delivered), color="tab:blue", label="delivered")
        curves.plot(*_each(5, ideal), color="black", linestyle="--", linewidth=0.8, label="ideal")
        curves.set_title(f"{name}: {outcome.final:,} of {outcome.scenario.per_day:,}", fontsize="medium")
        curves.legend(loc="upper left", fontsize="small")
        for target, colour, label in ((ideal, "tab:blue", "ideal"), (feasible, "tab:orange", "feasible")):
            differences.plot(*_each(4, _percent(outcome, target)), color=colour, label=f"from the {label}")
        differences.axhspan(-100 * TOLERATED, 100 * TOLERATED, color="tab:green", alpha=0.15)
        differences.set_ylabel("% of the budget")
        differences.legend(loc="lower right", fontsize="small")
        _traffic(differences.twinx(), outcome)
    for axes in rows[-1]:
        axes.set_xlabel("hour of the day")
        axes.set_xticks(range(0, 25, 3))
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})


def _each(minutes: int, values: Sequence[float]) -> tuple[list[float], Sequence[float]]:
    """Hours, and the values then."""
    return [minute / 60 for minute in range(0, len(values), minutes)], values[::minutes]


def _percent(outcome: Outcome, target: list[float]) -> list[float]:
    scale = 100 / outcome.scenario.per_day
    return [(delivered - due) * scale for delivered, due in zip(outcome.delivered, target, strict=True)]


def _traffic(axes: Axes, outcome: Outcome) -> None:
    first, end = outcome.scenario.paused
    seconds = range(0, 60 * len(outcome.delivered), 600)
    rates = [0.0 if first <= at < end else outcome.scenario.rate(at) for at in seconds]
    axes.fill_between([at / 3600 for at in seconds], rates, color="grey", alpha=0.2, linewidth=0)
    axes.set_ylabel("requests/s", color="grey")
    axes.set_ylim(bottom=0)
