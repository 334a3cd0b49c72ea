"""docs/benchmarks.md: the figures, and everything that is needed to doubt or to repeat them."""

import statistics
from collections.abc import Sequence
from typing import Any, Final

from loadtests.campaigns import CAMPAIGNS
from loadtests.figures import AIMS, SAME_REQUESTS, TITLES, HttpFigures, MergeFigures, spread
from loadtests.plan import QUICK, ROWS_A_USER, Plan
from loadtests.tables import cpu, curves, merges, ratios, requests

_HTTP_NOTES: Final = """\
- Closed loop: each connection has one request in flight, so latency and rate are two sides of one figure.
  The generator is `loadtests/generator.py`. A run with any other status than 200 (GET) or 202 (POST) is void.
- The targets take turns, round by round; a ratio is to the bare handler of the same round.
- The bare handler answers with ready-made bytes, in aiohttp with uvloop and no access log. The aims are by
  its rate with the shortest possible requests. In two more lines it is given the requests of GET and of POST,
  with their query strings, JWTs and bodies, and so shows what aiohttp itself takes to read those.
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

_BASELINE_NOTES: Final = """\
They run on the same servers with the same data, users and JWTs (verified by the same library, remembered as
here), pinned the same way, and their processes and tables stand in `loadtests/baselines/`. While one is
measured the others are idle; Tayang's idle merge and heartbeat cost the databases some thousandths of a core.

- *Old design*: a GET is one prepared statement on the replica, with COUNT(*) over an indexed log for each cap
  (an index-only scan); an impression is one INSERT on the primary, durable before the answer. asyncpg pools
  of 16, without the round trip that resets a session.
- *Redis*: redis-py with hiredis, campaigns in the process, one pipeline for each request: MGET of the caps'
  counters and the user's lists; INCR and EXPIRE for each cap, and XADD to a stream for whoever stores it.
  appendonly, synced every second, so the last second is lost with the server. Storing the stream is extra.
- Both do less than Tayang: no targeting, no calendar windows, no least-recently-shown order, no signed
  tokens, and an impression that is sent twice counts twice.
- "WAL bytes" are for each request, the merge's included; full page images after a checkpoint are in them."""

_MERGE_NOTES: Final = """\
Each merge is a `tayang merge --json` of its own (a fresh connection with cold caches) while `tayang maintain`
is suspended; the time is the one it reports. All impressions are of users and campaigns already counted.

- *First after a checkpoint*: PostgreSQL writes a full image of each page that is changed for the first time.
- *One after another*: other users in each merge, no checkpoint between; most pages are still new to the WAL.
- *The same users again*: the pages are cached, and their images are in the WAL already."""


def markdown(
    plan: Plan, about: dict[str, Any], http: HttpFigures | None, merge: MergeFigures | None, picture: str
) -> str:
    """`picture`: the name of the SVG beside the report, without its ending."""
    parts = ["# Benchmarks", _introduction(plan, about), _machine(about)]
    if http:
        parts += ["## Aims", _aims(http), "## Requests", _requests(plan, http)]
        if http.points:
            parts += ["## Throughput against latency", _curves(plan, http, picture)]
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
    if about["redis_server"]:
        packages += f", redis-server {about['redis_server']}"
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
    for target, other in http.aims:
        found = http.ratios(target, other)
        word = "reached" if http.reached(target, other) else "**not reached**"
        lines.append(
            f"- {TITLES[target]}, at least {AIMS[target, other]:.2f} times {TITLES[other]}: {word}, "
            f"median {statistics.median(found):.3f} (from {min(found):.3f} to {max(found):.3f})."
        )
    same = " and ".join(
        f"{statistics.median(http.ratios(target, bare)):.3f} for {target.upper()}"
        for target, bare in SAME_REQUESTS.items()
    )
    lines.append(f"- By a bare handler that is given the same requests: {same}. This is no aim.")
    return "\n".join([*lines, "", _table(ratios(http))])


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
            "### What it is compared with",
            _BASELINE_NOTES,
        ]
    )


def _curves(plan: Plan, http: HttpFigures, picture: str) -> str:
    setting = (
        f"Each number of connections in turn, {plan.curve_seconds:g} s a target after "
        f"{plan.warm_up_seconds:g} s to warm up: requests per second, and p99 in ms in brackets."
    )
    return "\n\n".join(
        [f"![Throughput against p99 of each system]({picture}.svg)", setting, _table(curves(http.points))]
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
        ["round", *(TITLES[target] for target in http.targets)],
    ]
    columns = [[f"{run.requests_per_second:,.0f}" for run in http.of(target)] for target in http.targets]
    rows += [[str(number), *cells] for number, cells in enumerate(zip(*columns, strict=True), 1)]
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
