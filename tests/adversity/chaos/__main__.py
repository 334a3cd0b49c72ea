"""`python -m tests.adversity.chaos`: attack a service of real processes, round by round, and audit it.

Exit codes: 0 every round passed; 1 a round failed (with --sabotage that is what should happen);
2 wrong arguments, or the service could not be started; 130 stopped by Ctrl-C or SIGTERM.
"""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final

import typer
import uvloop
from rich.console import Console

from tayang.embedded import EmbeddedError
from tests.adversity.chaos.attacks import ATTACKS
from tests.adversity.chaos.plan import Round, plan
from tests.adversity.chaos.processes import Sabotage, running_rig
from tests.adversity.chaos.report import Display, as_json, print_summary
from tests.adversity.chaos.rounds import Outcome, Trial
from tests.adversity.ground import own_cluster
from tests.support.directories import servers_directory

_STOPPED: Final = 130
_DATABASE: Final = "chaos"


@dataclass
class Run:
    """What a run was asked for, and its outcomes so far."""

    seed: int
    rounds: Sequence[Round]
    longest_attack_seconds: float
    sabotage: Sabotage = "none"
    outcomes: list[Outcome] = field(default_factory=list)

    async def play(self, display: Display) -> None:
        """Until the last round, or one after which the service is not whole."""
        with servers_directory("tayang-chaos-") as directory:
            async with (
                own_cluster(directory) as (cluster, servers),
                running_rig(cluster, servers, directory, database=_DATABASE, sabotage=self.sabotage) as rig,
            ):
                trial = Trial(rig, longest_attack_seconds=self.longest_attack_seconds)
                await trial.warm_up(self.rounds)
                for planned in self.rounds:
                    display.step(planned.attack)
                    self.outcomes.append(await trial.play(planned))
                    display.add(self.outcomes[-1])
                    if self.outcomes[-1].stuck:
                        return


def main(
    *,
    rounds: Annotated[int, typer.Option(min=1, max=100_000)] = 200,
    seed: Annotated[int, typer.Option(help="decides order, moments and details of the attacks")] = 1,
    only: Annotated[list[str] | None, typer.Option(help="this attack; may be given several times")] = None,
    number: Annotated[int | None, typer.Option("--round", help="only this round of the seed's")] = None,
    longest: Annotated[float, typer.Option(min=0.5, max=30, help="seconds of an attack, at most")] = 3.0,
    sabotage: Annotated[Sabotage, typer.Option(help="break what prevents loss, or doubles")] = "none",
    json_wanted: Annotated[bool, typer.Option("--json", help="print the outcomes as JSON")] = False,
) -> None:
    """Attack a service of real processes with seeded failures, one a round, and audit every impression."""
    if unknown := sorted(set(only or ()) - ATTACKS.keys()):
        raise typer.BadParameter(f"no attack is called {', '.join(unknown)}; there are {', '.join(ATTACKS)}")
    planned = [each for each in plan(seed, rounds, only or ()) if number in (None, each.number)]
    if not planned:
        raise typer.BadParameter(f"--round {number}: there are rounds 1 to {rounds}")
    run = Run(seed, planned, longest, sabotage)
    try:
        code = uvloop.run(_run(run, as_json_document=json_wanted))
    except (EmbeddedError, OSError) as error:
        print(f"chaos: {error}", file=sys.stderr)  # noqa: T201
        code = 2
    raise SystemExit(code)


async def _run(run: Run, *, as_json_document: bool) -> int:
    stopped = asyncio.Event()
    progress = Console(stderr=True, highlight=False)
    with Display(progress, len(run.rounds)) as display, _signals(stopped.set):
        display.step("starting")
        playing = asyncio.create_task(run.play(display))
        stopping = asyncio.create_task(stopped.wait())
        await asyncio.wait((playing, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if stopped.is_set():
            playing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await playing
    if as_json_document:
        print(as_json(run.outcomes, seed=run.seed, planned=len(run.rounds)))  # noqa: T201
    else:
        print_summary(Console(highlight=False), run.outcomes, seed=run.seed, planned=len(run.rounds))
    if not all(outcome.passed for outcome in run.outcomes):
        return 1
    return _STOPPED if stopped.is_set() else 0


@contextlib.contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    """The first Ctrl-C ends the run in order; more of them change nothing."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    yield
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.remove_signal_handler(number)


if __name__ == "__main__":
    typer.run(main)
