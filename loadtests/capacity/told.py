"""The model, its comparison and a rate's needs as tables; the first row holds the headings."""

import math
from collections.abc import Sequence

from loadtests.capacity.model import Model
from loadtests.capacity.plan import Needs
from loadtests.capacity.predict import AIM, Comparison
from loadtests.tables import text_table

Rows = list[list[str]]


def told_comparison(found: Sequence[Comparison]) -> str:
    return f"{text_table('Points that the fit has not seen', comparisons(found))}\n{verdict(found)}"


def told_needs(found: Sequence[Needs]) -> str:
    tables = [text_table("What it needs", requirements(found))]
    tables += [text_table(f"One primary at {rate(each.wanted.tps)}", limits(each)) for each in found]
    return "\n".join([*tables, *(first_limit(each) for each in found)])


def verdict(found: Sequence[Comparison]) -> str:
    within = sum(each.within for each in found)
    text = f"{within} of {len(found)} figures are within {AIM:.0%} of what was measured"
    worst = max(found, key=lambda each: abs(each.deviation))
    return f'{text}; the worst is {worst.figure} of "{worst.point}", {worst.deviation:+.0%}.'


def first_limit(needs: Needs) -> str:
    first = needs.limits[0]
    events = (1 - needs.wanted.get_share) * first.tps
    return (
        f"First to be used up on one primary: {first.name}, {number(first.available)} {first.unit}, "
        f"at {rate(first.tps)} ({events:,.0f} events/s)."
    )


def comparisons(found: Sequence[Comparison]) -> Rows:
    rows = [["point", "figure", "measured", "predicted", "deviation", ""]]
    for each in found:
        cells = [each.point, each.figure, number(each.measured), number(each.predicted)]
        rows.append([*cells, f"{each.deviation:+.0%}", "" if each.within else "beyond"])
    return rows


def parameters(model: Model) -> Rows:
    """What the fit has found."""
    rows = [["parameter", "value"]]
    for name, kind in (("GET", model.get), ("event", model.post)):
        rows += [
            [f"{part}, CPU of {'a' if name == 'GET' else 'an'} {name}", _cost(cost.each, cost.batch)]
            for part, cost in kind.cpu.items()
        ]
        rows += [
            [f"{name}s in flight at a worker that are in the batch", f"{kind.share_in_batch:.0%}"],
            [f"{name} alone, waiting beyond CPU time", f"{1e3 * kind.delay_seconds:.2f} ms"],
            [f"{name}s, the busiest core at most", f"{kind.busy_max:.0%} busy"],
        ]
    rows += [
        [f"{part}, CPU of an event for each other worker", _cost(seconds, 0.0)]
        for part, seconds in model.heard.items()
    ]
    rows += [
        [f"{part}, CPU of a GET more while events come", _cost(seconds, 0.0)]
        for part, seconds in model.amid.items()
    ]
    rows.append(["api's CPU without a core of its own", f"{model.shared:.2f} times as much"])
    merge, storage = model.merge, model.storage
    rows += [[f"idle service: {part}", f"{value:.2%} of a core"] for part, value in model.idle.items()
             if part != "generator"]  # fmt: skip
    rows += [
        ["merges", f"{merge.merges_per_second:.1f}/s"],
        [
            "merge that finds rows",
            f"{1e3 * merge.cpu_a_merge:.2f} ms of CPU, {merge.syncs_a_merge:.1f} syncs",
        ],
        ["merged row, in merges of thousands", f"{1e6 * merge.seconds_a_row:.1f} µs"],
        ["first row on a page since a checkpoint", f"{1e6 * merge.seconds_an_image:.1f} µs more"],
        ["WAL of an event", f"{merge.wal_bytes_a_row:,.0f} bytes"],
        ["WAL of a merge that finds rows", f"{merge.wal_bytes_a_merge:,.0f} bytes"],
        ["WAL of an event in merges of thousands", f"{merge.wal_bytes_alone:,.0f} bytes"],
        ["WAL of a page's image", f"{merge.image_bytes:,.0f} bytes"],
        ["log, a row with its index", f"{storage.log_bytes_a_row:.0f} bytes"],
        ["counts, a row with its index", f"{storage.count_bytes_a_row:.0f} bytes"],
        ["network, all hops, of a GET", f"{storage.network_bytes_a_get:,.0f} bytes"],
        ["network, all hops, of an event", f"{storage.network_bytes_an_event:,.0f} bytes"],
    ]
    return rows


def requirements(found: Sequence[Needs]) -> Rows:
    def row(title: str, *cells: str) -> list[str]:
        return [title, *cells]

    return [
        row("", *(rate(each.wanted.tps) for each in found)),
        row("GETs/s and events/s", *(
            f"{each.wanted.tps - each.wanted.events_per_second:,.0f} and {each.wanted.events_per_second:,.0f}"
            for each in found
        )),
        row("announcements", *("on" if each.wanted.announcements else "off" for each in found)),
        row("api workers, a core each", *(f"{each.workers:,}" for each in found)),
        row("… of requests/s each", *(f"{each.wanted.tps / each.workers:,.0f}" for each in found)),
        row("GETs a read batch, rows a COPY", *(
            f"{each.worker.read_batch:.1f}, {each.worker.copy_batch:.1f}" for each in found
        )),
        row("replicas, cores of each", *(f"{each.replicas} of {each.replica_cores:.1f}" for each in found)),
        row("cores of the primary", *(f"{each.primary_cores:.1f}" for each in found)),
        row("network, all hops", *(f"{each.network_mb_per_second:,.0f} MB/s" for each in found)),
        row("log, a day", *(f"{each.log_gb_a_day:,.0f} GB" for each in found)),
        row("log, all of its retention", *(f"{each.log_gb:,.0f} GB" for each in found)),
        row("counts", *(f"{each.counts_gb:,.0f} GB" for each in found)),
        row("pending rows, all workers", *(f"{each.pending_rows:,.0f}" for each in found)),
        row("pending lists full, if nothing is merged, after", *(
            f"{each.pending_full_seconds:,.0f} s" for each in found
        )),
        row("connections to the primary, to a replica", *(
            f"{each.primary_connections:,}, {each.replica_connections:,}" for each in found
        )),
    ]  # fmt: skip


def limits(needs: Needs) -> Rows:
    rows = [["of one primary", "used", "there is", "used up at", ""]]
    for limit in needs.limits:
        beyond = "" if limit.used <= limit.available else "too much"
        cells = [f"{number(limit.used)} {limit.unit}", f"{number(limit.available)} {limit.unit}"]
        rows.append([limit.name, *cells, rate(limit.tps), beyond])
    return rows


def rate(tps: float) -> str:
    return "no rate" if math.isinf(tps) else f"{tps:,.0f} TPS"


def number(value: float) -> str:
    """Three digits at least, none that say nothing."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _cost(each: float, batch: float) -> str:
    if not batch:
        return f"{1e6 * each:.1f} µs"
    return f"{1e6 * each:.1f} µs + {1e6 * batch:.1f} µs / those in the batch"
