"""What is measured beside what: Tayang, the old design, the Redis variant, and the bare handler."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

import redis

from loadtests.baselines import old_design_data, redis_data
from loadtests.baselines.process import Address, baseline
from loadtests.baselines.redis_campaigns import STREAM_KEY
from loadtests.baselines.redis_server import redis_server
from loadtests.database import Database
from loadtests.progress import Progress
from loadtests.service import Service

BASELINES: Final = ("old_design", "redis")


@dataclass(frozen=True, kw_only=True)
class System:
    """`pids`: its processes by name; `server`: the one that answers. `impressions`: how many it holds."""

    name: str
    address: Address
    server: str
    pids: Mapping[str, int]
    impressions: Callable[[], int] | None = None


@contextmanager
def systems(
    service: Service, database: Database, chosen: Sequence[str], progress: Progress
) -> Iterator[dict[str, System]]:
    """Tayang, the bare handler, and the baselines `chosen`, with the data that Tayang has now."""
    with ExitStack() as stack:
        bare = stack.enter_context(baseline("bare"))
        found = {
            "tayang": System(name="tayang", address=service.address, server="api", pids=service.pids()),
            "bare": System(name="bare", address=bare.address, server="bare", pids={"bare": bare.pid}),
        }
        if "old_design" in chosen:
            with progress.step("the old design's tables, from the same counts"):
                found["old_design"] = _old_design(service, database, stack)
        if "redis" in chosen:
            with progress.step("Redis, from the same counts"):
                found["redis"] = _redis(service, database, stack)
        yield found


def _old_design(service: Service, database: Database, stack: ExitStack) -> System:
    session = stack.enter_context(database.session())
    old_design_data.create(session)
    database.tidy()
    environment = {
        "BASELINE_JWT_SECRET": service.user_secret,
        "BASELINE_PRIMARY_DSN": service.primary_dsn,
        "BASELINE_REPLICA_DSN": service.replica_dsn,
    }
    started = stack.enter_context(baseline("old_design", environment))
    pids = service.pids()

    def impressions() -> int:
        row = session.execute("SELECT count(*) FROM old_design.impressions").fetchone()
        return int(row[0]) if row else 0

    return System(
        name="old_design",
        address=started.address,
        server="api",
        pids={"api": started.pid, "primary": pids["primary"], "replica": pids["replica"]},
        impressions=impressions,
    )


def _redis(service: Service, database: Database, stack: ExitStack) -> System:
    server = stack.enter_context(redis_server())
    with database.session() as session:
        redis_data.fill(session, server.url)
    environment = {"BASELINE_JWT_SECRET": service.user_secret, "BASELINE_REDIS_URL": server.url}
    started = stack.enter_context(baseline("redis_counters", environment))
    client = stack.enter_context(redis.Redis.from_url(server.url))
    return System(
        name="redis",
        address=started.address,
        server="api",
        pids={"api": started.pid, "redis": server.pid},
        impressions=lambda: int(client.xlen(STREAM_KEY)),
    )
