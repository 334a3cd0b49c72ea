"""The capacity model against made-up figures, whose truth is known, and its page against its measurement."""

import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from loadtests.capacity.__main__ import main
from loadtests.capacity.fit import FITTED_MERGES, fit
from loadtests.capacity.measure import loads
from loadtests.capacity.model import Model, first_touches
from loadtests.capacity.page import BEGIN, END, generated
from loadtests.capacity.plan import Limit, Needs, Wanted, needs
from loadtests.capacity.points import Load, Measured, Merged, Point
from loadtests.capacity.predict import Comparison, compare
from loadtests.capacity.queues import Cores, closed, paced
from loadtests.capacity.readings import PARTS, Reading
from loadtests.capacity.worker import fullest_worker
from loadtests.service import BenchError

DOCS = Path(__file__).parents[2] / "docs"
#: Of a load, and until all of it is known to be merged and replayed.
SECONDS, AFTER = 10.0, 2.5
#: µs of CPU: (of each, of a batch). A batch holds half of what is in flight.
GET = {"api": (100.0, 300.0), "readers": (40.0, 160.0), "generator": (20.0, 60.0)}
POST = {
    "api": (80.0, 200.0),
    "copy": (5.0, 95.0),
    "generator": (15.0, 45.0),
    "merge": (30.0, 0.0),
    "primary_rest": (2.0, 0.0),
    "replay": (4.0, 0.0),
    "replica_rest": (1.0, 0.0),
}
HEARD = {"api": 20.0, "primary_rest": 3.0}
#: µs more of a GET while events come.
AMID = {"readers": 15.0}
IDLE = {"api": 0.02, "readers": 0.01, "merge": 0.02, "primary_rest": 0.01, "maintenance": 0.01}
MERGES_A_SECOND, SYNCS_A_MERGE, IDLE_SYNCS = 4.0, 2.0, 3.0
WAL_A_ROW, WAL_A_MERGE, IMAGE = 600.0, 4_000.0, 6_000.0
PAGES = 20_000.0


def test_the_fit_finds_what_the_figures_were_made_from() -> None:
    model = fit(measured())

    for kind, truth in ((model.get, GET), (model.post, POST)):
        found = {part: (1e6 * cost.each, 1e6 * cost.batch) for part, cost in kind.cpu.items()}
        assert found == {part: pytest.approx(costs, abs=0.01) for part, costs in truth.items()}
        assert kind.share_in_batch == pytest.approx(0.5)
    assert model.shared == pytest.approx(1.0)
    assert {part: 1e6 * seconds for part, seconds in model.heard.items()} == pytest.approx(HEARD)
    assert {part: 1e6 * seconds for part, seconds in model.amid.items()} == pytest.approx(AMID)
    assert model.merge.wal_bytes_a_row == pytest.approx(WAL_A_ROW)
    assert model.merge.wal_bytes_a_merge == pytest.approx(WAL_A_MERGE)
    assert model.merge.image_bytes == pytest.approx(IMAGE)
    assert model.merge.syncs_a_merge == pytest.approx(SYNCS_A_MERGE)
    assert model.merge.cpu_a_merge == pytest.approx(0.005)
    assert model.merge.seconds_a_row == pytest.approx(20e-6)
    assert model.merge.seconds_an_image == pytest.approx(50e-6)


def test_a_worker_without_a_core_of_its_own_is_slower_and_that_is_no_hearing() -> None:
    two = [load.name for load in SEEN if load.workers == 2]
    whole = measured(slower=dict.fromkeys(two, 1.25))

    model = fit(whole)

    assert model.shared == pytest.approx(1.25, rel=0.05)
    assert 1e6 * model.heard["api"] == pytest.approx(HEARD["api"], rel=0.1)


def test_the_least_disturbed_round_counts() -> None:
    quiet = measured()
    loud = measured(slower={load.name: 2.0 for load in SEEN if load.connections})

    both = fit(replace(quiet, points=[*loud.points, *quiet.points]))

    assert both.get.cpu == fit(quiet).get.cpu
    assert both.post.cpu == fit(quiet).post.cpu


def test_points_that_the_fit_has_not_seen_are_predicted() -> None:
    found = compare(fit(measured()), measured())

    assert {each.point for each in found} == {
        "GET, 16 connections, 1 worker",
        "mixed, 16 connections, 1 worker",
        "POST, 64 connections, 4 workers",
        "merges, one after another",
    }
    beyond = [each for each in found if each.figure != "requests/s" and abs(each.deviation) > 0.02]
    assert beyond == []


def test_what_the_fit_has_seen_is_never_compared() -> None:
    seen = {load.name for load in SEEN} | {f"merges, {state}" for state in FITTED_MERGES}

    assert not seen & {each.point for each in compare(fit(measured()), measured())}


def test_a_figure_that_deviates_by_more_than_a_fifth_is_beyond(tmp_path: Path) -> None:
    wrong = measured(slower={"GET, 16 connections, 1 worker": 1.3})

    beyond = [each for each in compare(fit(wrong), wrong) if not each.within]

    assert [each.figure for each in beyond if each.figure != "requests/s"] == [
        "CPU of api, µs a request",
        "CPU of replica, µs a request",
        "CPU of all servers, µs a request",
    ]
    assert [each.deviation for each in beyond if "CPU" in each.figure] == [pytest.approx(-0.23, abs=0.03)] * 3
    assert run("predict", "--file", written(tmp_path, wrong)) == 3


def test_the_deviation_is_of_what_was_measured() -> None:
    def compared(predicted: float) -> Comparison:
        return Comparison(point="", figure="", measured=10.0, predicted=predicted)

    assert [compared(predicted).within for predicted in (7.9, 8.1, 11.9, 12.1)] == [False, True, True, False]


def test_a_rate_that_was_not_reached_is_not_compared() -> None:
    whole = measured()
    paced_load = Load(workers=1, connections=200, get_share=0.55, rate=2_000.0)
    point = replace(whole.points[-1], load=paced_load)

    def compared(rate: float) -> bool:
        points = [*whole.points, replace(point, requests_per_second=rate)]
        found = compare(fit(whole), replace(whole, points=points))
        return paced_load.name in {each.point for each in found}

    assert [compared(rate) for rate in (1_900.0, 1_990.0)] == [False, True]


def test_a_page_is_written_to_the_wal_whole_the_first_time_only() -> None:
    assert first_touches(0, 1, 1e9) == pytest.approx(1.0)
    assert first_touches(0, 40, 20) * 40 == pytest.approx(20 * (1 - 0.1353), rel=1e-3)
    apart = first_touches(0, 10, 20) * 10 + first_touches(10, 30, 20) * 30
    assert apart == pytest.approx(first_touches(0, 40, 20) * 40)
    assert first_touches(1e6, 10, 20) == pytest.approx(0.0)


def test_one_connection_waits_for_nobody() -> None:
    model = fit(measured())

    state = closed(model, SEEN[1], Cores(count=2, api_alone=True))

    # The delay is such that one connection gets the rate that it was measured to get.
    assert state.requests_per_second == pytest.approx(250.0, rel=0.03)
    assert state.read_batch == 1.0


def test_in_a_closed_loop_the_busiest_core_bounds_the_rate() -> None:
    model = fit(measured())
    load = SEEN[4]

    state = closed(model, load, Cores(count=2, api_alone=True))

    assert state.requests_per_second * state.cpu["api"] == pytest.approx(model.get.busy_max, rel=0.05)


def test_what_is_in_flight_at_a_rate_makes_the_batches_and_they_make_requests_cheaper() -> None:
    model = fit(measured())

    slow, fast = (
        paced(model, Load(workers=1, connections=200, get_share=0.55, rate=rate), 0.004)
        for rate in (100.0, 4_000.0)
    )

    assert slow.read_batch == 1.0
    assert slow.cpu["api"] == pytest.approx(0.55 * 400e-6 + 0.45 * 280e-6)
    # Little's law: 4,000 * 0.004 * 0.55 GETs are in flight, and half of them in the batch.
    assert fast.read_batch == pytest.approx(math.hypot(1.0, 4.4))
    assert fast.cpu["api"] == pytest.approx(
        0.55 * (100e-6 + 300e-6 / fast.read_batch) + 0.45 * (80e-6 + 200e-6 / fast.copy_batch)
    )


def test_a_worker_is_filled_up_to_the_headroom() -> None:
    model = fit(measured())

    worker = fullest_worker(model, 0.55, 0.6)

    assert worker.busy == pytest.approx(0.6, abs=0.01)
    assert worker.rate > 0.58 / 500e-6  # no batches at all
    assert fullest_worker(model, 0.55, 0.3).rate < worker.rate
    delay = 0.55 * model.get.delay_seconds + 0.45 * model.post.delay_seconds
    batches = (worker.read_batch, worker.copy_batch)
    work = sum(model.cpu_of(part, 0.55, *batches) for part in ("api", "readers", "copy"))
    assert worker.latency_seconds == pytest.approx(delay + work / (1 - 0.6))


def test_a_plan_adds_up() -> None:
    found = plan(tps=10_000)

    worker = found.worker
    assert found.workers - 1 < 10_000 / worker.rate <= found.workers
    copy = 5e-6 + 95e-6 / worker.copy_batch
    images = first_touches(0, 4_500 * 300, 1e8 / 10)
    # The merge costs 30 µs a row in operation, 50 more for an image; 4 merges a second 5 ms each; idle 2 %.
    merging = 4_500 * (30e-6 + images * 50e-6) + 4 * 0.005 + 0.02
    assert limit(found, "merge, one process").used == pytest.approx(merging / 0.6)
    hearing = 4_500 * (10_000 / worker.rate - 1) * 3e-6
    primary = 4_500 * (copy + 2e-6) + merging + hearing + 0.01
    assert found.primary_cores == pytest.approx(primary / 0.6)
    assert limit(found, "WAL").used == pytest.approx((4_500 * (600 + images * 6_000) + 16_000) / 1e6)
    assert limit(found, "replay on each replica, one process").used == pytest.approx(4_500 * 4e-6 / 0.6)
    assert found.log_gb_a_day == pytest.approx(4_500 * 0.4 * 86_400 * 200 / 1e9)
    assert found.log_gb == pytest.approx(35 * found.log_gb_a_day)
    assert found.pending_rows == pytest.approx(4_500 * (0.5 + worker.latency_seconds))
    assert found.pending_full_seconds == pytest.approx(250_000 * found.workers / 4_500)
    assert found.primary_connections == 3 * found.workers + 10


def test_replicas_share_the_reading_and_each_replays_everything() -> None:
    few, many = plan(tps=10_000), plan(tps=100_000)

    assert few.replicas == 1
    reading = 55_000 * (40e-6 + 15e-6 + 160e-6 / many.worker.read_batch) + 0.01 * many.workers
    replaying = 45_000 * 5e-6
    assert many.replicas * (0.6 * 16 - replaying) >= reading > (many.replicas - 1) * (0.6 * 16 - replaying)
    assert many.replica_cores == pytest.approx((reading / many.replicas + replaying) / 0.6)


def test_a_worker_hears_of_every_event_before_it_answers_any_request() -> None:
    hearing, deaf = plan(tps=40_000), plan(tps=40_000, announcements=False)

    name = "announcements, heard by each api worker"
    assert limit(hearing, name).used == pytest.approx(18_000 * 20e-6 / 0.6)
    assert hearing.worker.busy == pytest.approx(0.6 - 18_000 * 20e-6, abs=0.01)
    assert limit(deaf, name).tps == math.inf
    assert deaf.workers < hearing.workers
    assert deaf.primary_cores < hearing.primary_cores


def test_the_first_limit_is_where_one_primary_ends() -> None:
    found = plan(tps=100_000)

    first = found.limits[0]
    assert first.name == "merge, one process"
    assert not found.fits
    at_it = plan(tps=first.tps)
    assert limit(at_it, first.name).used == pytest.approx(first.available, rel=1e-3)
    assert plan(tps=0.99 * first.tps).fits
    tight = plan(tps=10_000, wal_mb_per_second=5.0)
    assert tight.limits[0].name == "WAL"
    assert tight.limits[0].tps < first.tps


def test_the_exit_code_of_a_plan_says_whether_one_primary_does(tmp_path: Path) -> None:
    file = written(tmp_path, measured())

    assert run("plan", "--file", file, "--tps", "2000") == 0
    assert run("plan", "--file", file, "--tps", "1000000") == 4


def test_a_file_that_is_no_measurement_is_said_to_be_none(tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text('{"points": []}')

    assert run("predict", "--file", str(file)) == 1


def test_a_point_that_was_not_measured_is_named() -> None:
    whole = measured()
    points = [point for point in whole.points if point.load != SEEN[-1]]

    with pytest.raises(BenchError, match="POST, 64 connections, 2 workers"):
        fit(replace(whole, points=points))


def test_what_the_fit_needs_is_measured() -> None:
    assert set(SEEN) <= {*loads(1), *loads(2)}


def test_the_page_has_the_figures_of_its_measurement() -> None:
    page = (DOCS / "capacity.md").read_text(encoding="utf-8")
    held = Measured.read(DOCS / "capacity.json")
    model = fit(held)

    part = page.split(BEGIN)[1].split(END)[0].strip()

    assert part == generated(held, model, compare(model, held)).strip()


SEEN = (
    Load(workers=1, connections=0, get_share=0.0),
    Load(workers=1, connections=1, get_share=1.0),
    Load(workers=1, connections=1, get_share=0.0),
    Load(workers=1, connections=4, get_share=1.0),
    Load(workers=1, connections=64, get_share=1.0),
    Load(workers=1, connections=4, get_share=0.0),
    Load(workers=1, connections=64, get_share=0.0),
    Load(workers=1, connections=4, get_share=0.55),
    Load(workers=2, connections=64, get_share=1.0),
    Load(workers=2, connections=64, get_share=0.0),
)
UNSEEN = (
    Load(workers=1, connections=16, get_share=1.0),
    Load(workers=1, connections=16, get_share=0.55),
    Load(workers=4, connections=64, get_share=0.0),
)


def measured(slower: dict[str, float] | None = None) -> Measured:
    """Each point as the truth has it; `slower` by name: its CPU times so much."""
    merged = (
        _merged(FITTED_MERGES[0], 0, rows=10_000, merges=2, share=first_touches(0, 5_000, PAGES)),
        _merged("one after another", 5_000, rows=10_000, merges=2, share=first_touches(5_000, 10_000, PAGES)),
        _merged(FITTED_MERGES[1], None, rows=10_000, merges=2, share=0.0),
    )
    few = {"log_bytes": 2e8, "log_rows": 1e6, "count_bytes": 3e7, "count_rows": 1e5, "count_pages": 1e4}
    return Measured(
        machine={
            "date": "2026-11-23 22:34 UTC", "commit": "0", "cpu": "a CPU", "memory_gib": 1, "kernel": "Linux",
            "postgresql": "18", "python": "3.11", "load_before": [0.0, 0.0, 0.0],
        },
        cores=2,
        pinned=True,
        points=[_point(load, (slower or {}).get(load.name, 1.0)) for load in (*SEEN, *UNSEEN)],
        merged=merged,
        merged_pages=PAGES,
        sizes={
            "1": {**few, "connections": 5, "replica_connections": 2},
            "2": {**few, "connections": 8, "replica_connections": 3},
        },
    )  # fmt: skip


def _point(load: Load, slower: float) -> Point:
    """So many requests that the CPU times are whole: the rates are not judged here."""
    requests = {0: 0, 1: 2_500, 4: 10_000}.get(load.connections, 25_000)
    gets, rows = round(requests * load.get_share), round(requests * (1 - load.get_share))
    a_worker = load.connections / load.workers
    # As an idle worker reads now and then, so do two.
    idle_batches = 4 * (SECONDS + AFTER) * load.workers
    batches = gets / _batch(a_worker * load.get_share)
    copies = rows / _batch(a_worker * (1 - load.get_share))
    merges = SECONDS * MERGES_A_SECOND * bool(rows)
    idle_seconds = AFTER + SECONDS * (not rows)  # in which it merges once a second
    busy = {
        part: slower
        * 1e-6
        * (
            gets * (GET.get(part, (0, 0))[0] + (AMID.get(part, 0) if rows else 0))
            + batches * GET.get(part, (0, 0))[1]
            + rows * (POST.get(part, (0, 0))[0] + (load.workers - 1) * HEARD.get(part, 0))
            + copies * POST.get(part, (0, 0))[1]
        )
        + (0.005 * merges if part == "merge" else 0.0)
        + IDLE.get(part, 0.0) * (SECONDS + AFTER) * (load.workers if part in ("api", "readers") else 1)
        for part in PARTS
    }
    return Point(
        load=load, round=1, requests=requests, elapsed_seconds=SECONDS,
        requests_per_second=requests / SECONDS, p50_ms=1.0, p99_ms=1.0, busy=busy,
        used=Reading(
            seconds=SECONDS + AFTER, cpu=busy, users_read=gets,
            read_batches=batches + idle_batches, rows=rows, copies=copies,
            merges=merges + idle_seconds,
            wal_bytes=rows * WAL_A_ROW + merges * WAL_A_MERGE,
            wal_syncs=merges * SYNCS_A_MERGE + IDLE_SYNCS * idle_seconds, wal_writes=0, wal_images=0,
            network_bytes=1_000.0 * requests, page_writes=None,
        ),
    )  # fmt: skip


def _batch(in_flight: float) -> float:
    return min(max(1.0, in_flight), math.hypot(1.0, 0.5 * in_flight))


def _merged(state: str, before: int | None, *, rows: int, merges: int, share: float) -> Merged:
    return Merged(
        state=state, rows_before=before, merges=merges, rows=rows, seconds=rows * (20e-6 + share * 50e-6),
        wal_bytes=rows * (500 + share * IMAGE),
    )  # fmt: skip


def plan(tps: float, **others: float) -> Needs:
    return needs(model_of(), replace(Wanted(tps=tps), **others))  # type: ignore[arg-type]  # numbers all


def model_of() -> Model:
    return fit(measured())


def limit(found: Needs, name: str) -> Limit:
    return next(each for each in found.limits if each.name == name)


def written(directory: Path, figures: Measured) -> str:
    file = directory / "capacity.json"
    figures.write(file)
    return str(file)


def run(*arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["capacity", *arguments])
        return main()
