"""A hundred cases through HTTP, POST and merge; `python -m tests.oracle.http` plays any number."""

from tests.oracle.http.cases import http_case
from tests.oracle.http.play import Plays, smallest
from tests.oracle.http.world import world
from tests.oracle.shrink import written
from tests.support.database import Database
from tests.support.service import ServiceFactory

_SEED = 1
_CASES = 100


async def test_the_service_decides_as_the_oracle_does(
    database: Database, start_service: ServiceFactory
) -> None:
    async with world(database, start_service) as arranged:
        plays = Plays(arranged)
        for number in range(_CASES):
            case, merged = http_case(_SEED, number), number % 2 == 0
            if await plays.disagreements(case, merged=merged):
                small, said = await smallest(plays, case, merged=merged)
                raise AssertionError("\n".join([f"case {number}", *said, written(small)]))
