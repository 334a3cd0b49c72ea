"""What a load test must show. The exit code names the first gate that failed, the worst one first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from loadtests.locust.reconcile import Account

#: Of the rate; below it the percentiles are void.
ACHIEVED_SHARE: Final = 0.98
LOST: Final = 3
OVERSHOT: Final = 4
ERRORS: Final = 5
RATE: Final = 6
LATENCY: Final = 7
GREW: Final = 8


@dataclass(frozen=True, kw_only=True)
class Gate:
    name: str
    exit_code: int
    passed: bool
    said: str


def gates(stages: Sequence[dict[str, Any]], account: Account, *, p99_ms: float, late_ms: float) -> list[Gate]:
    """`stages` as `Record.as_dict` gives them; of those that are not gated only the books count."""
    gated = [stage for stage in stages if stage["gated"]]
    return [
        _reconciled(account),
        _caps(account),
        _errors(gated),
        _rate(gated, late_ms),
        _latency(gated, p99_ms, late_ms),
    ]


def grew(growth: Sequence[tuple[str, float, float, bool]]) -> Gate:
    """Of a soak; `growth` as `loadtests.watch.growth` gives it."""
    said = ", ".join(f"{title} {early:.1f} → {late:.1f}" for title, early, late, _ in growth)
    return Gate(
        name="growth",
        exit_code=GREW,
        passed=bool(growth) and not any(beyond_noise for *_, beyond_noise in growth),
        said=said or "too short to tell",
    )


def exit_code(found: Iterable[Gate]) -> int:
    """0: all passed."""
    return min((gate.exit_code for gate in found if not gate.passed), default=0)


def void(stage: dict[str, Any], late_ms: float) -> str:
    """Why a stage's percentiles show nothing; empty: they do.

    While a connection is late it measures less than was asked for, and what it leaves out is the waiting.
    More than 1 % of that may hide any 99th percentile.
    """
    if stage["achieved_per_second"] < ACHIEVED_SHARE * stage["target_per_second"]:
        return "too few were sent"
    if stage["late"]["p99_ms"] > late_ms:
        return f"more than 1 % were sent over {late_ms:g} ms late"
    return ""


def held(stage: dict[str, Any], p99_ms: float, late_ms: float) -> bool:
    """All gates of a stage."""
    return not void(stage, late_ms) and not stage["errors"] and stage["all"]["p99_ms"] <= p99_ms


def _reconciled(account: Account) -> Gate:
    wrong = account.missing or account.unexplained or account.wrong_counts
    # With nothing acknowledged nothing was tested.
    return Gate(
        name="reconciliation",
        exit_code=LOST,
        passed=not wrong and account.acknowledged > 0,
        said=(
            f"{account.acknowledged:,} events acknowledged ({account.acknowledgements:,} times), "
            f"{account.logged:,} in the log, {account.counted:,} counted: {account.missing:,} missing, "
            f"{account.unexplained:,} unexplained, {account.wrong_counts:,} wrong counts; "
            f"{account.unanswered:,} without an answer"
        ),
    )


def _caps(account: Account) -> Gate:
    return Gate(
        name="caps",
        exit_code=OVERSHOT,
        passed=account.caps_overshot == 0 and account.caps_checked > 0,
        said=(
            f"{account.caps_overshot:,} overshot, {account.caps_reached:,} just reached, "
            f"of {account.caps_checked:,}"
        ),
    )


def _errors(stages: Sequence[dict[str, Any]]) -> Gate:
    errors = sum(stage["errors"] for stage in stages)
    requests = sum(stage["all"]["count"] for stage in stages)
    return Gate(
        name="errors", exit_code=ERRORS, passed=errors == 0, said=f"{errors:,} of {requests:,} requests"
    )


def _rate(stages: Sequence[dict[str, Any]], late_ms: float) -> Gate:
    said = ", ".join(
        f"{stage['name']} {stage['achieved_per_second']:,.0f} of {stage['target_per_second']:,.0f}/s, "
        f"99 % of them at most {stage['late']['p99_ms']:.1f} ms late"
        for stage in stages
    )
    reasons = [(stage["name"], why) for stage in stages if (why := void(stage, late_ms))]
    for name, why in reasons:
        said += f"; THE PERCENTILES OF {name} ARE VOID: {why}"
    return Gate(name="rate", exit_code=RATE, passed=not reasons, said=said or "not asked for")


def _latency(stages: Sequence[dict[str, Any]], p99_ms: float, late_ms: float) -> Gate:
    valid = [stage for stage in stages if not void(stage, late_ms)]
    said = ", ".join(
        f"{stage['name']} p99 {stage['all']['p99_ms']:.2f} ms ({stage['since_due']['p99_ms']:.2f} since due)"
        for stage in valid
    )
    return Gate(
        name="latency",
        exit_code=LATENCY,
        # Void percentiles show nothing, so they don't pass.
        passed=len(valid) == len(stages) and all(stage["all"]["p99_ms"] <= p99_ms for stage in valid),
        said=f"{said or 'none valid' if stages else 'not asked for'}; at most {p99_ms:g} ms",
    )
