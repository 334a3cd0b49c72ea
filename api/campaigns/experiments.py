"""Who is held out, and who gets which variant: draws that stay the same for a user."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import inf, log
from typing import Final

_MASK: Final = 2**64 - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15  # 2^64 / golden ratio: multiplying by it spreads the low bits upwards
_EVERYBODY: Final = 2**64


@dataclass(frozen=True, slots=True)
class Draw:
    """Holds users out whose draw lies below `below`, of 2^64: a changed share moves only the difference."""

    seed: int
    below: int

    @property
    def percent(self) -> float:
        return round(100 * self.below / _EVERYBODY, 6)

    def holds_out(self, user_hash: int) -> bool:
        return _mixed(user_hash ^ self.seed) < self.below


@dataclass(frozen=True, slots=True)
class LiveVariant:
    """`head` is the popup's JSON from `{` to the opening quote of its token."""

    key: bytes
    weight: int
    head: bytes
    seed: bytes


def holdout(name: str, percent: float) -> Draw | None:
    """`name` sets the draw apart from all others; None if nobody is held out."""
    return Draw(hash_of(b"holdout\0" + name.encode()), int(percent / 100 * _EVERYBODY)) if percent else None


def variant_for(variants: Sequence[LiveVariant], user: bytes) -> LiveVariant:
    """The user's variant, by weighted rendezvous hashing: each variant draws -ln(u)/weight, least wins.

    So a changed weight moves only the share of users that it must.
    Source: Schindelhauer and Schomaker, "Weighted distributed hash tables", SPAA 2005.
    """
    chosen = variants[0]
    if len(variants) == 1:
        return chosen
    least = inf
    for variant in variants:
        score = -log((hash_of(variant.seed + user) + 1) / _EVERYBODY) / variant.weight
        if score < least:
            chosen, least = variant, score
    return chosen


def order_of(user_hash: int, seed: int) -> int:
    """The last tie-break between campaigns: fixed for a user, and spread evenly over users."""
    return ((user_hash ^ seed) * _GOLDEN) & _MASK


def hash_of(data: bytes) -> int:
    """64 bits."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")


def _mixed(bits: int) -> int:
    """The finalizer of SplitMix64: neighbouring inputs give unrelated outputs.

    Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _MASK
    return bits ^ (bits >> 31)
