"""What the traffic in a ledger cost, what it would have cost, and what was saved. Exact: sums of decimals.

**Spent** is what every attempt certainly cost, answers that were discarded, failed attempts that told their usage and the
known part of unknown costs included.
**Baseline** is what the answers' tokens would have cost at the top tier, by the price that held when they were given.
**Saved** is baseline less spent less the router's own time, over the requests of which both are known; requests that
nobody answered have no baseline, so what they cost counts against the router.

Beside it stand **controls** on the same traffic, answers only, at today's prices: a router that ignores what is asked
and sends each tier the same share of the requests (its expectation, not one draw of it), and the cheapest tier for all.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from learnedrouter.accounting.traffic import answer_usd, counted, in_vain
from learnedrouter.events import RoutedCompletion
from learnedrouter.pricing import Price

By = Literal["tier", "model", "day", "key", "tag"]

NONE = "(none)"
"""What requests without a tier, model, key or tag go under."""

ZERO = Decimal(0)
_HOUR = 3_600
_MICROSECONDS = 1_000_000


@dataclass(slots=True)
class Tally:
    """A running account of requests.

    Parameters
    ----------
    requests, unanswered
        How many came, and how many of them nobody answered.
    unknown_costs
        Of how many the cost is unknown; what of it is known is in what was spent alone.
    not_compared
        Of how many more the cost is known, but not the baseline; they are in what was spent alone.
    unaccounted_attempts
        Failed attempts that may have cost money that nobody told; in none of the sums.
    spent_usd, in_vain_usd
        What all attempts certainly cost, and of that, those that were not the answer.
    partial_usd
        Of what was spent, that of requests whose cost is unknown.
    compared_usd, baseline_usd
        What the requests cost whose baseline is known, and that baseline.
    decision_us
        What deciding took, of all requests, in microseconds; under load, that it waited for its turn is in it.
    """

    requests: int = 0
    unanswered: int = 0
    unknown_costs: int = 0
    not_compared: int = 0
    unaccounted_attempts: int = 0
    spent_usd: Decimal = ZERO
    in_vain_usd: Decimal = ZERO
    partial_usd: Decimal = ZERO
    compared_usd: Decimal = ZERO
    baseline_usd: Decimal = ZERO
    decision_us: int = 0

    def add(self, event: RoutedCompletion) -> None:
        """Take one more request into account."""
        self.requests += 1
        self.unanswered += event.model is None
        self.unaccounted_attempts += event.unaccounted_attempts
        self.decision_us += round(event.decision_seconds * _MICROSECONDS)
        self.spent_usd += event.known_usd
        self.in_vain_usd += sum((attempt.known_usd for attempt in in_vain(event)), ZERO)
        if event.cost_usd is None:
            self.unknown_costs += 1
            self.partial_usd += event.known_usd
            return
        if event.baseline_usd is None and event.model is not None:
            self.not_compared += 1
            return
        self.compared_usd += event.cost_usd
        self.baseline_usd += event.baseline_usd or ZERO

    def router_usd(self, usd_per_hour: Decimal) -> Decimal:
        """Return what the router's own time cost, at the price of an hour of it."""
        return self.decision_us * usd_per_hour / _MICROSECONDS / _HOUR

    def saved_usd(self, usd_per_hour: Decimal) -> Decimal:
        """Return baseline less spent less the router's own time; below 0 where routing cost more than it saved."""
        return self.baseline_usd - self.compared_usd - self.router_usd(usd_per_hour)


@dataclass(slots=True)
class InVain:
    """Attempts that were not the answer, of one outcome.

    Parameters
    ----------
    attempts
        How many.
    unaccounted
        Of how many of them nobody told all that they cost.
    usd
        What they certainly cost.
    """

    attempts: int = 0
    unaccounted: int = 0
    usd: Decimal = ZERO


@dataclass(slots=True)
class Controls:
    """Other routers on the same traffic: the answers whose tokens are known, at the prices of today.

    Parameters
    ----------
    rungs
        The tiers, cheapest first, each with the model that is tried first.
    prices
        By model.
    requests, left_out
        How many answers are in it, and how many are not: their tokens, or a price, are unknown.
    repriced
        Of how many the model's price today is not the one that they were booked at.
    booked_usd, router_usd
        What the answers cost as they were booked, and at today's prices.
    sent : (n_tiers,)
        How many each tier answered.
    all_usd : (n_tiers,)
        What all of them would cost with each tier.
    """

    rungs: Sequence[tuple[str, str]]
    prices: Mapping[str, Price]
    requests: int = 0
    left_out: int = 0
    repriced: int = 0
    booked_usd: Decimal = ZERO
    router_usd: Decimal = ZERO
    sent: list[int] = field(default_factory=list)
    all_usd: list[Decimal] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sent, self.all_usd = [0] * len(self.rungs), [ZERO] * len(self.rungs)

    def add(self, event: RoutedCompletion) -> None:
        """Take one more request into account; one that nobody answered is no answer to price."""
        if event.model is None:
            return
        tiers = [tier for tier, _ in self.rungs]
        costs = [cost for _, model in self.rungs if (cost := self._cost(model, event)) is not None]
        own, booked = self._cost(event.model.model, event), answer_usd(event)
        if own is None or booked is None or event.served_tier not in tiers or len(costs) < len(self.rungs):
            self.left_out += 1
            return
        self.requests += 1
        self.repriced += own != booked
        self.booked_usd += booked
        self.router_usd += own
        self.sent[tiers.index(event.served_tier)] += 1
        self.all_usd = [total + cost for total, cost in zip(self.all_usd, costs, strict=True)]

    @property
    def random_usd(self) -> Decimal:
        """What a router would cost on average that sends each tier the same share of the requests, whatever they ask."""
        weighted = sum((count * total for count, total in zip(self.sent, self.all_usd, strict=True)), ZERO)
        return weighted / self.requests if self.requests else ZERO

    @property
    def cheapest_usd(self) -> Decimal:
        """What the cheapest tier for all would cost."""
        return self.all_usd[0]

    @property
    def strongest_usd(self) -> Decimal:
        """What the top tier for all would cost."""
        return self.all_usd[-1]

    def _cost(self, model: str, event: RoutedCompletion) -> Decimal | None:
        price, usage = self.prices.get(model), counted(event)
        return price.cost(usage) if price and usage else None


@dataclass(slots=True)
class Doubt:
    """What the classifier's own probabilities say of the quality given up: it is all that the traffic itself can tell.

    Parameters
    ----------
    requests
        How many answered requests it is about.
    expected_below
        For how many of them the tier that answered is expected to fall short where another would have done.
    by_artifact
        How many of them each artefact decided.
    """

    requests: int = 0
    expected_below: float = 0.0
    by_artifact: dict[str, int] = field(default_factory=dict)

    def add(self, event: RoutedCompletion) -> None:
        """Take one more request into account."""
        decision = event.decision
        if event.served_tier not in decision.sufficiency:
            return
        self.requests += 1
        self.expected_below += max(decision.sufficiency.values()) - decision.sufficiency[event.served_tier]
        self.by_artifact[decision.artifact] = self.by_artifact.get(decision.artifact, 0) + 1


@dataclass(slots=True)
class Savings:
    """The whole account.

    Parameters
    ----------
    controls
        Other routers on the same traffic.
    total, groups
        All requests, and those of each group; by tag, a request with several is in several groups.
    baselines
        The models whose prices the baseline takes, and for how many requests.
    in_vain
        Attempts that were not the answer, by what went wrong.
    doubt
        What is known of quality.
    first, last
        When the first and the last request came.
    """

    controls: Controls
    total: Tally = field(default_factory=Tally)
    groups: dict[str, Tally] = field(default_factory=dict)
    baselines: dict[str, int] = field(default_factory=dict)
    in_vain: dict[str, InVain] = field(default_factory=dict)
    doubt: Doubt = field(default_factory=Doubt)
    first: datetime | None = None
    last: datetime | None = None

    def add(self, event: RoutedCompletion, groups: Iterable[str]) -> None:
        """Take one more request, which is in some groups, into account; requests come in the order of their times."""
        self.first, self.last = self.first or event.at, event.at
        self.total.add(event)
        self.controls.add(event)
        self.doubt.add(event)
        for name in groups:
            self.groups.setdefault(name, Tally()).add(event)
        if event.baseline_usd is not None and event.baseline_model is not None:
            self.baselines[event.baseline_model] = self.baselines.get(event.baseline_model, 0) + 1
        for attempt in in_vain(event):
            entry = self.in_vain.setdefault(attempt.outcome, InVain())
            entry.attempts += 1
            entry.unaccounted += attempt.unaccounted
            entry.usd += attempt.known_usd


def account(events: Iterable[RoutedCompletion], controls: Controls, by: By | None = None) -> Savings:
    """Return the account of some requests, in one pass over them; tiers stand in the ladder's order, other groups by name."""
    savings = Savings(controls)
    for event in events:
        savings.add(event, GROUPS[by](event) if by else ())
    places = {tier: place for place, (tier, _) in enumerate(controls.rungs)} if by == "tier" else {}
    savings.groups = dict(sorted(savings.groups.items(), key=lambda group: (places.get(group[0], len(places)), group[0])))
    return savings


def _tags(event: RoutedCompletion) -> Iterable[str]:
    return [f"{name}={value}" for name, value in event.caller.tags.items()] or [NONE]


GROUPS: Mapping[By, Callable[[RoutedCompletion], Iterable[str]]] = {
    "tier": lambda event: (event.served_tier or NONE,),
    "model": lambda event: (event.model.model if event.model else NONE,),
    "day": lambda event: (f"{event.at.astimezone(UTC):%Y-%m-%d}",),
    "key": lambda event: (event.caller.key or NONE,),
    "tag": _tags,
}
"""The groups that a request is in."""
