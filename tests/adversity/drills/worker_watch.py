"""A worker's memory and what it tells of itself, sampled while a load runs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import psutil  # type: ignore[import-untyped]

from loadtests.service import Service

_SAMPLE_SECONDS: Final = 0.1
_SAMPLES_A_SCRAPE: Final = 10


@dataclass
class Watched:
    """Resident memory in bytes; `lags` of the event loop in seconds, one a second."""

    before: int = 0
    most: int = 0
    after: int = 0
    lags: list[float] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)


@contextmanager
def watched(service: Service) -> Iterator[Watched]:
    """Also a proof that metrics are answered during a flood: a scrape that fails ends the block with it."""
    process, seen, over = psutil.Process(service.pids()["api"]), Watched(), threading.Event()
    seen.before = seen.most = process.memory_info().rss
    failures: list[Exception] = []

    def sample() -> None:
        number = 0
        while not over.wait(_SAMPLE_SECONDS):
            number += 1
            seen.most = max(seen.most, process.memory_info().rss)
            if number % _SAMPLES_A_SCRAPE == 0 and not failures:
                try:
                    seen.lags.append(_figure(service.metrics(), "tayang_loop_lag_seconds"))
                except Exception as error:  # noqa: BLE001  (raised again below)
                    failures.append(error)

    sampler = threading.Thread(target=sample, name="sampler")
    sampler.start()
    try:
        yield seen
        seen.after = process.memory_info().rss
        seen.metrics = service.metrics()
    finally:
        over.set()
        sampler.join()
    if failures:
        raise failures[0]


def _figure(metrics: dict[str, float], name: str) -> float:
    return metrics[f'{name}{{worker="0"}}']
