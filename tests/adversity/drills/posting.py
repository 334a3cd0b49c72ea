"""Impressions without end, for drills that only write: tokens are signed here, with the service's secret."""

import time
from collections.abc import Iterator
from itertools import count
from uuid import UUID

from api.tokens import TokenSigner
from loadtests.generator import Request
from tayang.user_token import mint
from tests.adversity.drills.http import get_popups, post_impressions
from tests.support.service import TOKEN_SECRET, USER_SECRET

_SHOW_SECONDS = 600


class Posts:
    """`requests()` numbers its requests from 0; `ids[n]` is the impression of the n-th."""

    def __init__(self, campaign_id: int, users: int) -> None:
        self.ids: list[UUID] = []
        self._campaign_id = campaign_id
        self._signer = TokenSigner((TOKEN_SECRET,))
        self._turns = count()
        names = [f"poster-{number}" for number in range(users)]
        self._users = [(name.encode(), mint(USER_SECRET, name).encode()) for name in names]

    def requests(self) -> Iterator[Request]:
        while True:
            yield self.next()

    def get(self) -> bytes:
        """A GET of some user's popups."""
        return get_popups(self._users[next(self._turns) % len(self._users)][1], b"placement=home")

    def next(self) -> Request:
        number = len(self.ids)
        user, jwt = self._users[number % len(self._users)]
        now_ms = time.time_ns() // 1_000_000
        show_by = now_ms // 1000 + _SHOW_SECONDS
        token = self._signer.sign(user, self._campaign_id, b"a", now_ms=now_ms, show_by=show_by).decode()
        self.ids.append(UUID(bytes=self._signer.verify(token).impression_id))
        return post_impressions(jwt, {"token": token}), number
