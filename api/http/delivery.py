"""What the mobile endpoints share: who asks, what is live, what was shown."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from api.access.limits import Limits
from api.auth import UserAuthenticator
from api.budgets.keeper import LeaseKeeper
from api.budgets.soft import SoftPoller
from api.budgets.uses import UseQueue
from api.config import ApiConfig
from api.http.connections import Connections
from api.http.context import Query
from api.http.shedder import Shedder
from api.peers.exchange import Exchange
from api.previews import PreviewSigner
from api.read.freshness import Freshness
from api.read.reader import Reader
from api.tokens import TokenSigner
from buffer.age import OldestPending
from buffer.flusher import Flusher
from buffer.pending import PendingList


@dataclass
class Delivery:
    config: ApiConfig
    users: UserAuthenticator
    limits: Limits
    signer: TokenSigner
    previews: PreviewSigner
    context_of: Callable[[str], Query]
    pending: PendingList
    flusher: Flusher
    reader: Reader
    freshness: Freshness
    exchange: Exchange
    leases: LeaseKeeper
    uses: UseQueue
    soft_budgets: SoftPoller
    connections: Connections
    shedder: Shedder
    oldest: OldestPending = field(default_factory=OldestPending)
    accepted: int = 0  # events answered with 202
    refused: int = 0  # events whose token was refused
    late: int = 0  # events of campaigns that were over
    of_tests: int = 0  # events that were accepted and don't count
    marks_left_out: int = 0  # since the pending list was full


DELIVERY: Final = web.AppKey("delivery", Delivery)
