"""What a flood has shown, and which claims held."""

from dataclasses import dataclass
from typing import Any, Final

from loadtests.figures import percentile
from tests.adversity.drills.open_loop import Outcome
from tests.adversity.drills.worker_watch import Watched

_P99_MAX_MS: Final = 250.0
_RECOVERED_MAX_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Flood:
    times: float
    closed: Outcome
    flooded: Outcome
    after: Outcome
    witness: Outcome  # during the flood and after it
    worker: Watched


def report(flood: Flood) -> dict[str, Any]:
    flooded, witness = flood.flooded, flood.witness
    capacity = flood.closed.accepted / flood.closed.seconds
    during = [latency for at, latency in witness.latencies if at <= flooded.seconds]
    recovered = _recovered_seconds(flood)
    refused = Outcome()
    refused.add(flooded)
    refused.add(witness)
    return {
        "capacity_per_second": round(capacity),
        "capacity_p99_ms": _ms(flood.closed, 99),
        "planned_times": flood.times,
        "offered_per_second": round((flooded.sent + flooded.not_sent) / flooded.seconds),
        "sent_per_second": round(flooded.sent / flooded.seconds),
        "sent_times": round(flooded.sent / flooded.seconds / capacity, 2),
        "accepted_per_second": round(flooded.accepted / flooded.seconds),
        "statuses": _statuses(flooded),
        "witness_statuses": _statuses(witness),
        "witness_accepted": len(during),
        "witness_p50_ms": _percentile_ms(during, 50),
        "witness_p99_ms": _percentile_ms(during, 99),
        "generators_p50_ms": _ms(flooded, 50),
        "generators_p99_ms": _ms(flooded, 99),
        "loop_lag_p50_ms": _percentile_ms(flood.worker.lags, 50),
        "loop_lag_max_ms": _percentile_ms(flood.worker.lags, 100),
        "without_retry_after": refused.without_retry_after,
        "without_answer": refused.lost,
        "memory_mib": {
            name: round(getattr(flood.worker, name) / 2**20, 1) for name in ("before", "most", "after")
        },
        "recovered_after_seconds": recovered,
        "after_p99_ms": _ms(flood.after, 99),
        "shed": {
            name: int(value)
            for name, value in flood.worker.metrics.items()
            if "requests_shed" in name or "connections_refused" in name
        },
        "claims": {
            "refused only with 503 and Retry-After": set(refused.statuses) <= {200, 202, 503}
            and not refused.without_retry_after,
            "nobody was left without an answer": not refused.lost,
            "p99 of what was accepted at most 250 ms": _percentile_ms(during, 99) <= _P99_MAX_MS,
            "full service within 2 s": recovered <= _RECOVERED_MAX_SECONDS,
        },
    }


def table(result: dict[str, Any]) -> str:
    lines = (f"{name.replace('_', ' '):28} {value}" for name, value in result.items() if name != "claims")
    claims = (f"{'held' if held else 'BROKEN':7} {name}" for name, held in result["claims"].items())
    return "\n".join((*lines, "", *claims))


def _recovered_seconds(flood: Flood) -> float:
    """When, after the flood, the last answer came that was refused or slower than it may be."""
    ended = flood.flooded.seconds
    bad = (*flood.witness.refused_at, *_slow_at(flood.witness))
    return round(max((at - ended for at in bad if at > ended), default=0.0), 3)


def _slow_at(outcome: Outcome) -> list[float]:
    return [at for at, latency in outcome.latencies if 1000 * latency > _P99_MAX_MS]


def _statuses(outcome: Outcome) -> dict[str, int]:
    return {str(status): count for status, count in sorted(outcome.statuses.items())}


def _ms(outcome: Outcome, percent: float) -> float:
    return _percentile_ms([latency for _, latency in outcome.latencies], percent)


def _percentile_ms(seconds: list[float], percent: float) -> float:
    return round(1000 * percentile(seconds, percent), 1) if seconds else 0.0
