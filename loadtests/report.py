"""docs/benchmarks.md: the figures, and everything that is needed to doubt or to repeat them."""

import statistics
from collections.abc import Sequence
from typing import Any, Final

from loadtests.campaigns import CAMPAIGNS
from loadtests.figures import AIMS, TARGETS, TITLES, HttpFigures, MergeFigures, spread
from loadtests.plan import QUICK, ROWS_A_USER, Plan
from loadtests.tables import cpu, merges, requests

_HTTP_NOTES: Final = """\
- Closed loop: each connection has one request in flight, so latency and rate are two sides of one figure.
  The generator is `loadtests/generator.py`. A run with any other status than 200 (GET) or 202 (POST) is void.
- The targets take turns, round by round; a ratio is to the bare handler of the same round.
- The bare handler is one aiohttp route with ready-made bytes, uvloop and no access log. The aims are by its
  rate with the shortest possible requests; the second line gives it the requests of the GET, with their query
  strings and JWTs, and so shows what aiohttp itself takes to read those.
- GET: users in random order. Each one's JWT has been seen before, so the signature is not verified again.
  Answers are complete: counts of the replica, targeting, caps, order, signed tokens.
- POST: one token a request, each token new, got from the API by one GET of each user beforehand. 202 comes
  after the COPY committed. At the end the log held exactly as many impressions as were answered with 202.
- Everything runs as in production: merge every 250 ms, streaming replica, fsync, full page images.
- "Server busy" near 100 % says that the server's core was the limit; "others busy" near 100 % that
  generator and PostgreSQL were, and that on more cores the server would have done more.
- "Of bare, by CPU" compares CPU seconds for each request of the server alone: it is the ratio of rates if
  the server's core is the only limit, and other work on the machine moves it less than the rates.
- CPU includes warm-up and, for POST, the merge and the replication of all that was written."""

_MERGE_NOTES: Final = """\
Each merge is a `tayang merge --json` of its own (a fresh connection with cold caches) while `tayang maintain`
is suspended; the time is the one it reports. All impressions are of users and campaigns already counted.

- *First after a checkpoint*: PostgreSQL writes a full image of each page that is changed for the first time.
- *One after another*: other users in each merge, no checkpoint between; most pages are still new to the WAL.
- *The same users again*: the pages are cached, and their images are in the WAL already."""


def markdown(plan: Plan, about: dict[str, Any], http: HttpFigures | None, merge: MergeFigures | None) -> str:
    parts = ["# Benchmarks", _introduction(plan, about), _machine(about)]
    if http:
        parts += ["## Aims", _aims(http), "## Requests", _requests(plan, http)]
    if merge:
        parts += ["## Merge", _merge(plan, merge)]
    return "\n\n".join(parts) + "\n"


def _introduction(plan: Plan, about: dict[str, Any]) -> str:
    text = f"Written by `{about['command']}`. It needs nothing but the development dependencies."
    if plan == QUICK:
        text += "\n\n**A `--quick` run: it shows that the benchmark works. Its figures mean nothing.**"
    return text


def _machine(about: dict[str, Any]) -> str:
    packages = ", ".join(f"{name} {number}" for name, number in about["packages"].items())
    rows = [
        ["", ""],
        ["date", about["date"]],
        ["commit", about["commit"]],
        [
            "machine",
            f"{about['cores']} cores of {about['cpu']}, {about['memory_gib']} GiB, {about['kernel']}",
        ],
        ["load average", f"{_loads(about['load_before'])} before, {_loads(about['load_after'])} after"],
        ["versions", f"Python {about['python']}, PostgreSQL {about['postgresql']}, {packages}"],
    ]
    return _table(rows)


def _aims(http: HttpFigures) -> str:
    lines = []
    for target, aim in AIMS.items():
        ratios = http.ratios(target)
        word = "reached" if http.reached(target) else "**not reached**"
        lines.append(
            f"- {TITLES[target]}, at least {aim:.2f} of the bare handler: {word}, "
            f"median {statistics.median(ratios):.3f} (from {min(ratios):.3f} to {max(ratios):.3f})."
        )
    return "\n".join(lines)


def _requests(plan: Plan, http: HttpFigures) -> str:
    left_out = ", ".join(f"{count:.2f} {reason.replace('_', ' ')}" for reason, count in http.left_out.items())
    setting = (
        f"One api worker, {plan.connections} connections, {CAMPAIGNS} live campaigns, {plan.users:,} users "
        f"with {ROWS_A_USER} counted campaigns each; {plan.rounds} rounds of {plan.measure_seconds:g} s a "
        f"target after {plan.warm_up_seconds:g} s to warm up. Pinning: {http.pinning}. A GET gives "
        f"{http.popups_a_get:.2f} popups and leaves out, of the campaigns it looks at: {left_out}. "
        f"{http.replica_share:.1%} of the read batches were answered by the replica. {http.confirmed:,} "
        "impressions were confirmed and found in the log."
    )
    return "\n\n".join(
        [
            setting,
            _noise(http),
            _table(requests(http)),
            "Each round, in requests per second:",
            _table(_rounds(http)),
            "CPU seconds per 1,000 requests:",
            _table(cpu(http)),
            _HTTP_NOTES,
        ]
    )


def _noise(http: HttpFigures) -> str:
    noise = spread([run.requests_per_second for run in http.of("bare")])
    text = (
        f"The machine's noise: the bare handler's rates differ by {noise:.1%} between rounds (spread: the "
        f"largest minus the smallest, by the median). Of the CPU time, {http.foreign_share:.1%} went to "
        f"other processes and {http.stolen_share:.1%} to other guests of the host."
    )
    if http.disturbed:
        text += (
            "\n\n**The machine was not quiet: rates and latencies are worse than they need be, and ratios "
            'vary. Repeat it, or go by the column "of bare, by CPU".**'
        )
    return text


def _rounds(http: HttpFigures) -> list[list[str]]:
    rows = [
        ["round", *(TITLES[target] for target in TARGETS), *(f"{target.upper()} of bare" for target in AIMS)]
    ]
    columns = [[f"{run.requests_per_second:,.0f}" for run in http.of(target)] for target in TARGETS]
    ratios = [[f"{ratio:.3f}" for ratio in http.ratios(target)] for target in AIMS]
    rows += [[str(number), *cells] for number, cells in enumerate(zip(*columns, *ratios, strict=True), 1)]
    return rows


def _merge(plan: Plan, merge: MergeFigures) -> str:
    setting = (
        f"{merge.counted_rows:,} rows of {plan.merge_users:,} users already counted, {plan.merge_rows:,} "
        "buffered rows a merge, a streaming replica attached."
    )
    return "\n\n".join([setting, _table(merges(merge)), _MERGE_NOTES])


def _loads(loads: Sequence[float]) -> str:
    return " / ".join(f"{load:.2f}" for load in loads)


def _table(rows: list[list[str]]) -> str:
    head, *body = rows
    rule = ["---", *("---:" for _ in head[1:])] if any(head) else ["---" for _ in head]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *body))
