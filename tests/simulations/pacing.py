"""How well `pacing: even` keeps to its curve, on simulated days of a campaign with a budget a day.

    python -m tests.simulations.pacing [--picture docs/pacing.svg]

Each line is a day: requests that the campaign would be shown for; the most that was delivered beyond the
ideal (an even share of the budget for each minute); the most that was lacking to what the traffic allowed, if
phones confirmed at once; and what was delivered in the end. Exit code 1 if one of the days with enough
traffic leaves ±2 % of the budget.
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from tests.simulations.pacing_world import DAY_SECONDS, Outcome, Scenario, World

TOLERATED: Final = 0.02
_HOUR: Final = 3600.0
#: Requests of an hour in Jakarta beside the day's mean: lunch, and the evening until ten.
_HOURS: Final = (
    *(0.36, 0.22, 0.16, 0.14, 0.18, 0.36, 0.61, 0.86, 1.01, 1.07, 1.12, 1.32),
    *(1.47, 1.32, 1.17, 1.17, 1.27, 1.42, 1.62, 1.83, 1.93, 1.73, 1.22, 0.71),
)
#: Push notifications bring a crowd that is gone after half an hour.
_PUSHES: Final = (9.0, 12.0, 15.5, 19.0, 21.0)


def flat(per_day: int, _at: float) -> float:
    return per_day / DAY_SECONDS


def double_peak(per_day: int, at: float) -> float:
    hour, past = divmod(at / _HOUR, 1)
    before, after = _HOURS[int(hour) % 24], _HOURS[(int(hour) + 1) % 24]
    return flat(per_day, at) * (before + (after - before) * past)


def spiky(per_day: int, at: float) -> float:
    crowds = (at / _HOUR - push for push in _PUSHES)
    return flat(per_day, at) * (0.5 + sum(15 * 2 ** (-8 * since) for since in crowds if since >= 0))


#: Two hours in which nothing is served; in a day of pushes the budget is 8 % behind then.
PAUSED: Final = (13 * _HOUR, 15 * _HOUR)
SHAPES: Final[dict[str, dict[str, Any]]] = {
    "flat": {"rate": flat},
    "double peak": {"rate": double_peak},
    "spiky, 2 h paused": {"rate": spiky, "paused": PAUSED},
}
_REQUESTS: Final = {5_000: 600_000, 100_000: 1_200_000}


def promised(processes: Sequence[int] = (1, 4)) -> dict[str, Scenario]:
    """Traffic that suffices at any time: ±2 % is the promise."""
    return {
        f"{name}, {per_day:,} a day, {count} process{'es' if count > 1 else ''}": scenario(
            **shape, per_day=per_day, processes=count
        )
        for per_day in _REQUESTS
        for name, shape in SHAPES.items()
        for count in processes
    }


def hard_cases() -> dict[str, Scenario]:
    """Too little traffic, and what makes it hard to know what is spent."""
    pushes = partial(scenario, **SHAPES["spiky, 2 h paused"], processes=4)
    return {
        "too little at night": scenario(rate=double_peak, per_day=100_000, processes=4, requests=300_000),
        "too little all day": scenario(rate=double_peak, per_day=100_000, processes=4, requests=100_000),
        "phones take 30 s (median)": pushes(median_seconds=30.0),
        "1 of 10 popups is shown": pushes(confirmed=0.1),
        "restarted in the catch-up": pushes(median_seconds=30.0, restarted_at=PAUSED[1] + 60),
        "two serve, two are told": pushes(median_seconds=30.0, apart=True),
        "16 processes": pushes(median_seconds=30.0, processes=16),
        "no merge for an hour": pushes(merges_stalled=(9 * _HOUR, 10 * _HOUR)),
        "the same, no announcements": pushes(merges_stalled=(9 * _HOUR, 10 * _HOUR), announcements=False),
    }


def scenario(
    *, rate: Callable[[int, float], float], per_day: int = 5_000, requests: int = 0, **rest: Any
) -> Scenario:
    """`requests` a day; without them enough for the budget."""
    return Scenario(rate=partial(rate, requests or _REQUESTS[per_day]), per_day=per_day, **rest)


def main(
    picture: Annotated[Path | None, typer.Option(help="draw days with 5,000 impressions as SVG")] = None,
) -> None:
    print(f"{'':44} {'requests':>9} {'above':>7} {'below':>7} {'delivered':>9}")  # noqa: T201
    outcomes = {name: _lived(name, each) for name, each in promised().items()}
    others = {name: _lived(name, each) for name, each in hard_cases().items()}
    if picture is not None:
        from tests.simulations.pacing_picture import draw  # noqa: PLC0415  (slow to import)

        shown = {name: outcomes[f"{name}, 5,000 a day, 4 processes"] for name in SHAPES}
        draw({**shown, "too little at night": others["too little at night"]}, picture)
    kept = all(
        outcome.above_ideal() <= TOLERATED and outcome.below_feasible() <= TOLERATED
        for outcome in outcomes.values()
    )
    if not kept:
        print("pacing: the promise was not kept", file=sys.stderr)  # noqa: T201
    raise SystemExit(0 if kept else 1)


def _lived(name: str, scenario: Scenario) -> Outcome:
    outcome = World(scenario).run()
    above, below = (f"{share:7.2%}" for share in (outcome.above_ideal(), outcome.below_feasible()))
    print(f"{name:44} {outcome.requests:9,} {above} {below} {outcome.final:9,}", flush=True)  # noqa: T201
    return outcome


if __name__ == "__main__":
    typer.run(main)
