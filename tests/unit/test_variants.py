"""A user's variant: the shares are the weights, and a changed weight moves only whom it must."""

from collections import Counter
from typing import Final

import pytest

from api.campaigns.live import LiveCampaign
from tests.support.campaigns import live

USERS: Final = [b"user-%d" % number for number in range(100_000)]
#: The value that chi-square exceeds by chance once in a million, by degrees of freedom.
ONE_IN_A_MILLION: Final = {1: 23.93, 2: 27.63, 3: 30.66, 4: 33.38}


def split(key: str = "split", /, **weights: int) -> LiveCampaign:
    variants = [{"key": name, "weight": weight, "content": {}} for name, weight in weights.items()]
    return live(1, key=key, variants=variants)


def variants_of(campaign: LiveCampaign) -> list[str]:
    return [campaign.variant_for(user).key.decode() for user in USERS]


def chi_square(counts: Counter[str], weights: dict[str, int]) -> float:
    total = sum(weights.values())
    expected = {name: len(USERS) * weight / total for name, weight in weights.items()}
    return sum((counts[name] - share) ** 2 / share for name, share in expected.items())


@pytest.mark.parametrize(
    "weights",
    [{"a": 1, "b": 1}, {"a": 50, "b": 30, "c": 20}, {"a": 1, "b": 99}, {"a": 7, "b": 7, "c": 7, "d": 1}],
)
def test_shares_follow_the_weights(weights: dict[str, int]) -> None:
    counts = Counter(variants_of(split(**weights)))
    assert chi_square(counts, weights) < ONE_IN_A_MILLION[len(weights) - 1]


def test_a_heavier_weight_takes_users_from_the_others_and_moves_no_one_else() -> None:
    before = variants_of(split(a=50, b=30, c=20))
    after = variants_of(split(a=50, b=60, c=20))

    moved = Counter((old, new) for old, new in zip(before, after, strict=True) if old != new)

    assert {new for _, new in moved} == {"b"}
    share = sum(moved.values()) / len(USERS)
    assert share == pytest.approx(60 / 130 - 30 / 100, abs=0.01), "and not more than the new shares need"
    assert chi_square(Counter(after), {"a": 50, "b": 60, "c": 20}) < ONE_IN_A_MILLION[2]


def test_a_removed_variant_gives_its_users_to_the_others() -> None:
    before = variants_of(split(a=2, b=1, c=1))
    for after in (variants_of(split(a=2, b=1)), variants_of(split(a=2, b=1, c=0))):
        assert all(old in {new, "c"} for old, new in zip(before, after, strict=True))
        assert set(after) == {"a", "b"}


def test_only_the_ratio_of_the_weights_counts_and_not_their_order() -> None:
    before = variants_of(split(a=5, b=3))
    assert variants_of(split(a=500, b=300)) == before
    assert variants_of(split(b=3, a=5)) == before


def test_campaigns_split_their_users_independently() -> None:
    """Who gets `a` in one campaign gets it in another as often as everybody else."""
    one, other = variants_of(split(a=1, b=1)), variants_of(split("another", a=1, b=1))
    together = Counter(a + b for a, b in zip(one, other, strict=True))
    assert chi_square(together, {"aa": 1, "ab": 1, "ba": 1, "bb": 1}) < ONE_IN_A_MILLION[3]


def test_one_variant_and_weights_of_nothing() -> None:
    assert split(a=1).variant_for(b"ani").key == b"a"
    assert set(variants_of(split(a=0, b=5, c=0))) == {"b"}
