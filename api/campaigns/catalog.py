"""All live campaigns at one version, and which of them match a request's context."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from functools import cached_property

from api.campaigns.groups import NO_POLICY, LivePolicy, compile_policy
from api.campaigns.live import LiveCampaign, by_priority, compile_campaign
from api.campaigns.model import Campaign
from api.campaigns.policy import Policy, no_policy
from api.campaigns.tally import SharedCounts, Tallies

#: Contexts are few (platform, app version, locale …); unless somebody makes them up.
_CONTEXTS_MAX = 10_000


@dataclass(frozen=True, eq=False, slots=True)
class Context:
    """What a request says of itself. Compared by identity: the parser keeps equal ones together."""

    placement: str
    attributes: Mapping[str, str]
    limit: int
    zone: tzinfo | None = None


@dataclass(frozen=True)
class Stored:
    """What the database holds at one version. `live` names all live campaigns by id.

    `changed` are those of them that a catalog with `known_versions` lacks, compiled by it. The other fields
    are about all campaigns, live or not.
    """

    version: int
    live: Sequence[int]
    changed: Sequence[LiveCampaign]
    hard_budget_ids: Collection[int] = ()
    policy: Policy = field(default_factory=no_policy)
    tags: Mapping[int, Collection[str]] = field(default_factory=dict)
    uncounted: Collection[int] = ()
    exempt: Collection[int] = ()
    test_users: Collection[str] = ()


@dataclass(eq=False)
class Catalog:
    version: int = 0
    campaigns: dict[int, LiveCampaign] = field(default_factory=dict)
    #: Also those that are not live: their popups may still be out.
    hard_budget_ids: frozenset[int] = frozenset()
    budgeted: tuple[LiveCampaign, ...] = ()
    policy: LivePolicy = NO_POLICY
    test_users: frozenset[str] = frozenset()
    tallies: Tallies = field(default_factory=Tallies)
    placements: dict[str, "Placement"] = field(default_factory=dict)

    def matching(self, context: Context) -> SharedCounts:
        """The campaigns of the placement whose targeting matches, sorted by priority; remembered."""
        placement = self.placements.get(context.placement)
        if placement is None:
            return _NOTHING
        return placement.matching(context)

    def matching_once(self, context: Context) -> SharedCounts:
        """The same for a context that does not come again, and is not worth remembering."""
        placement = self.placements.get(context.placement)
        return _NOTHING if placement is None else placement.of_values(context.attributes)

    @cached_property
    def ordered(self) -> tuple[LiveCampaign, ...]:
        """All campaigns, of whatever placement, sorted by priority."""
        return by_priority(list(self.campaigns.values()))

    @property
    def known_versions(self) -> dict[int, int]:
        """By id, what `replaced_by` needs no document of."""
        return {known.id: known.version for known in self.campaigns.values()}

    def compiled(self, campaign: Campaign) -> LiveCampaign:
        """For the next catalog, its counters and its soft budget going on."""
        return compile_campaign(campaign, self.campaigns.get(campaign.id))

    def replaced_by(self, stored: Stored) -> "Catalog":
        """The next catalog. Nothing is made again that has not changed."""
        known = self.campaigns | {campaign.id: campaign for campaign in stored.changed}
        # A document that is not valid is not there.
        campaigns = {each: known[each] for each in stored.live if each in known}
        self.tallies.follow(campaigns.values())
        return Catalog(
            stored.version,
            campaigns,
            frozenset(stored.hard_budget_ids),
            tuple(campaign for campaign in campaigns.values() if campaign.budget is not None),
            compile_policy(stored.policy, tags=stored.tags, uncounted=stored.uncounted, exempt=stored.exempt),
            frozenset(stored.test_users),
            self.tallies,
            self._placements(campaigns.values()),
        )

    def _placements(self, campaigns: Iterable[LiveCampaign]) -> dict[str, "Placement"]:
        """A placement whose campaigns are the same goes on with all that it remembers."""
        by_name: dict[str, list[LiveCampaign]] = {}
        for campaign in campaigns:
            by_name.setdefault(campaign.placement, []).append(campaign)
        placements = {}
        for name, some in by_name.items():
            ordered = by_priority(some)
            known = self.placements.get(name)
            same = known is not None and known.campaigns == ordered
            placements[name] = known if known is not None and same else Placement(ordered, self.tallies)
        for name, known in self.placements.items():
            if placements.get(name) is not known:
                known.retire()
        return placements


class Placement:
    """The live campaigns of one placement, found by what requests say of themselves.

    Two memories before any condition is evaluated: by context, and by the attributes that any targeting
    here asks for, so that what no campaign asks for (an id, say) costs nothing. Behind them an index: a
    campaign that needs one of some values of an attribute is looked at only for these.
    """

    def __init__(self, campaigns: tuple[LiveCampaign, ...], tallies: Tallies) -> None:
        self.campaigns = campaigns
        self._tallies = tallies
        self._attributes = tuple(sorted(frozenset().union(*(each.attributes for each in campaigns))))
        self._by_context: dict[Context, SharedCounts] = {}
        self._by_values: dict[tuple[str | None, ...], SharedCounts] = {}
        self._always: list[int] = []
        self._found_by: dict[tuple[str, str], list[int]] = {}
        for place, campaign in enumerate(campaigns):
            self._enter(place, campaign)

    def matching(self, context: Context) -> SharedCounts:
        found = self._by_context.get(context)
        if found is None:
            if len(self._by_context) >= _CONTEXTS_MAX:
                self._by_context.clear()
            found = self._by_context[context] = self.of_values(context.attributes)
        return found

    def retire(self) -> None:
        """No request comes any more."""
        for counts in self._by_values.values():
            counts.retired = True

    def _enter(self, place: int, campaign: LiveCampaign) -> None:
        if campaign.found_by is None:
            self._always.append(place)
            return
        attribute, values = campaign.found_by
        for value in values:
            self._found_by.setdefault((attribute, value), []).append(place)

    def of_values(self, attributes: Mapping[str, str]) -> SharedCounts:
        values = tuple(attributes.get(name) for name in self._attributes)
        found = self._by_values.get(values)
        if found is None:
            if len(self._by_values) >= _CONTEXTS_MAX:
                self.retire()
                self._by_values.clear()
                self._by_context.clear()
            found = self._by_values[values] = self._evaluated(attributes)
            self._tallies.share(found)
        return found

    def _evaluated(self, attributes: Mapping[str, str]) -> SharedCounts:
        places = list(self._always)
        for name in self._attributes:
            if name in attributes:
                places += self._found_by.get((name, attributes[name]), ())
        places.sort()
        campaigns = self.campaigns
        matching = tuple(campaigns[place] for place in places if campaigns[place].matches(attributes))
        ids = {campaign.id for campaign in matching}
        return SharedCounts(matching, tuple(each for each in campaigns if each.id not in ids))


_NOTHING = SharedCounts((), ())
