"""What the traffic in a ledger cost, what it would have cost, and what was saved. Exact: whole pico-USD.

**Spent** is what every attempt cost, answers that were discarded and failed attempts that told their usage included.
**Baseline** is what the answers' tokens would have cost at the top tier, by the price that held when they were given.
**Saved** is baseline less spent less the router's own time, over the requests of which both are known; requests that
nobody answered have no baseline, so what they cost counts against the router.

Beside it stand **controls** on the same traffic, answers only, at today's prices: a router that ignores what is asked
and sends each tier the same share of the requests (its expectation, not one draw of it), and the cheapest tier for all.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from learnedrouter.accounting.traffic import Request, Wasted
from learnedrouter.pricing import Price
from learnedrouter.sinks.ledger.tables import pico

By = Literal["tier", "model", "day", "key", "tag"]

_HOUR_US = 3_600_000_000
NONE = "(none)"
"""What requests without a tier, model, key or tag go under."""


@dataclass(slots=True)
class Tally:
    """A running account of requests.

    Parameters
    ----------
    requests, unanswered
        How many came, and how many of them nobody answered.
    unknown_costs
        Of how many the cost is unknown; they are in none of the sums.
    not_compared
        Of how many more the cost is known, but not the baseline; they are in what was spent alone.
    unaccounted_attempts
        Failed attempts that may have cost money that nobody told; in none of the sums.
    spent_pico, wasted_pico
        What all attempts cost, and of that, those that were not the answer.
    compared_pico, baseline_pico
        What the requests cost whose baseline is known, and that baseline.
    decision_us
        What deciding took, of all requests.
    """

    requests: int = 0
    unanswered: int = 0
    unknown_costs: int = 0
    not_compared: int = 0
    unaccounted_attempts: int = 0
    spent_pico: int = 0
    wasted_pico: int = 0
    compared_pico: int = 0
    baseline_pico: int = 0
    decision_us: int = 0

    def add(self, request: Request) -> None:
        """Take one more request into account."""
        self.requests += 1
        self.unanswered += request.model is None
        self.unaccounted_attempts += request.unaccounted_attempts
        self.decision_us += request.decision_us
        if request.cost_pico_usd is None:
            self.unknown_costs += 1
            return
        self.spent_pico += request.cost_pico_usd
        self.wasted_pico += request.wasted_pico_usd
        if request.baseline_pico_usd is None and request.model is not None:
            self.not_compared += 1
            return
        self.compared_pico += request.cost_pico_usd
        self.baseline_pico += request.baseline_pico_usd or 0

    def router_pico(self, usd_per_hour: Decimal) -> int:
        """Return what the router's own time cost."""
        return pico(self.decision_us * usd_per_hour / _HOUR_US) or 0

    def saved_pico(self, usd_per_hour: Decimal) -> int:
        """Return baseline less spent less the router's own time; below 0 where routing cost more than it saved."""
        return self.baseline_pico - self.compared_pico - self.router_pico(usd_per_hour)


@dataclass(slots=True)
class InVain:
    """Attempts that were not the answer, of one outcome: how many, what they cost, and of how many nobody told."""

    attempts: int = 0
    cost_pico: int = 0
    unaccounted: int = 0
    unbooked_pico: int = 0


@dataclass(slots=True)
class Controls:
    """Other routers on the same traffic: the answers whose tokens are known, at the prices of today.

    Parameters
    ----------
    tiers
        The ladder, cheapest first.
    models
        The model of each tier that is tried first.
    prices
        By model.
    """

    tiers: Sequence[str]
    models: Sequence[str]
    prices: Mapping[str, Price]
    requests: int = 0
    left_out: int = 0
    repriced: int = 0
    booked_pico: int = 0
    router_pico: int = 0
    sent: list[int] = field(default_factory=list)
    all_pico: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sent, self.all_pico = [0] * len(self.tiers), [0] * len(self.tiers)

    def add(self, request: Request) -> None:
        """Take one more request into account; it is left out where its tokens, or a price, are unknown."""
        if request.model is None:
            return
        costs = [self._cost(model, request) for model in self.models]
        own = self._cost(request.model, request)
        if own is None or request.answer_pico_usd is None or request.served_tier not in self.tiers or None in costs:
            self.left_out += 1
            return
        self.requests += 1
        self.repriced += own != request.answer_pico_usd
        self.booked_pico += request.answer_pico_usd
        self.router_pico += own
        self.sent[self.tiers.index(request.served_tier)] += 1
        self.all_pico = [total + (cost or 0) for total, cost in zip(self.all_pico, costs, strict=True)]

    @property
    def random_pico(self) -> int:
        """What a router would cost on average that sends each tier the same share of the requests, whatever they ask."""
        weighted = sum(count * total for count, total in zip(self.sent, self.all_pico, strict=True))
        return round(Decimal(weighted) / self.requests) if self.requests else 0

    @property
    def cheapest_pico(self) -> int:
        """What the cheapest tier for all would cost."""
        return self.all_pico[0]

    @property
    def strongest_pico(self) -> int:
        """What the top tier for all would cost."""
        return self.all_pico[-1]

    def _cost(self, model: str, request: Request) -> int | None:
        price = self.prices.get(model)
        return pico(price.cost(request.usage)) if price and request.usage else None


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

    def add(self, request: Request) -> None:
        """Take one more request into account."""
        if request.served_tier not in request.sufficiency:
            return
        self.requests += 1
        self.expected_below += max(request.sufficiency.values()) - request.sufficiency[request.served_tier]
        self.by_artifact[request.artifact] = self.by_artifact.get(request.artifact, 0) + 1


@dataclass(slots=True)
class Savings:
    """The whole account.

    Parameters
    ----------
    controls
        Other routers on the same traffic.
    by
        What the groups are; None where there are none.
    total, groups
        All requests, and those of each group; with ``tag``, one with several tags is in several groups.
    in_vain
        Attempts that were not the answer, by what went wrong.
    doubt
        What is known of quality.
    first_us, last_us
        When the first and the last request came, in microseconds since 1970.
    """

    controls: Controls
    by: By | None = None
    total: Tally = field(default_factory=Tally)
    groups: dict[str, Tally] = field(default_factory=dict)
    in_vain: dict[str, InVain] = field(default_factory=dict)
    doubt: Doubt = field(default_factory=Doubt)
    first_us: int | None = None
    last_us: int | None = None


def account(requests: Iterable[Request], wasted: Iterable[Wasted], controls: Controls, by: By | None = None) -> Savings:
    """Return the account of some requests, in one pass over them, and of their attempts that were not the answer."""
    savings = Savings(controls, by)
    for request in requests:
        savings.first_us = request.at_us if savings.first_us is None else min(savings.first_us, request.at_us)
        savings.last_us = request.at_us if savings.last_us is None else max(savings.last_us, request.at_us)
        savings.total.add(request)
        savings.controls.add(request)
        savings.doubt.add(request)
        for name in GROUPS[by](request) if by else ():
            savings.groups.setdefault(name, Tally()).add(request)
    for attempt in wasted:
        entry = savings.in_vain.setdefault(attempt.outcome, InVain())
        entry.attempts += 1
        entry.cost_pico += attempt.cost_pico_usd or 0
        entry.unaccounted += attempt.unaccounted
        entry.unbooked_pico += 0 if attempt.booked else attempt.cost_pico_usd or 0
    savings.groups = dict(sorted(savings.groups.items()))
    return savings


def _tags(request: Request) -> Iterator[str]:
    yield from (f"{name}={value}" for name, value in request.tags.items()) if request.tags else (NONE,)


def _day(request: Request) -> str:
    return f"{datetime.fromtimestamp(request.at_us // 1_000_000, UTC):%Y-%m-%d}"


GROUPS: Mapping[By, Callable[[Request], Iterable[str]]] = {
    "tier": lambda request: (request.served_tier or NONE,),
    "model": lambda request: (request.model or NONE,),
    "day": lambda request: (_day(request),),
    "key": lambda request: (request.key or NONE,),
    "tag": _tags,
}
"""The groups that a request is in."""
