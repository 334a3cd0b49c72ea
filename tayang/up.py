"""`tayang up`: the whole service on one machine, for development.

Embedded primary and replica → migrate → partitions → api workers, backoffice, maintenance →
examples → a banner with lines to paste. If any part dies, everything is stopped, in order.
"""

import asyncio
import logging
import time
from contextlib import ExitStack
from typing import Final

import aiohttp
import asyncpg

from maintenance.prepare import prepare_database
from tayang.banner import banner
from tayang.embedded import EmbeddedCluster, Node
from tayang.examples import EXAMPLES, ExamplesError, load_examples
from tayang.part import Part
from tayang.process import set_up_logging
from tayang.secrets import with_secrets, write_private
from tayang.service import address, backoffice_listener, start_workers, stop_event
from tayang.settings import RUN_FILE, Settings, SettingsError
from tayang.supervisor import Supervisor

log = logging.getLogger("tayang.up")

_READY_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.05
_SERVER_CHECK_SECONDS: Final = 0.5


class PartDiedError(Exception):
    """A part of the service ended by itself, or its examples could not be loaded; the rest was stopped."""


def up(settings: Settings) -> None:
    """Run until SIGINT or SIGTERM. Raises PartDiedError, SettingsError, EmbeddedError, MaintenanceError."""
    set_up_logging(settings)
    with ExitStack() as stack:
        nodes: list[Node] = []
        if not settings.primary_dsn:
            cluster = EmbeddedCluster(
                settings.data_dir, shared_buffers_mib=settings.embedded_shared_buffers_mib
            )
            stack.enter_context(cluster)
            nodes = [cluster.primary, cluster.replica]
            settings = settings.model_copy(
                update={"primary_dsn": cluster.primary.dsn(), "replica_dsn": cluster.replica.dsn()}
            )
        settings = with_secrets(settings)
        settings.api()
        run_file = settings.data_dir / RUN_FILE
        stack.callback(run_file.unlink, missing_ok=True)
        asyncio.run(_run(settings, nodes))


async def _run(settings: Settings, nodes: list[Node]) -> None:
    stop = stop_event()
    await _prepare(settings)
    supervisor = Supervisor(settings, restart=False)
    try:
        settings = await _start_parts(supervisor, settings)
        await _until_ready(supervisor, settings)
        if EXAMPLES.is_dir():
            await _load_examples(settings)
        print(banner(settings, supervisor.parts, nodes), flush=True)  # noqa: T201  (what the user came for)
        await _until_stopped(supervisor, nodes, stop)
    finally:
        await supervisor.stop()


async def _load_examples(settings: Settings) -> None:
    try:
        await load_examples(f"http://{settings.http_host}:{settings.http_port}", settings.admin_key)
    except (ExamplesError, aiohttp.ClientError, TimeoutError) as error:
        raise PartDiedError(f"the examples can't be loaded: {error or type(error).__name__}") from error


async def _prepare(settings: Settings) -> None:
    try:
        await prepare_database(settings.maintenance())
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise SettingsError(f"TAYANG_PRIMARY_DSN: cannot connect: {error or type(error).__name__}") from error


async def _start_parts(supervisor: Supervisor, settings: Settings) -> Settings:
    """Returns the settings with the ports that were taken. Workers come first: they are stopped first."""
    listener = backoffice_listener(settings)
    settings = settings.model_copy(update={"backoffice_port": listener.getsockname()[1]})
    environment = environment_of(settings)
    write_private(settings.data_dir / RUN_FILE, _dotenv(environment))
    await start_workers(supervisor, settings, environment)
    settings = settings.model_copy(update={"http_port": address(supervisor)[1]})
    environment = environment_of(settings)
    write_private(settings.data_dir / RUN_FILE, _dotenv(environment))
    await supervisor.start(Part("backoffice", ["backoffice"], environment, listener))
    await supervisor.start(Part("maintenance", ["maintain"], environment))
    return settings


def environment_of(settings: Settings) -> dict[str, str]:
    """The settings as variables, so that every part and every later command sees the same."""
    variables = {}
    for name, value in settings:
        if value is not None:
            text = ",".join(value) if isinstance(value, tuple) else str(value)
            variables[f"TAYANG_{name.upper()}"] = text
    return variables


def _dotenv(environment: dict[str, str]) -> str:
    return "".join(f"{name}='{value}'\n" for name, value in environment.items())


async def _until_ready(supervisor: Supervisor, settings: Settings) -> None:
    urls = (
        f"http://{settings.http_host}:{settings.http_port}/readyz",
        f"http://{settings.http_host}:{settings.backoffice_port}/healthz",
    )
    deadline = time.monotonic() + _READY_SECONDS
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_READY_SECONDS)) as session:
        for url in urls:
            while not await _ok(session, url):
                if supervisor.failed.is_set():
                    raise PartDiedError("a part of the service died at its start; its log is above")
                if time.monotonic() > deadline:
                    raise PartDiedError(f"{url} was not ready within {_READY_SECONDS:.0f} s")
                await asyncio.sleep(_POLL_SECONDS)


async def _ok(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.ok
    except aiohttp.ClientError:
        return False


async def _until_stopped(supervisor: Supervisor, nodes: list[Node], stop: asyncio.Event) -> None:
    while not stop.is_set():
        if supervisor.failed.is_set():
            raise PartDiedError("a part of the service died; everything was stopped")
        for node in nodes:
            if not node.running():
                raise PartDiedError(f"the {node.name} died; everything was stopped (see {node.log_file})")
        try:
            async with asyncio.timeout(_SERVER_CHECK_SECONDS):
                await stop.wait()
        except TimeoutError:
            continue
    log.info("stopping")
