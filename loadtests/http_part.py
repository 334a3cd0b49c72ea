"""GET and POST of Tayang and of what it is compared with, in turns: a slow minute of the machine hits all."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from loadtests.cores import Split, Usage, pin, unpin
from loadtests.database import Database
from loadtests.figures import HttpFigures, Point
from loadtests.plan import Plan
from loadtests.progress import Progress
from loadtests.service import BenchError, Service
from loadtests.systems import System, systems
from loadtests.traffic import Population
from loadtests.turns import Turns, run_load


def measure_http(
    plan: Plan,
    service: Service,
    database: Database,
    campaigns: list[int],
    progress: Progress,
    *,
    baselines: Sequence[str],
) -> HttpFigures:
    """Seed, harvest tokens, then the rounds. Raises BenchError or LoadError; then there are no figures."""
    with ExitStack() as stack:
        population = _population(plan, service, database, campaigns, progress)
        running = stack.enter_context(systems(service, database, baselines, progress))
        left_out = _make_known(plan, service, population, running, progress)
        popups_a_get = population.served / plan.users
        progress.say(f"{popups_a_get:.2f} popups a GET, {len(population.tokens):,} tokens")
        split = stack.enter_context(_pinned(running))
        progress.say(str(split))
        turns = Turns(
            plan, database, population, running, campaigns, split, progress,
            lambda: _harvest(plan, service, population),
        )  # fmt: skip
        held, before, usage = _stored(running, database), service.metrics(), Usage.now()
        targets = turns.targets()
        runs = tuple(turns.run(target, number) for number in _rounds(plan) for target in targets)
        foreign, stolen = Usage.now().foreign_share(usage), Usage.now().stolen_share(usage)
        points = _curves(turns, plan, targets, progress)
        _check_stored(running, database, held, turns.confirmed)
        figures = HttpFigures(
            targets=targets,
            runs=runs,
            points=points,
            pinning=str(split),
            popups_a_get=popups_a_get,
            replica_share=_replica_share(before, service.metrics()),
            left_out=left_out,
            confirmed=turns.confirmed["tayang"],
            foreign_share=foreign,
            stolen_share=stolen,
        )
    if figures.disturbed:
        progress.say(
            f"not quiet: {foreign:.1%} of the CPU went to other processes, {stolen:.1%} to other guests"
        )
    return figures


def _rounds(plan: Plan) -> range:
    return range(1, plan.rounds + 1)


def _curves(turns: Turns, plan: Plan, targets: Sequence[str], progress: Progress) -> tuple[Point, ...]:
    """All targets with one connection, then all with two …; the bare handler with the same requests only."""
    points = []
    for connections in plan.curve:
        with progress.step(f"{connections} connections"):
            points += [turns.point(target, connections) for target in targets if target != "bare"]
    return tuple(points)


def _population(
    plan: Plan, service: Service, database: Database, campaigns: list[int], progress: Progress
) -> Population:
    with progress.step(f"counts of {plan.users:,} users"):
        database.seed(0, plan.users, campaigns)
        database.tidy()
    with progress.step(f"JWTs of {plan.users:,} users"):
        return Population(plan.users, service.user_secret, service.address)


def _make_known(
    plan: Plan, service: Service, population: Population, running: Mapping[str, System], progress: Progress
) -> dict[str, float]:
    """Every JWT to every system, as a service knows those of its users; returns what GETs leave out."""
    with progress.step("one GET of each user: the JWTs get known, the tokens are kept"):
        left_out = _harvest(plan, service, population)
    for name, system in running.items():
        if system.impressions is not None:
            with progress.step(f"one request of each user to {name}: the JWTs get known there"):
                run_load(system.address, population.whoami(), plan, "get")
    return left_out


def _harvest(plan: Plan, service: Service, population: Population) -> dict[str, float]:
    """Collect tokens; returns how many campaigns a GET leaves out, by reason."""
    before = service.metrics()
    population.served = 0
    load = run_load(service.address, population.everyone_once(), plan, "get", population.keep_tokens)
    population.mix_tokens()
    return _left_out(before, service.metrics(), load.answers)


@contextmanager
def _pinned(running: Mapping[str, System]) -> Iterator[Split]:
    split = pin([system.pids[system.server] for system in running.values()])
    try:
        yield split
    finally:
        unpin(split.tested | split.others)


def _stored(running: Mapping[str, System], database: Database) -> dict[str, int]:
    return {
        name: system.impressions() if system.impressions else database.impressions()
        for name, system in running.items()
        if name != "bare"
    }


def _check_stored(
    running: Mapping[str, System], database: Database, before: Mapping[str, int], confirmed: Mapping[str, int]
) -> None:
    """A figure for impressions that were not stored would be worthless."""
    for name, stored in _stored(running, database).items():
        if stored - before[name] != confirmed[name]:
            raise BenchError(
                f"{name}: {confirmed[name]} impressions were confirmed, {stored - before[name]} are stored"
            )


def _replica_share(before: dict[str, float], after: dict[str, float]) -> float:
    replica = _grown(before, after, lambda name: 'server="replica"' in name)
    return replica / _grown(before, after, lambda name: "server=" in name)


def _left_out(before: dict[str, float], after: dict[str, float], gets: int) -> dict[str, float]:
    reasons = ("capped", "cooling_down", "not_listed")
    return {
        reason: _grown(before, after, lambda name, reason=reason: f'reason="{reason}"' in name) / gets  # type: ignore[misc]  # bound now
        for reason in reasons
    }


def _grown(before: dict[str, float], after: dict[str, float], chosen: Callable[[str], bool]) -> float:
    return sum(value - before.get(name, 0.0) for name, value in after.items() if chosen(name))
