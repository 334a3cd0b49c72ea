"""What was sent and what was acknowledged, written down on the phones' side of the wire."""

from collections import Counter
from dataclasses import dataclass
from uuid import UUID

from api.tokens import TokenSigner
from buffer.contract import KIND_IMPRESSION

#: Impression and kind: what an event is known by.
Key = tuple[UUID, int]


@dataclass(slots=True)
class Line:
    """One event: `sent` counts the requests that held it, `acknowledged` says whether one got 202."""

    token: str
    kind: int
    user: str
    campaign_id: int
    sent: int = 0
    acknowledged: bool = False


class Ledger:
    """`secret` is the one that signs the service's tokens: they say whose impression of what they are."""

    def __init__(self, secret: str) -> None:
        self.lines: dict[Key, Line] = {}
        #: Answers that only tell of trouble (503, a reset), by their names.
        self.troubles: Counter[str] = Counter()
        #: Answers that no failure excuses.
        self.outrages: Counter[str] = Counter()
        self.acknowledged_count = 0
        self._signer = TokenSigner((secret,))
        self._by_token: dict[str, UUID] = {}

    def sent(self, token: str, kind: int = KIND_IMPRESSION) -> None:
        """Call it before the request: what the service never got counts as sent, too."""
        key = self._key(token, kind)
        if key not in self.lines:
            popup = self._signer.verify(token)
            self.lines[key] = Line(token, kind, popup.user_id, popup.campaign_id)
        self.lines[key].sent += 1

    def acknowledged(self, token: str, kind: int = KIND_IMPRESSION) -> None:
        line = self.lines[self._key(token, kind)]
        self.acknowledged_count += not line.acknowledged
        line.acknowledged = True

    @property
    def users(self) -> list[str]:
        return sorted({line.user for line in self.lines.values()})

    def acknowledged_keys(self) -> set[Key]:
        return {key for key, line in self.lines.items() if line.acknowledged}

    def acknowledged_lines(self) -> list[Line]:
        return [line for line in self.lines.values() if line.acknowledged]

    def unacknowledged(self) -> list[Line]:
        return [line for line in self.lines.values() if not line.acknowledged]

    def _key(self, token: str, kind: int) -> Key:
        if token not in self._by_token:
            self._by_token[token] = UUID(bytes=self._signer.verify(token).impression_id)
        return self._by_token[token], kind
