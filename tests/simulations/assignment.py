"""Whether the draws are fair: shares of variants and holdouts, their independence, and who moves on a change.

python -m tests.simulations.assignment [--users 1000000]

Exit code 1 if anything is less likely than one in a million.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Final, NamedTuple
from uuid import UUID

import typer

from api.campaigns.experiments import hash_of, holdout
from tests.simulations.chi_square import ONE_IN_A_MILLION, fit, independence, proportion
from tests.support.campaigns import live

Weights = dict[str, int]
#: (key of the campaign, its weights) → which variant a user gets.
Assignment = Callable[[str, Weights], Callable[[bytes], str]]

WEIGHTS: Final[tuple[Weights, ...]] = (
    {"a": 1, "b": 1},
    {"a": 50, "b": 30, "c": 20},
    {"a": 1, "b": 99},
    {"a": 7, "b": 7, "c": 7, "d": 1},
)
PERCENTS: Final = (0.5, 5, 50)
#: What changes in one variant moves as few users as any way could; the last ones change more at once.
CHANGES: Final[tuple[tuple[str, Weights, Weights], ...]] = (
    ("50/50 to 60/40", {"a": 50, "b": 50}, {"a": 60, "b": 40}),
    ("50/30/20 to 50/60/20", {"a": 50, "b": 30, "c": 20}, {"a": 50, "b": 60, "c": 20}),
    ("a variant is added", {"a": 50, "b": 50}, {"a": 50, "b": 50, "c": 50}),
    ("a variant is removed", {"a": 50, "b": 30, "c": 20}, {"a": 50, "b": 30}),
    ("a variant's weight is 0 now", {"a": 50, "b": 30, "c": 20}, {"a": 50, "b": 30, "c": 0}),
    ("only the ratio counts", {"a": 5, "b": 3}, {"a": 500, "b": 300}),
    ("two of three change", {"a": 50, "b": 30, "c": 20}, {"a": 60, "b": 30, "c": 10}),
    ("all of three change", {"a": 50, "b": 30, "c": 20}, {"a": 20, "b": 30, "c": 50}),
)
PERCENT_CHANGES: Final = ((5.0, 10.0), (10.0, 5.0), (0.5, 50.0))


class Finding(NamedTuple):
    """`probability`: of something as unlikely by chance alone, 0 for what must never happen."""

    what: str
    found: str
    probability: float

    @property
    def passed(self) -> bool:
        return self.probability >= ONE_IN_A_MILLION


def findings(users: int) -> Iterator[Finding]:
    for name, ids in families(users):
        yield from shares(name, ids)
        yield from independent(name, ids)
    ids = next(ids for _, ids in families(users))
    yield from movements(ids, by_the_engine)
    yield from holdout_movements(ids)


def families(users: int) -> Iterator[tuple[str, list[bytes]]]:
    """User ids that are alike, each in its way."""
    yield "user-N", [b"user-%d" % number for number in range(users)]
    yield "numbers", [b"%d" % (6_281_200_000_000 + number) for number in range(users)]
    # Version 7, as they are made one after the other: the same but for a few digits.
    first = (0x019A_0000_0000 << 80) | (7 << 76) | (2 << 62)
    yield "UUIDs", [str(UUID(int=first + (number // 50 << 80) + number)).encode() for number in range(users)]


def by_the_engine(key: str, weights: Weights) -> Callable[[bytes], str]:
    variants = [{"key": name, "weight": weight, "content": {}} for name, weight in weights.items()]
    campaign = live(1, key=key, variants=variants)
    return lambda user: campaign.variant_for(user).key.decode()


def shares(name: str, ids: Sequence[bytes]) -> Iterator[Finding]:
    for weights in WEIGHTS:
        counts = Counter(map(by_the_engine("sale", weights), ids))
        wanted = normal(weights)
        found = " ".join(f"{100 * counts[each] / len(ids):.3f}" for each in wanted)
        written = "/".join(map(str, weights.values()))
        yield Finding(f"{name}: variants {written}", f"{found} %", fit(counts, wanted))
    for percent in PERCENTS:
        held = sum(held_out("sale", percent, ids))
        found = f"{100 * held / len(ids):.4f} %"
        yield Finding(f"{name}: holdout {percent} %", found, proportion(held, len(ids), percent / 100))


def independent(name: str, ids: Sequence[bytes]) -> Iterator[Finding]:
    variants = list(map(by_the_engine("sale", WEIGHTS[1]), ids))
    others = list(map(by_the_engine("news", WEIGHTS[1]), ids))
    sale, news, everything = (
        {percent: held_out(key, percent, ids) for percent in (5, 50)} for key in ("sale", "news", "policy\0")
    )
    pairs = (
        ("variants of two campaigns", variants, others),
        ("holdouts of two campaigns, 50 %", sale[50], news[50]),
        ("holdouts of two campaigns, 5 %", sale[5], news[5]),
        ("a campaign's holdout and the global one, 50 %", sale[50], everything[50]),
        ("a campaign's holdout and the global one, 5 %", sale[5], everything[5]),
        ("holdout and variant of a campaign, 50 %", sale[50], variants),
        ("holdout and variant of a campaign, 5 %", sale[5], variants),
        ("global holdout and variant", everything[50], variants),
        ("variants of neighbours", variants[:-1], variants[1:]),
        ("holdouts of neighbours", sale[50][:-1], sale[50][1:]),
    )
    for what, first, second in pairs:
        probability, strength = independence(zip(first, second, strict=True))
        yield Finding(f"{name}: {what}", f"Cramér's V {strength:.4f}", probability)


def movements(ids: Sequence[bytes], assignment: Assignment) -> Iterator[Finding]:
    """Who gets another variant, against the least that the new shares need."""
    for what, old, new in CHANGES:
        flows = Counter(
            zip(map(assignment("sale", old), ids), map(assignment("sale", new), ids), strict=True)
        )
        moved = sum(count for (before, after), count in flows.items() if before != after)
        least, expected = least_movement(old, new), expected_movement(old, new)
        found = (
            f"{100 * moved / len(ids):.3f} % moved, expected {100 * expected:.3f}, least {100 * least:.3f}"
        )
        yield Finding(what, found, proportion(moved, len(ids), expected))


def holdout_movements(ids: Sequence[bytes]) -> Iterator[Finding]:
    for old, new in PERCENT_CHANGES:
        both = Counter(zip(held_out("sale", old, ids), held_out("sale", new, ids), strict=True))
        moved, against = both[old > new, new > old], both[new > old, old > new]
        what = f"holdout {old} to {new} %"
        yield Finding(f"{what}: the wrong way", f"{against} users", float(not against))
        share = abs(old - new) / 100
        yield Finding(what, f"{100 * moved / len(ids):.3f} % moved", proportion(moved, len(ids), share))


def least_movement(old: Weights, new: Weights) -> float:
    """The share of users that any way must move, to get from one vector to the other."""
    before, after = normal(old), normal(new)
    return sum(max(0.0, share - after.get(name, 0.0)) for name, share in before.items())


def expected_movement(old: Weights, new: Weights) -> float:
    """Of rendezvous hashing: as `least_movement` if one variant changes against all others.

    Else more, which any way must that knows only the weights of now: none does better for some change
    without doing worse for another. Source: Moulton and Jiang, "Maximally consistent sampling and the
    Jaccard index of probability distributions", ICDM 2018.
    """
    before, after = normal(old), normal(new)
    names = before.keys() | after.keys()
    stay = 0.0
    for name in before.keys() & after.keys():
        ratios = (
            max(before.get(each, 0.0) / before[name], after.get(each, 0.0) / after[name]) for each in names
        )
        stay += 1 / sum(ratios)
    return max(0.0, 1 - stay)


def normal(weights: Weights) -> dict[str, float]:
    """As shares; nobody gets a weight of 0."""
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items() if weight}


def held_out(name: str, percent: float, ids: Sequence[bytes]) -> list[bool]:
    draw = holdout(name, percent)
    assert draw is not None, "0 % is no draw"
    return [draw.holds_out(hash_of(user)) for user in ids]


def main(users: Annotated[int, typer.Option(min=1000)] = 1_000_000) -> None:
    started = time.monotonic()
    found = []
    for finding in findings(users):
        found.append(finding)
        verdict = "ok    " if finding.passed else "FAILED"
        print(f"{verdict} p={finding.probability:<8.2g} {finding.what}: {finding.found}", flush=True)  # noqa: T201
    least = min(finding.probability for finding in found if finding.probability < 1)
    print(  # noqa: T201
        f"{users:,} users, {len(found)} checks, the least likely p={least:.2g}; "
        f"{time.monotonic() - started:.0f} s"
    )
    sys.exit(not all(finding.passed for finding in found))


if __name__ == "__main__":
    typer.run(main)
