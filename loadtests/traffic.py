"""The requests: users with JWTs of their own, and tokens got from the API as phones get them."""

import json
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle
from typing import Final

from loadtests.campaigns import QUERIES
from loadtests.generator import Request
from loadtests.jwts import Mint

_SEED: Final = 7


class Population:
    """`count` users with JWTs, each `step`-th of those who are counted.

    `users` are their ids; `tokens` are the popups that were served to them and not yet confirmed.
    """

    def __init__(self, count: int, secret: str, address: tuple[str, int], *, step: int = 1) -> None:
        self._host = f"{address[0]}:{address[1]}".encode()
        mint = Mint(secret, int(time.time()))
        self.users = [user_id(step * number) for number in range(count)]
        self._jwts = [mint.jwt(user).encode() for user in self.users]
        self._random = random.Random(_SEED)
        self.tokens: list[tuple[int, bytes]] = []
        self.served = 0

    def everyone_once(self) -> Iterator[Request]:
        """One GET of each user, in random order."""
        return self._gets(self._shuffled())

    def gets(self) -> Iterator[Request]:
        """GETs without end: all users in random order, then again."""
        return self._gets(cycle(self._shuffled()))

    def posts(self) -> Iterator[Request]:
        """One POST for each token left, until none is."""
        while self.tokens:
            yield self._post(*self.tokens.pop())

    def posts_of(self, tokens: Sequence[bytes]) -> Iterator[Request]:
        """POSTs without end for a baseline, whose tokens can be sent again: any user, any of them."""
        for number in cycle(self._shuffled()):
            yield self._post(number, self._random.choice(tokens))

    def whoami(self) -> Iterator[Request]:
        """One cheap request of each user to a baseline: it verifies the JWT, and remembers it."""
        for number, token in enumerate(self._jwts):
            yield (
                b"GET /v1/me HTTP/1.1\r\nHost: %b\r\nAuthorization: Bearer %b\r\n\r\n" % (self._host, token),
                number,
            )

    def keep_tokens(self, number: int, body: bytes) -> None:
        """From an answer to a GET of user `number`."""
        popups = json.loads(body)["popups"]
        self.served += len(popups)
        self.tokens.extend((number, popup["token"].encode()) for popup in popups)

    def mix_tokens(self) -> None:
        self._random.shuffle(self.tokens)

    def _post(self, number: int, token: bytes) -> Request:
        body = b'{"token":"%b"}' % token
        return (
            b"POST /v1/impressions HTTP/1.1\r\nHost: %b\r\nAuthorization: Bearer %b\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (self._host, self._jwts[number], len(body), body),
            number,
        )

    def _gets(self, numbers: Iterable[int]) -> Iterator[Request]:
        jwts, host = self._jwts, self._host
        for number, query in zip(numbers, cycle(query.encode() for query in QUERIES), strict=False):
            yield (
                b"GET /v1/popups?%b HTTP/1.1\r\nHost: %b\r\nAuthorization: Bearer %b\r\n\r\n"
                % (query, host, jwts[number]),
                number,
            )

    def _shuffled(self) -> Sequence[int]:
        numbers = list(range(len(self._jwts)))
        self._random.shuffle(numbers)
        return numbers


def bare_gets(address: tuple[str, int]) -> Iterator[Request]:
    """The shortest request there is: the yardstick gets no long headers to parse."""
    request = f"GET / HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\n\r\n".encode()
    while True:
        yield request, 0


def user_id(number: int) -> str:
    """As sql/seed_counts.sql and sql/fill_buffer.sql write it."""
    return f"user-{number:07d}"
