"""`GET /metrics` in Prometheus's format, whichever worker answers: each reports all of its siblings.

Workers share a port, so a scrape reaches one of them by chance. Each writes its figures to a file
every second and the one that answers adds them up by the label `worker`.
"""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from api.access.limits import Limits
from api.auth import UserAuthenticator
from api.campaigns.budget import Stock
from api.campaigns.tally import SERVED
from api.http.delivery import Delivery

_WRITE_SECONDS: Final = 1.0
#: Figures of a worker that has not written for so long are those of a dead one.
_DEAD_SECONDS: Final = 10.0

#: name → (kind, help, label names beside `worker`)
_METRICS: Final[dict[str, tuple[type[Metric], str, tuple[str, ...]]]] = {
    "tayang_events_accepted": (CounterMetricFamily, "Events answered with 202", ()),
    "tayang_events_refused": (CounterMetricFamily, "Events whose token was refused", ()),
    "tayang_events_late": (CounterMetricFamily, "Events of campaigns that were over", ()),
    "tayang_events_of_tests": (CounterMetricFamily, "Events of tests: answered with 202, not stored", ()),
    "tayang_marks_left_out": (CounterMetricFamily, "Ghosts and served marks that found no room", ()),
    "tayang_popups_served": (CounterMetricFamily, "Popups in answers", ("campaign",)),
    "tayang_popups_not_shown": (
        CounterMetricFamily,
        "Times a matching campaign was left out",
        ("campaign", "reason"),
    ),
    "tayang_pending_rows": (GaugeMetricFamily, "Events not yet seen merged", ()),
    "tayang_pending_max_rows": (GaugeMetricFamily, "Where new events get 503", ()),
    "tayang_flush_copies": (CounterMetricFamily, "COPY statements committed", ()),
    "tayang_flush_rows": (CounterMetricFamily, "Rows committed in the buffer", ()),
    "tayang_flush_rows_sent_again": (CounterMetricFamily, "Rows sent again after a lost connection", ()),
    "tayang_flush_reconnects": (CounterMetricFamily, "Connections of the flusher", ()),
    "tayang_flush_ack_timeouts": (CounterMetricFamily, "Requests that did not wait any longer", ()),
    "tayang_flush_connected": (GaugeMetricFamily, "1 while the flusher is connected", ()),
    "tayang_read_batches": (CounterMetricFamily, "Read batches, by the server that answered", ("server",)),
    "tayang_read_users": (CounterMetricFamily, "Users read", ()),
    "tayang_read_unusable_snapshots": (CounterMetricFamily, "Snapshots behind what was forgotten", ()),
    "tayang_peers": (GaugeMetricFamily, "Other api processes that announce their events", ()),
    "tayang_peer_impressions_sent": (CounterMetricFamily, "Events announced to other processes", ()),
    "tayang_peer_impressions_received": (CounterMetricFamily, "Events that others announced", ()),
    "tayang_peer_impressions_held": (GaugeMetricFamily, "Others' events not yet seen merged", ()),
    "tayang_peer_connected": (GaugeMetricFamily, "1 while announcements can be sent and heard", ()),
    "tayang_budget_leases": (GaugeMetricFamily, "Leases of hard budgets with free units", ()),
    "tayang_budget_free_units": (GaugeMetricFamily, "Popups that can be served at once", ("campaign",)),
    "tayang_budget_units_leased": (CounterMetricFamily, "Units of hard budgets leased", ()),
    "tayang_budget_units_spent": (CounterMetricFamily, "Impressions that had a unit", ()),
    "tayang_budget_refused": (CounterMetricFamily, "Impressions whose unit had lapsed", ()),
    "tayang_user_jwt_keys": (GaugeMetricFamily, "Keys that verify users' JWTs", ()),
    "tayang_user_jwt_verified": (CounterMetricFamily, "Users' JWTs verified afresh", ("kid", "alg")),
    "tayang_user_jwt_refused": (CounterMetricFamily, "Users' JWTs refused", ("reason",)),
    "tayang_user_jwks_loads": (CounterMetricFamily, "Times the JWKS file was taken over", ()),
    "tayang_user_jwks_broken": (GaugeMetricFamily, "1 while the JWKS file can't be used", ()),
    "tayang_catalog_version": (GaugeMetricFamily, "Version of the catalog in memory", ()),
    "tayang_catalog_loads": (CounterMetricFamily, "Times the catalog was loaded", ()),
    "tayang_pending_oldest_seconds": (GaugeMetricFamily, "Age of the oldest event not yet seen merged", ()),
    "tayang_connections": (GaugeMetricFamily, "Open connections of clients", ()),
    "tayang_connections_refused": (CounterMetricFamily, "Connections refused with 503: too many open", ()),
    "tayang_requests_direct": (CounterMetricFamily, "Requests answered the short way", ()),
    "tayang_requests_in_flight": (GaugeMetricFamily, "Requests being answered", ("kind",)),
    "tayang_requests_shed": (CounterMetricFamily, "Requests refused with 503 unseen", ("kind", "reason")),
    "tayang_requests_rate_limited": (CounterMetricFamily, "Requests refused with 429", ("kind",)),
    "tayang_rate_limit_callers": (GaugeMetricFamily, "Callers whose requests are remembered", ("kind",)),
    "tayang_rate_limit_early_turns": (
        CounterMetricFamily,
        "Times callers were forgotten who had not all of their burst again",
        ("kind",),
    ),
    "tayang_heads_timed_out": (CounterMetricFamily, "Requests whose head came too slowly", ()),
    "tayang_writes_timed_out": (CounterMetricFamily, "Clients cut off that did not read", ()),
    "tayang_loop_lag_seconds": (GaugeMetricFamily, "How late the event loop was last", ()),
    "tayang_merge_age_seconds": (GaugeMetricFamily, "Age of the newest merge that reads show", ()),
    "tayang_replica_age_seconds": (GaugeMetricFamily, "Age at most of a replica's state", ("server",)),
}

Sample = tuple[str, list[str], float]


class MetricsBoard:
    """This worker's figures, and those its siblings have written.

    While a worker is replaced there are two of its number. The younger one is believed as soon as it serves.
    """

    def __init__(self, delivery: Delivery, directory: Path | None, worker: int) -> None:
        self._delivery = delivery
        self._directory = directory
        self._worker = worker
        self._started = time.monotonic()  # the same clock in all processes of the machine

    async def run(self) -> None:
        """Write the figures for the siblings, from when clients are let in until cancelled."""
        await self._delivery.connections.accepting.wait()
        if self._directory is None:
            return
        self._remove_dead(self._directory)
        file = self._directory / f"worker-{self._worker}-{os.getpid()}.json"
        try:
            while True:
                self._write(file)
                await asyncio.sleep(_WRITE_SECONDS)
        finally:
            file.unlink(missing_ok=True)

    def families(self) -> Iterator[Metric]:
        by_name = {
            name: kind(name, text, labels=("worker", *labels))  # type: ignore[call-arg]  # the base class takes none
            for name, (kind, text, labels) in _METRICS.items()
        }
        for worker, samples in self._workers():
            for name, labels, value in samples:
                by_name[name].add_metric([worker, *labels], value)  # type: ignore[attr-defined]  # as above
        yield from by_name.values()

    def _workers(self) -> Iterator[tuple[str, Iterable[Sample]]]:
        """Whoever answers comes first."""
        youngest: dict[int, tuple[float, Iterable[Sample]]] = {
            self._worker: (self._started, samples(self._delivery))
        }
        for file in sorted(self._directory.glob("worker-*.json")) if self._directory else ():
            with contextlib.suppress(OSError, ValueError, LookupError):
                written = json.loads(file.read_bytes())
                worker, started = written["worker"], written["started"]
                if worker in youngest and youngest[worker][0] >= started:
                    continue
                if time.time() - written["at"] < _DEAD_SECONDS:
                    youngest[worker] = started, written["samples"]
        for worker, (_, figures) in youngest.items():
            yield str(worker), figures

    def _remove_dead(self, directory: Path) -> None:
        """What killed predecessors have left."""
        for file in directory.glob(f"worker-{self._worker}-*.json"):
            with contextlib.suppress(OSError):
                if time.time() - file.stat().st_mtime > _DEAD_SECONDS:
                    file.unlink()

    def _write(self, file: Path) -> None:
        document = {
            "worker": self._worker,
            "started": self._started,
            "at": time.time(),
            "samples": list(samples(self._delivery)),
        }
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps(document))
        fresh.replace(file)


METRICS: Final = web.AppKey("metrics", MetricsBoard)


def metrics_board(delivery: Delivery) -> MetricsBoard:
    return MetricsBoard(delivery, delivery.config.runtime_dir, delivery.config.worker)


_HEADERS: Final = {"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"}


async def get_metrics(request: web.Request) -> web.Response:
    registry = CollectorRegistry()
    registry.register(_Once(request.app[METRICS]))
    return web.Response(body=generate_latest(registry), headers=_HEADERS)


class _Once(Collector):
    def __init__(self, board: MetricsBoard) -> None:
        self._board = board

    def collect(self) -> Iterable[Metric]:
        return self._board.families()

    def describe(self) -> Iterable[Metric]:
        return ()


def samples(delivery: Delivery) -> Iterator[Sample]:
    yield "tayang_events_accepted", [], delivery.accepted
    yield "tayang_events_refused", [], delivery.refused
    yield "tayang_events_late", [], delivery.late
    yield "tayang_events_of_tests", [], delivery.of_tests
    yield "tayang_marks_left_out", [], delivery.marks_left_out
    yield from _campaign_samples(delivery)
    yield from _flush_samples(delivery)
    yield from _read_samples(delivery)
    yield from _peer_samples(delivery)
    yield from _budget_samples(delivery)
    yield from _jwt_samples(delivery.users)
    yield from _limit_samples(delivery.limits)
    yield from _load_samples(delivery)


def _campaign_samples(delivery: Delivery) -> Iterator[Sample]:
    for campaign in delivery.reader.catalog.campaigns.values():
        for reason, count in campaign.tally.items():
            if reason == SERVED:
                yield "tayang_popups_served", [campaign.key], count
            else:
                yield "tayang_popups_not_shown", [campaign.key, reason], count


def _flush_samples(delivery: Delivery) -> Iterator[Sample]:
    pending, stats = delivery.pending, delivery.flusher.stats
    yield "tayang_pending_rows", [], len(pending)
    yield "tayang_pending_max_rows", [], pending.max_rows
    yield "tayang_flush_copies", [], stats.copies
    yield "tayang_flush_rows", [], stats.rows_copied
    yield "tayang_flush_rows_sent_again", [], stats.rows_sent_again
    yield "tayang_flush_reconnects", [], stats.reconnects
    yield "tayang_flush_ack_timeouts", [], stats.ack_timeouts
    yield "tayang_flush_connected", [], stats.connected


def _peer_samples(delivery: Delivery) -> Iterator[Sample]:
    exchange = delivery.exchange
    yield "tayang_peers", [], exchange.peers
    yield "tayang_peer_impressions_sent", [], exchange.sent
    yield "tayang_peer_impressions_received", [], exchange.memory.received
    yield "tayang_peer_impressions_held", [], len(exchange.memory)
    yield "tayang_peer_connected", [], exchange.connected


def _budget_samples(delivery: Delivery) -> Iterator[Sample]:
    leases, uses = delivery.leases, delivery.uses
    now_us = time.time_ns() // 1000
    for campaign in delivery.reader.catalog.budgeted:
        if isinstance(campaign.budget, Stock):
            yield "tayang_budget_free_units", [campaign.key], campaign.budget.free_units(now_us)
    yield "tayang_budget_leases", [], leases.held
    yield "tayang_budget_units_leased", [], leases.stats.units
    yield "tayang_budget_units_spent", [], uses.stats.spent
    yield "tayang_budget_refused", [], uses.stats.refused


def _read_samples(delivery: Delivery) -> Iterator[Sample]:
    reader = delivery.reader
    for server, batches in reader.stats.batches.items():
        yield "tayang_read_batches", [server], batches
    yield "tayang_read_users", [], reader.stats.users
    yield "tayang_read_unusable_snapshots", [], reader.stats.unusable_snapshots
    yield "tayang_catalog_version", [], reader.catalog.version
    yield "tayang_catalog_loads", [], reader.stats.catalog_loads
    if reader.latest is not None:
        yield "tayang_merge_age_seconds", [], time.time() - reader.latest.merged_at.timestamp()
    for name, age in delivery.freshness.ages_seconds().items():
        yield "tayang_replica_age_seconds", [name], age


def _jwt_samples(users: UserAuthenticator) -> Iterator[Sample]:
    keys = users.verifier.ring.keys
    yield "tayang_user_jwt_keys", [], len(keys)
    for key in keys:
        yield "tayang_user_jwt_verified", [key.kid or "", key.algorithm], key.verified
    for reason, count in users.verifier.refused.items():
        yield "tayang_user_jwt_refused", [reason], count
    if users.jwks is not None:
        yield "tayang_user_jwks_loads", [], users.jwks.loads
        yield "tayang_user_jwks_broken", [], bool(users.jwks.error)


def _limit_samples(limits: Limits) -> Iterator[Sample]:
    for kind, limit in (("user", limits.users), ("key", limits.keys)):
        if limit is not None:
            yield "tayang_requests_rate_limited", [kind], limit.refused
            yield "tayang_rate_limit_callers", [kind], len(limit)
            yield "tayang_rate_limit_early_turns", [kind], limit.early_turns


def _load_samples(delivery: Delivery) -> Iterator[Sample]:
    connections, shedder = delivery.connections, delivery.shedder
    yield "tayang_connections", [], len(connections)
    yield "tayang_connections_refused", [], connections.refused
    yield "tayang_requests_direct", [], connections.direct.taken if connections.direct else 0
    yield "tayang_heads_timed_out", [], connections.heads_timed_out
    yield "tayang_writes_timed_out", [], connections.writes_timed_out
    yield "tayang_loop_lag_seconds", [], shedder.loop_lag_seconds
    yield "tayang_pending_oldest_seconds", [], delivery.oldest.age_seconds(time.monotonic())
    for kind, gate in (("reads", shedder.reads), ("writes", shedder.writes)):
        yield "tayang_requests_in_flight", [kind], len(gate)
        for reason, count in gate.shed.items():
            yield "tayang_requests_shed", [kind, reason], count
