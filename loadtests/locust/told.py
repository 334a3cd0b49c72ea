"""A load test's report for a terminal."""

from typing import Any, Final

from loadtests.locust.gates import held, void
from loadtests.tables import text_table

#: The most frequent ones; all are in report.json.
_MESSAGES: Final = 12


def told(report: dict[str, Any]) -> str:
    parts = [
        *([text_table("Stages", _stages(report))] if report["stages"] else []),
        *(text_table(f"Requests, {stage['name']}", _names(stage)) for stage in report["stages"]),
    ]
    if report["messages"]:
        messages = list(report["messages"].items())[:_MESSAGES]
        parts.append("\n".join(f"{count:7,}  {message}" for message, count in messages))
    if report["shape"] == "ramp":
        parts.append(_highest(report))
    parts.append(text_table(f"Gates: exit code {report['exit_code']}", _gates(report)))
    parts.append(f"Locust: {_generator(report)}. Reports: {report['directory']}")
    return "\n".join(parts)


def _stages(report: dict[str, Any]) -> list[list[str]]:
    rows = [
        [
            *("stage", "target/s", "achieved/s", "p50 ms", "p95 ms", "p99 ms"),
            *("p99 ms since due", "sent late, p99 ms", "errors", ""),
        ]
    ]
    for stage in report["stages"]:
        why = void(stage, report["late_limit_ms"])
        rows.append(
            [
                stage["name"],
                f"{stage['target_per_second']:,.0f}",
                f"{stage['achieved_per_second']:,.0f}",
                *_percentiles(stage["all"]),
                f"{stage['since_due']['p99_ms']:.2f}",
                f"{stage['late']['p99_ms']:.1f}",
                f"{stage['errors']:,}",
                f"void: {why}" if why else "",
            ]
        )
    return rows


def _names(stage: dict[str, Any]) -> list[list[str]]:
    rows = [["", "requests", "p50 ms", "p95 ms", "p99 ms", "errors"]]
    for name, found in stage["names"].items():
        rows.append([name, f"{found['count']:,}", *_percentiles(found), f"{found['errors']:,}"])
    return rows


def _percentiles(found: dict[str, float]) -> list[str]:
    return [f"{found[name]:.2f}" for name in ("p50_ms", "p95_ms", "p99_ms")]


def _gates(report: dict[str, Any]) -> list[list[str]]:
    rows = [["gate", "", "exit code"]]
    for gate in report["gates"]:
        verdict = "passed" if gate["passed"] else "FAILED"
        rows.append([gate["name"], f"{verdict}: {gate['said']}", str(gate["exit_code"])])
    return rows


def _highest(report: dict[str, Any]) -> str:
    limit = report["p99_limit_ms"]
    rates = []
    for stage in report["stages"]:
        if not held(stage, limit, report["late_limit_ms"]):
            break
        rates.append(stage["target_per_second"])
    if not rates:
        return "No step held all gates."
    return f"The highest step up to which all held (rate, no error, p99 ≤ {limit:g} ms): {rates[-1]:,.0f}/s"


def _generator(report: dict[str, Any]) -> str:
    requests = sum(stage["all"]["count"] for stage in report["stages"])
    return (
        f"{report['cpu_seconds']:.1f} s of CPU for {requests:,} requests that were measured, and the warm-up"
    )
