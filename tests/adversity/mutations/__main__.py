"""`python -m tests.adversity.mutations`: thousands of mutated requests against `tayang serve`, on loopback.

Starts servers and a service of its own, and stops them. Exit codes: 0 all answers are in order; 1 some are
not, and the requests are printed; 130 stopped by Ctrl-C.
"""

import asyncio
from typing import Annotated, Final

import psutil  # type: ignore[import-untyped]
import typer

from tests.adversity.drills.stack import HOST, Stack, running_stack
from tests.adversity.ground import own_cluster
from tests.adversity.mutations.play import Tally, play
from tests.adversity.mutations.scene import SETTINGS, good_requests
from tests.oracle.progress import Display
from tests.support.directories import servers_directory

_STOPPED: Final = 130
_SHOWN: Final = 20
_MIB: Final = 2**20
#: A worker that keeps some of 10,000 requests would be above it; bodies and what is inflated come and go.
GROWTH_MAX_BYTES: Final = 64 * _MIB


def main(
    *,
    number: Annotated[int, typer.Option(min=1, max=1_000_000, help="of requests")] = 10_000,
    seed: Annotated[int, typer.Option(help="decides all requests")] = 1,
) -> None:
    """Mutate good requests, and look at every answer."""
    try:
        tally, memory = asyncio.run(_run(number, seed))
    except KeyboardInterrupt:
        raise SystemExit(_STOPPED) from None
    print(report(tally, memory))  # noqa: T201
    raise SystemExit(1 if tally.faults else 0)


def report(tally: Tally, memory: list[int]) -> str:
    lines = [f"{count:>7,}  {status} {code}" for (status, code), count in sorted(tally.answers.items())]
    lines.append(f"{tally.requests:,} requests over {len(tally.routes)} routes, {len(tally.faults)} faults")
    lines.append(
        f"memory of the worker: {memory[0] / _MIB:.0f} MiB before, {max(memory) / _MIB:.0f} at most, "
        f"{memory[-1] / _MIB:.0f} after"
    )
    return "\n".join([*tally.faults[:_SHOWN], *lines])


async def _run(number: int, seed: int) -> tuple[Tally, list[int]]:
    with servers_directory("tayang-mutations-") as directory, Display(number) as display:
        async with (
            own_cluster(directory) as (cluster, servers),
            running_stack(cluster, servers, directory / "drill", workers=1, **SETTINGS) as stack,
        ):
            good = await good_requests(stack.shell.url)
            worker = _worker(stack)
            memory = [worker.memory_info().rss]

            def done(requests: int) -> None:
                display.add(requests)
                memory.append(worker.memory_info().rss)

            tally = await play((HOST, stack.port), good, number=number, seed=seed, done=done)
            await stack.ready()
            memory.append(worker.memory_info().rss)
            if worker.pid != _worker(stack).pid:
                tally.faults.append("the worker died")
            if memory[-1] - memory[0] > GROWTH_MAX_BYTES:
                tally.faults.append("the worker keeps memory")
            return tally, memory


def _worker(stack: Stack) -> psutil.Process:
    (worker,) = psutil.Process(stack.serve.pid).children()
    return worker


if __name__ == "__main__":
    typer.run(main)
