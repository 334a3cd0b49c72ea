"""All connections of a process: how many there may be, and the watch over slow clients."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from api import errors
from api.config import ApiConfig
from api.http.connection import LINGER_SECONDS, Connection, ShortWay
from api.http.refusal import Refusal, ready_made
from api.http.shedder import Gate, Shedder

#: What apps ask. Requests of operators and of the backoffice are never shed.
_READS: Final = b"GET /v1/popups"
_WRITES: Final = (b"POST /v1/impressions", b"POST /v1/interactions")
#: An orchestrator that asks whether a flooded process is alive must not be told that it isn't.
_OPERATORS: Final = (b"GET /healthz ", b"GET /readyz ", b"GET /metrics ")
_OPERATORS_MAX: Final = 16
_SWEEP_MAX_SECONDS: Final = 1.0
#: A limit is overrun by a quarter at most, if it is shorter than four sweeps would take.
_SWEEPS_A_LIMIT: Final = 4

_TOO_MANY: Final = ready_made(
    errors.OVERLOADED, "Too many connections are open. Try again.", retry_after_seconds=1
)


class Connections:
    """`accepting` is set when clients are let in.

    `closing` makes every answer the last of its connection; `stopping` is for readiness.
    """

    def __init__(self, config: ApiConfig, shedder: Shedder | None = None) -> None:
        self._shedder = shedder
        self.direct: ShortWay | None = None
        self.head_timeout_seconds = config.head_timeout_seconds
        self.head_max_bytes = config.head_max_bytes
        self.write_timeout_seconds = config.write_timeout_seconds
        self.max_connections = config.max_connections
        self.accepting = asyncio.Event()
        self.closing = False
        self.stopping = False
        self.refused = 0
        self.heads_timed_out = 0
        self.writes_timed_out = 0
        self._open: set[Connection] = set()
        self._refusals: OrderedDict[Refusal, None] = OrderedDict()
        self._operators: set[Connection] = set()

    def __len__(self) -> int:
        return len(self._open) + len(self._operators)

    def protocols(self, manager: web.Server, **options: Any) -> Callable[[], asyncio.Protocol]:
        """What `create_server` asks for each client. `options` are those of aiohttp's RequestHandler."""

        def accepted() -> asyncio.Protocol:
            if len(self._open) < self.max_connections:
                connection = Connection(manager, self, **options)
                self._open.add(connection)
                return connection
            self.refused += 1
            # As many may linger; beyond that the oldest has to go, and not the newest: it may be an operator.
            if len(self._refusals) >= self.max_connections:
                self._refusals.popitem(last=False)[0].end_now()
            refusal = Refusal(_TOO_MANY, seconds=LINGER_SECONDS, on_end=self._refused, divert=divert)
            self._refusals[refusal] = None
            return refusal

        def divert(transport: asyncio.Transport, data: bytes) -> bool:
            if not data.startswith(_OPERATORS) or len(self._operators) >= _OPERATORS_MAX:
                return False
            self.refused -= 1
            connection = Connection(manager, self, once=True, **options)
            self._operators.add(connection)
            transport.set_protocol(connection)
            connection.connection_made(transport)
            connection.data_received(data)
            return True

        return accepted

    async def watch(self) -> None:
        """Sweep, until cancelled."""
        shortest = min(self.head_timeout_seconds, self.write_timeout_seconds)
        pause = min(_SWEEP_MAX_SECONDS, shortest / _SWEEPS_A_LIMIT)
        while True:
            await asyncio.sleep(pause)
            self.sweep(time.monotonic())

    def sweep(self, now: float) -> None:
        for connection in (*self._open, *self._operators):
            connection.sweep(now)

    def close_idle(self, now: float, since: float, grace_seconds: float) -> None:
        """Close those that wait for a request since `since`, or their opening, for the grace or longer."""
        for connection in (*self._open, *self._operators):
            if connection.idle and now - max(since, connection.opened_at) >= grace_seconds:
                connection.force_close()

    def gate_of(self, data: bytes) -> Gate | None:
        """The gate for the request that begins so. None: it is never shed."""
        if self._shedder is None:
            return None
        if data.startswith(_READS):
            return self._shedder.reads
        return self._shedder.writes if data.startswith(_WRITES) else None

    def ended(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._operators.discard(connection)

    def _refused(self, refusal: Refusal) -> None:
        self._refusals.pop(refusal, None)
