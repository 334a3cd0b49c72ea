"""The process's story on one screen: what it is made of, in the order in which it is built.

`cleanup_ctx` undoes it in reverse: the flusher comes last, so that it is drained while the
connections below it still live, and after the handlers have stopped adding to it.
"""

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from aiohttp import web

from api.access.guard import check_guarded, guarded
from api.access.limits import limits
from api.access.ring import KEYS, KeyRing
from api.admin import admin_routes
from api.auth import authenticator
from api.background import background
from api.budgets.parts import lease_keeper, use_queue
from api.budgets.soft import SoftPoller
from api.config import ApiConfig
from api.contract.handler import contract_routes
from api.database import admin_pool, announcing_connection, writer_connection
from api.explain.handler import EXPLAINER, Explainer
from api.explain.watcher import WATCHER, create_watcher
from api.http.connections import Connections
from api.http.context import context_parser
from api.http.cors import cors
from api.http.delivery import DELIVERY, Delivery
from api.http.direct import DirectAnswers
from api.http.events import post_impressions, post_interactions
from api.http.health import get_health, get_ready, watch_merge_lag
from api.http.metrics import METRICS, get_metrics, metrics_board
from api.http.middleware import problems
from api.http.negotiation import negotiated
from api.http.popups import get_popups
from api.http.shedder import Shedder, sheltered
from api.keys import CONFIG, CONNECTIONS, PRIMARY, PRIMARY_POOL
from api.no_shows import no_show_writer
from api.peers.exchange import Exchange
from api.peers.memory import PeerMemory
from api.previews import PreviewSigner
from api.read.parts import reader_parts, running
from api.read.reader import Reader
from api.read.snapshot import Snapshot
from api.tokens import TokenSigner
from buffer.flusher import Flusher
from buffer.pending import PendingList
from buffer.primary import Primary
from buffer.sink import CopySink


def create_app(config: ApiConfig) -> web.Application:
    """The service of one api process: mobile endpoints and admin API. Raises ValueError on bad settings."""
    app = _application(config)
    app[PRIMARY] = primary = _primary(config)
    app[DELIVERY] = delivery = _delivery(config, primary)
    app[CONNECTIONS] = delivery.connections
    delivery.connections.direct = DirectAnswers(delivery)
    app.add_routes(
        [
            *guarded(
                [
                    web.get("/v1/popups", get_popups, allow_head=False),
                    web.post("/v1/impressions", post_impressions),
                    web.post("/v1/interactions", post_interactions),
                ],
                around=sheltered,
            ),
            *guarded(
                [
                    web.get("/healthz", get_health),
                    web.get("/readyz", get_ready),
                    web.get("/metrics", get_metrics),
                ],
                around=negotiated,
            ),
            *contract_routes(),
            *admin_routes(),
        ]
    )
    check_guarded(app)
    app[KEYS] = _key_ring(config, delivery.reader)
    app[METRICS] = metrics_board(delivery)
    app[EXPLAINER] = Explainer(delivery.reader, leases=True)
    app.cleanup_ctx.append(primary_pool)
    app.cleanup_ctx.append(reading)
    app.cleanup_ctx.append(budgeting)
    app.cleanup_ctx.append(counting)
    app.cleanup_ctx.append(flushing)
    return app


def create_backoffice(config: ApiConfig) -> web.Application:
    """The admin API alone, for a process of its own: a large upload there can't hold up popups.

    It reads as the api processes do, to tell why they show what they show; it has no events of its own.
    """
    app = _application(config)
    app[PRIMARY] = _primary(config)
    app[CONNECTIONS] = Connections(config)
    app[WATCHER] = watcher = create_watcher(config, app[PRIMARY])
    app[EXPLAINER] = Explainer(watcher.reader, leases=False)
    app[KEYS] = _key_ring(config, watcher.reader)
    app.add_routes(
        [
            *guarded([web.get("/healthz", get_health)], around=negotiated),
            *contract_routes(),
            *admin_routes(),
        ]
    )
    check_guarded(app)
    app.cleanup_ctx.append(primary_pool)
    app.cleanup_ctx.append(watching)
    return app


async def watching(app: web.Application) -> AsyncIterator[None]:
    async with app[WATCHER].running(), background("keys", app[KEYS].run()):
        yield


async def primary_pool(app: web.Application) -> AsyncIterator[None]:
    app[PRIMARY_POOL] = pool = await admin_pool(
        app[PRIMARY], max_connections=app[CONFIG].admin_pool_max_connections
    )
    yield
    pool.terminate()


async def reading(app: web.Application) -> AsyncIterator[None]:
    delivery = app[DELIVERY]
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(delivery.reader, delivery.freshness))
        await stack.enter_async_context(background("keys", app[KEYS].run()))
        if app[CONFIG].peer_announcements == "on":
            await stack.enter_async_context(background("announcements", delivery.exchange.run()))
        await stack.enter_async_context(background("remembered JWTs", delivery.users.run()))
        if delivery.users.jwks is not None:
            await stack.enter_async_context(background("users' keys", delivery.users.jwks.run()))
        await stack.enter_async_context(background("metrics", app[METRICS].run()))
        await stack.enter_async_context(background("shedder", delivery.shedder.run()))
        await stack.enter_async_context(background("merge lag", watch_merge_lag(delivery)))
        yield


async def budgeting(app: web.Application) -> AsyncIterator[None]:
    config, delivery = app[CONFIG], app[DELIVERY]
    async with (
        background("leases", delivery.leases.run()),
        background("uses", delivery.uses.run()),
        background("soft budgets", delivery.soft_budgets.run()),
    ):
        yield
        await delivery.leases.stop(seconds=config.database_timeout_seconds)


async def counting(app: web.Application) -> AsyncIterator[None]:
    config, reader = app[CONFIG], app[DELIVERY].reader
    writer = no_show_writer(config, app[PRIMARY], reader.catalog.tallies.take)
    async with background("no-shows", writer.run()):
        yield
        await writer.stop(seconds=config.database_timeout_seconds)


async def flushing(app: web.Application) -> AsyncIterator[None]:
    config, flusher = app[CONFIG], app[DELIVERY].flusher
    async with background("flusher", flusher.run()):
        yield
        await flusher.stop(flush_seconds=config.stop_flush_seconds, merge_seconds=config.stop_merge_seconds)


def _application(config: ApiConfig) -> web.Application:
    app = web.Application(
        middlewares=[*cors(config.cors_origins), problems], client_max_size=config.body_max_bytes
    )
    app[CONFIG] = config
    return app


def _primary(config: ApiConfig) -> Primary:
    return Primary(
        config.primary_dsn,
        timeout_seconds=config.database_timeout_seconds,
        stagger_seconds=config.connect_stagger_seconds,
    )


def _key_ring(config: ApiConfig, reader: Reader) -> KeyRing:
    """Over the connection to the primary that is there in case the replicas fail."""
    return KeyRing(
        config.admin_key,
        reader.servers[-1].fetch,
        poll_seconds=config.key_poll_seconds,
        max_age_seconds=config.key_max_age_seconds,
    )


def _delivery(config: ApiConfig, primary: Primary) -> Delivery:
    instance = secrets.randbits(62) + 1
    pending = PendingList(
        instance, max_rows=config.pending_max_rows, remembered_rows=config.remembered_max_rows
    )
    sink = CopySink(
        writer_connection(
            primary, name=f"flusher {config.worker}", synchronous=config.buffer_synchronous_commit
        ),
        instance=instance,
        timeout_seconds=config.database_timeout_seconds,
    )

    def follow(snapshot: Snapshot) -> None:
        sink.active_buffer = snapshot.active_buffer

    shedder = Shedder(config)
    exchange = _exchange(config, primary, instance)
    reader, freshness = reader_parts(config, primary, pending, exchange.memory, on_snapshot=follow)
    exchange.on_catalog = reader.catalog_announced
    users, callers = authenticator(config), limits(config)

    def forget(user_id: str | None) -> None:
        users.forget(user_id)
        callers.forget(user_id)

    exchange.on_erased = forget
    return Delivery(
        config=config,
        users=users,
        limits=callers,
        signer=TokenSigner(config.token_secrets),
        previews=PreviewSigner(config.token_secrets),
        context_of=context_parser(),
        pending=pending,
        flusher=Flusher(
            pending,
            sink,
            max_rows=config.flush_max_rows,
            ack_timeout_seconds=config.ack_timeout_seconds,
            probe_seconds=config.idle_probe_seconds,
        ),
        reader=reader,
        freshness=freshness,
        exchange=exchange,
        leases=lease_keeper(config, primary, instance, lambda: reader.catalog),
        uses=use_queue(config, primary),
        soft_budgets=SoftPoller(
            reader,
            pending,
            processes=lambda: exchange.peers + 1,
            poll_seconds=config.budget_poll_seconds,
        ),
        connections=Connections(config, shedder),
        shedder=shedder,
    )


def _exchange(config: ApiConfig, primary: Primary, instance: int) -> Exchange:
    return Exchange(
        announcing_connection(primary, name=f"announcements {config.worker}"),
        PeerMemory(
            max_rows=config.peer_max_rows, kept_seconds=config.peer_kept_seconds, clock=time.monotonic
        ),
        instance=instance,
        interval_seconds=config.peer_interval_seconds,
        timeout_seconds=config.database_timeout_seconds,
        max_rows=config.peer_max_rows,
    )
