"""What becomes of a choice: popups and ghosts as JSON with signed tokens, and marks for experiments."""

from datetime import UTC, datetime
from functools import lru_cache

from api.campaigns.asked import Asked
from api.campaigns.experiments import LiveVariant
from api.campaigns.history import Seen
from api.campaigns.live import LiveCampaign
from api.http.delivery import Delivery
from api.http.marks import note
from api.tokens import impression_id_of
from buffer.contract import KIND_GHOST, KIND_SERVED


class Serving:
    """One answer to one user. Nothing that it does waits."""

    def __init__(self, delivery: Delivery, user_id: str, asked: Asked) -> None:
        self._delivery = delivery
        self._user_id = user_id
        self._asked = asked
        self._latest = asked.now_us // 1_000_000 + delivery.config.show_within_seconds

    def popup(self, campaign: LiveCampaign, seen: Seen | None) -> bytes:
        asked = self._asked
        variant = campaign.variant_for(asked.user)
        show_by, unit = self._latest, None
        # What a test user sees counts nowhere, so it may take nothing from a budget either.
        if campaign.budget is not None and not asked.test:
            reserved = campaign.budget.reserve(asked.now_us)
            if reserved is not None:
                unit = reserved.lease_id, reserved.number
                show_by = min(show_by, reserved.end_us // 1_000_000 - 1)
        token = self._token(campaign, variant, show_by=show_by, unit=unit, test=asked.test)
        if seen is None and self._in_experiment(campaign):
            self._note(KIND_SERVED, campaign, variant, token)
        return variant.head + token + b'","expires_at":"' + _iso_seconds(show_by) + b'"}'

    def preview(self, campaign: LiveCampaign, variant: LiveVariant) -> bytes:
        """A popup that counts nowhere."""
        token = self._token(campaign, variant, show_by=self._latest, test=True)
        return variant.head + token + b'","expires_at":"' + _iso_seconds(self._latest) + b'","preview":true}'

    def ghost(self, campaign: LiveCampaign) -> bytes | None:
        """What would have been shown, noted as such; None if there was no room for the note."""
        variant = campaign.variant_for(self._asked.user)
        token = self._token(campaign, variant, show_by=self._latest, ghost=True)
        if not self._note(KIND_GHOST, campaign, variant, token):
            return None
        return b'{"campaign":"%b","variant":"%b","token":"%b"}' % (campaign.key.encode(), variant.key, token)

    def _in_experiment(self, campaign: LiveCampaign) -> bool:
        """Whether somebody else is held out, so that who was served must be known as well as who was not."""
        if self._asked.test:
            return False
        return campaign.holdout is not None or (
            self._asked.policy.holdout is not None and not campaign.exempt
        )

    def _token(
        self,
        campaign: LiveCampaign,
        variant: LiveVariant,
        *,
        show_by: int,
        unit: tuple[int, int] | None = None,
        test: bool = False,
        ghost: bool = False,
    ) -> bytes:
        asked = self._asked
        return self._delivery.signer.sign(
            asked.user,
            campaign.id,
            variant.key,
            now_ms=asked.now_us // 1000,
            show_by=show_by,
            unit=unit,
            session=asked.session,
            test=test,
            ghost=ghost,
        )

    def _note(self, kind: int, campaign: LiveCampaign, variant: LiveVariant, token: bytes) -> bool:
        return note(
            self._delivery,
            user_id=self._user_id,
            campaign_id=campaign.id,
            variant=variant.key.decode(),
            kind=kind,
            impression_id=impression_id_of(token),
            session=self._asked.session,
            now_us=self._asked.now_us,
        )


@lru_cache(maxsize=16)
def _iso_seconds(seconds: int) -> bytes:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
