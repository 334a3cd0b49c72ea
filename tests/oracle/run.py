"""Many cases, in one process or several; ends at the first disagreement."""

import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from tests.oracle.cases import random_case
from tests.oracle.compare import disagreements

_CHUNK_CASES: Final = 50


@dataclass
class Played:
    """`failed` is the number of a case on which oracle and engine disagree."""

    cases: int = 0
    coverage: Counter[str] = field(default_factory=Counter)
    failed: int | None = None

    def add(self, other: "Played") -> None:
        self.cases += other.cases
        self.coverage.update(other.coverage)
        self.failed = other.failed if self.failed is None else self.failed


def play(seed: int, first: int, count: int) -> Played:
    """The seed's cases from number `first` on."""
    played = Played()
    for number in range(first, first + count):
        if disagreements(random_case(seed, number), played.coverage):
            played.failed = number
            break
        played.cases += 1
    return played


def run(*, seed: int, cases: int, jobs: int, progress: Callable[[int], None]) -> Played:
    """`progress` is told how many cases were played, each time."""
    whole = Played()
    for played in _in_one(seed, cases) if jobs == 1 else _in_several(seed, cases, jobs):
        whole.add(played)
        progress(played.cases)
        if whole.failed is not None:
            break
    return whole


def _in_one(seed: int, cases: int) -> Iterator[Played]:
    for first, count in _chunks(cases):
        yield play(seed, first, count)


def _in_several(seed: int, cases: int, jobs: int) -> Iterator[Played]:
    # A progress bar has a thread, and a process with threads should not fork.
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        chunks = _chunks(cases)
        under_way: set[Future[Played]] = set()
        try:
            while True:
                under_way |= {
                    pool.submit(play, seed, *chunk) for chunk in islice(chunks, 2 * jobs - len(under_way))
                }
                if not under_way:
                    return
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            for future in under_way:
                future.cancel()


def _chunks(cases: int) -> Iterator[tuple[int, int]]:
    for first in range(0, cases, _CHUNK_CASES):
        yield first, min(_CHUNK_CASES, cases - first)
