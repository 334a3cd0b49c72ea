"""`python -m tests.oracle.http`: random cases, decided by a real service and by the oracle.

Starts servers and a service of its own. Exit codes: 0 they agree; 1 they disagree, and the smallest such case
that was found is printed; 2 wrong arguments; 130 stopped by Ctrl-C.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final

import typer

from maintenance.prepare import prepare_database
from maintenance.settings import MaintenanceConfig
from tests.adversity.ground import own_cluster
from tests.oracle.http.cases import http_case
from tests.oracle.http.play import Plays, smallest
from tests.oracle.http.world import world
from tests.oracle.progress import Display
from tests.oracle.shrink import written
from tests.support.database import Database, new_database
from tests.support.directories import servers_directory
from tests.support.service import Service

_STOPPED: Final = 130


def main(
    *,
    cases: Annotated[int, typer.Option(min=1, max=1_000_000)] = 3_000,
    seed: Annotated[int, typer.Option(help="decides all cases")] = 1,
    first: Annotated[int, typer.Option(min=0, help="begin with this one of the seed's")] = 0,
) -> None:
    """Have the oracle and a real service decide the same random cases."""
    try:
        failed = asyncio.run(_run(seed=seed, first=first, cases=cases))
    except KeyboardInterrupt:
        raise SystemExit(_STOPPED) from None
    print(failed or f"{cases:,} cases of seed {seed} through HTTP, POST and merge: oracle and service agree")  # noqa: T201
    raise SystemExit(1 if failed else 0)


async def _run(*, seed: int, first: int, cases: int) -> str | None:
    """The smallest case that was found to disagree, as text."""
    async with _plays() as plays:
        with Display(cases) as display:
            for number in range(first, first + cases):
                case, merged = http_case(seed, number), number % 2 == 0
                if await plays.disagreements(case, merged=merged):
                    break
                display.add(1)
            else:
                return None
        small, said = await smallest(plays, case, merged=merged)
        return "\n".join([f"case {number} of seed {seed}:", *said, written(small)])


@asynccontextmanager
async def _plays() -> AsyncIterator[Plays]:
    with servers_directory("tayang-oracle-") as directory:
        async with own_cluster(directory) as (cluster, _), new_database(cluster, "template1") as database:
            await prepare_database(MaintenanceConfig(primary_dsn=database.primary_dsn))
            async with _starting(database) as start, world(database, start) as arranged:
                yield Plays(arranged)


@asynccontextmanager
async def _starting(database: Database) -> AsyncIterator[Any]:
    running: list[Service] = []

    async def start(**config: object) -> Service:
        running.append(await Service.start(database, **config))
        return running[-1]

    try:
        yield start
    finally:
        for service in running:
            await service.close()


if __name__ == "__main__":
    typer.run(main)
