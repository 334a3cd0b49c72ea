"""One request for popups, as the rules see it."""

from collections.abc import Mapping
from copy import copy
from datetime import tzinfo
from typing import Final

from api.campaigns.budget import Budget, Shortage
from api.campaigns.experiments import hash_of
from api.campaigns.groups import NO_POLICY, LivePolicy
from api.campaigns.history import History
from api.campaigns.live import LiveCampaign

NO_ACCOUNTS: Final[Mapping[Budget, Shortage | None]] = {}


class Asked:
    """`user` is the id in UTF-8; `zone` the phone's, None if it didn't say; `session` a hash, 0 if none.

    A test user is never held out. `accounts`: what is known of hard budgets where this process's own units
    are not to be asked; None if there is room.
    """

    __slots__ = (
        "_globally_held",
        "_user_hash",
        "accounts",
        "history",
        "limit",
        "now_us",
        "policy",
        "session",
        "test",
        "user",
        "zone",
    )

    def __init__(
        self,
        history: History,
        *,
        user: bytes,
        now_us: int,
        limit: int,
        zone: tzinfo | None = None,
        session: int = 0,
        policy: LivePolicy = NO_POLICY,
        test: bool = False,
        accounts: Mapping[Budget, Shortage | None] = NO_ACCOUNTS,
    ) -> None:
        self.history = history
        self.user = user
        self.now_us = now_us
        self.limit = limit
        self.zone = zone
        self.session = session
        self.policy = policy
        self.test = test
        self.accounts = accounts
        self._user_hash: int | None = None
        self._globally_held: bool | None = None

    def at(self, now_us: int) -> "Asked":
        """The same at another time, with the same history."""
        later = copy(self)
        later.now_us = now_us
        return later

    @property
    def user_hash(self) -> int:
        hashed = self._user_hash
        if hashed is None:
            hashed = self._user_hash = hash_of(self.user)
        return hashed

    @property
    def globally_held(self) -> bool:
        """Whether the global holdout has drawn the user."""
        held = self._globally_held
        if held is None:
            draw = self.policy.holdout
            held = self._globally_held = draw is not None and not self.test and draw.holds_out(self.user_hash)
        return held

    def held_out_of(self, campaign: LiveCampaign) -> bool:
        """Whether the campaign's own holdout has drawn the user."""
        draw = campaign.holdout
        return draw is not None and not self.test and draw.holds_out(self.user_hash)

    def counted_as(self, campaign: LiveCampaign) -> int:
        """The id that the user's history with the campaign is under: ghosts are counted by themselves."""
        if self.held_out_of(campaign) or (self.globally_held and not campaign.exempt):
            return -campaign.id
        return campaign.id
