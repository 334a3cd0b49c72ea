"""The keys that verify users' JWTs, and which of them a token's header may ask for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

#: What `alg` may be, by algorithm: RFC 9864 gave EdDSA with Ed25519 a name of its own, and both are in use.
_NAMES: Final = {"HS256": ("HS256",), "RS256": ("RS256",), "ES256": ("ES256",), "EdDSA": ("EdDSA", "Ed25519")}
_ALGORITHMS: Final = {name: algorithm for algorithm, names in _NAMES.items() for name in names}


def algorithm_of(name: object) -> str | None:
    """The algorithm that `alg` names; None if it is none of ours."""
    return _ALGORITHMS.get(name) if isinstance(name, str) else None


class UnknownKeyError(Exception):
    """The token names a key that is not in use, or none at all, or another algorithm than the key's."""


@dataclass(eq=False, slots=True)
class UserKey:
    """One key and the one algorithm that it is for: a token's header has no say in that."""

    kid: str | None
    algorithm: str  # HS256, RS256, ES256 or EdDSA
    material: Any = field(repr=False)  # as PyJWT takes it
    identity: bytes = field(repr=False)  # equal for equal material
    in_use: bool = True  # False: what it has verified is not believed any more
    verified: int = 0  # tokens

    @property
    def names(self) -> tuple[str, ...]:
        """What `alg` may be in a token of this key."""
        return _NAMES[self.algorithm]

    def __str__(self) -> str:
        return f"{self.algorithm} {'without a kid' if self.kid is None else repr(self.kid)}"

    def same_as(self, other: "UserKey") -> bool:
        return (self.kid, self.algorithm, self.identity) == (other.kid, other.algorithm, other.identity)


class KeyRing:
    """The keys in use. With `any_kid` they verify whatever name a token gives its key."""

    def __init__(self, keys: Iterable[UserKey], *, any_kid: bool = False) -> None:
        """Raises ValueError."""
        self._any_kid = any_kid
        self._named: Mapping[str, UserKey] = {}
        self._unnamed: Mapping[str, UserKey] = {}
        self.replace(keys)

    @property
    def keys(self) -> tuple[UserKey, ...]:
        return (*self._named.values(), *self._unnamed.values())

    def key_for(self, header: Mapping[str, Any]) -> UserKey:
        """The key that a token with this header must be signed with. Raises UnknownKeyError.

        A key without a name is found by `alg`, which only tells apart keys that are each for one algorithm:
        whoever changes it in a token gets another key, and never this one used in another way.
        """
        kid = header.get("kid")
        if kid is None or self._any_kid:
            found = self._unnamed.get(algorithm_of(header.get("alg")) or "")
        else:
            found = self._named.get(kid) if isinstance(kid, str) else None
        if found is None or header.get("alg") not in found.names:
            raise UnknownKeyError
        return found

    def replace(self, keys: Iterable[UserKey]) -> None:
        """Use these keys from now on. One that stays keeps what it has verified. Raises ValueError."""
        before = self.keys
        named: dict[str, UserKey] = {}
        unnamed: dict[str, UserKey] = {}
        for fresh in keys:
            key = next((known for known in before if known.same_as(fresh)), fresh)
            _put(key, named, unnamed)
        self._named, self._unnamed = named, unnamed
        for key in set(before) - set(self.keys):
            key.in_use = False


def _put(key: UserKey, named: dict[str, UserKey], unnamed: dict[str, UserKey]) -> None:
    if key.kid is None:
        if key.algorithm in unnamed:
            raise ValueError(f"two {key.algorithm} keys have no 'kid': name them")
        unnamed[key.algorithm] = key
    else:
        if key.kid in named:
            raise ValueError(f"two keys have the kid {key.kid!r}: give each its own")
        named[key.kid] = key
