"""What was sent and what was acknowledged, written down on the phones' side of the wire."""

from collections import Counter
from dataclasses import dataclass
from uuid import UUID

from api.tokens import TokenSigner


@dataclass(slots=True)
class Line:
    """One impression: `sent` counts the requests that held it, `acknowledged` says whether one got 202."""

    token: str
    user: str
    campaign_id: int
    sent: int = 0
    acknowledged: bool = False


class Ledger:
    """`secret` is the one that signs the service's tokens: they say whose impression of what they are."""

    def __init__(self, secret: str) -> None:
        self.lines: dict[UUID, Line] = {}
        #: Answers that only tell of trouble (503, a reset), by their names.
        self.troubles: Counter[str] = Counter()
        #: Answers that no failure excuses.
        self.outrages: Counter[str] = Counter()
        self.acknowledged_count = 0
        self._signer = TokenSigner((secret,))
        self._by_token: dict[str, UUID] = {}

    def sent(self, token: str) -> None:
        """Call it before the request: what the service never got counts as sent, too."""
        if token not in self._by_token:
            popup = self._signer.verify(token)
            impression_id = UUID(bytes=popup.impression_id)
            self._by_token[token] = impression_id
            self.lines[impression_id] = Line(token, popup.user_id, popup.campaign_id)
        self.lines[self._by_token[token]].sent += 1

    def acknowledged(self, token: str) -> None:
        line = self.lines[self._by_token[token]]
        self.acknowledged_count += not line.acknowledged
        line.acknowledged = True

    @property
    def users(self) -> list[str]:
        return sorted({line.user for line in self.lines.values()})

    def acknowledged_ids(self) -> set[UUID]:
        return {impression_id for impression_id, line in self.lines.items() if line.acknowledged}

    def acknowledged_lines(self) -> list[Line]:
        return [line for line in self.lines.values() if line.acknowledged]

    def unacknowledged(self) -> list[Line]:
        return [line for line in self.lines.values() if not line.acknowledged]
