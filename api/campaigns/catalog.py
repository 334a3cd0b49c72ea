"""All live campaigns at one version, and which of them match a request's context."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from api.campaigns.live import LiveCampaign, by_priority, compile_campaign
from api.campaigns.model import Campaign

#: Contexts are few (platform, app version, locale …); unless somebody makes them up.
_CONTEXTS_MAX = 10_000


@dataclass(frozen=True, eq=False, slots=True)
class Context:
    """What a request says of itself. Compared by identity: the parser keeps equal ones together."""

    placement: str
    attributes: Mapping[str, str]
    limit: int


@dataclass(eq=False)
class Catalog:
    version: int = 0
    campaigns: dict[int, LiveCampaign] = field(default_factory=dict)
    #: Also those that are not live: their popups may still be out.
    hard_budget_ids: frozenset[int] = frozenset()
    budgeted: tuple[LiveCampaign, ...] = ()
    _by_placement: dict[str, tuple[LiveCampaign, ...]] = field(default_factory=dict)
    _matching: dict[Context, tuple[LiveCampaign, ...]] = field(default_factory=dict)

    def matching(self, context: Context) -> tuple[LiveCampaign, ...]:
        """Campaigns of the placement whose targeting matches, sorted by priority; remembered by context."""
        found = self._matching.get(context)
        if found is None:
            if len(self._matching) >= _CONTEXTS_MAX:
                self._matching.clear()
            placed = self._by_placement.get(context.placement, ())
            found = tuple(campaign for campaign in placed if campaign.matches(context.attributes))
            self._matching[context] = found
        return found

    def replaced_by(
        self, version: int, live: Iterable[Campaign], hard_budget_ids: Iterable[int] = ()
    ) -> "Catalog":
        """The next catalog. A campaign whose version has not moved is not compiled again."""
        campaigns = {}
        for campaign in live:
            known = self.campaigns.get(campaign.id)
            if known is None or known.version != campaign.version:
                known = compile_campaign(campaign, known)
            campaigns[campaign.id] = known
        placements: dict[str, list[LiveCampaign]] = {}
        for known in campaigns.values():
            placements.setdefault(known.placement, []).append(known)
        return Catalog(
            version,
            campaigns,
            frozenset(hard_budget_ids),
            tuple(known for known in campaigns.values() if known.budget is not None),
            {name: by_priority(some) for name, some in placements.items()},
        )
