"""A wait that is over cuts its connection, at any step of what asyncpg is doing there.

The worst moment is when an answer has come and its task hasn't gone on yet. Chaos on a busy machine meets
it now and then; here each step of each operation has it.
"""

from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

import asyncpg
import pytest

from api.read.snapshot import SNAPSHOT
from buffer.connection import ConnectionFailedError, bounded
from buffer.contract import BUFFER_TABLES, COLUMNS
from tests.support.buffered import NOON, impression_id
from tests.support.database import Database

_STEPS_MAX = 50
_ROW = (1, 1, impression_id(NOON), 1, "ani", 7, "a", NOON, 0, False)
_OPERATIONS: dict[str, Callable[[asyncpg.Connection], Coroutine[Any, Any, Any]]] = {
    "read": lambda connection: connection.fetch(SNAPSHOT, 1, ["ani"], []),
    "execute": lambda connection: connection.execute("SELECT 1"),
    "copy": lambda connection: connection.copy_records_to_table(
        BUFFER_TABLES[0], records=[_ROW], columns=COLUMNS
    ),
}


@pytest.mark.parametrize("operation", _OPERATIONS)
async def test_a_cut_at_any_step_is_a_lost_connection(database: Database, operation: str) -> None:
    step, ended_by_itself = 0, False
    while not ended_by_itself:
        step += 1
        assert step < _STEPS_MAX
        connection = await asyncpg.connect(database.primary_dsn)
        cut = _CutAt(connection, _OPERATIONS[operation](connection), step)
        try:
            await bounded(connection, cut, seconds=20)
            ended_by_itself = not cut.done
        except ConnectionFailedError:
            assert cut.done
        finally:
            connection.terminate()
    assert step > 1


class _CutAt(Awaitable[Any]):
    """Awaits `operation`, and cuts its connection when step `step` has what it waited for."""

    def __init__(
        self, connection: asyncpg.Connection, operation: Coroutine[Any, Any, Any], step: int
    ) -> None:
        self.done = False
        self._connection = connection
        self._operation = operation
        self._step = step

    def __await__(self) -> Generator[Any, None, Any]:
        step = 0
        while True:
            try:
                awaited = self._operation.send(None)
            except StopIteration as end:
                return end.value
            yield awaited
            step += 1
            if step == self._step:
                self.done = True
                self._connection.terminate()
