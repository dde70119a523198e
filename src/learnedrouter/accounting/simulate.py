"""What a workload costs: with one model for all of it, with the ladder, and with a perfect router. Exact.

A perfect router sends each request to exactly the cheapest tier that will do: nothing is dearer than it need be, and
nothing falls short. It is a bound for quality kept, not for cost: a router that under-routes can cost less.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Literal

from learnedrouter.accounting.workload import Segment, Workload
from learnedrouter.errors import InputError
from learnedrouter.pricing import Price

DAYS_A_MONTH = 30
"""What months are taken for, in days."""

_STEP = Decimal("0.000001")
"""Shares that a target asks for are rounded up to millionths: the target is kept, and the figures end."""


@dataclass(frozen=True, slots=True)
class Option:
    """One way of serving all requests, and what a day of it costs.

    Parameters
    ----------
    name
        A model's name, or the router's.
    kind
        Whether one model serves all, or which router it is.
    """

    name: str
    kind: Literal["model", "ladder", "perfect"]
    usd_per_day: Decimal

    @property
    def usd_per_month(self) -> Decimal:
        """What `DAYS_A_MONTH` days cost."""
        return self.usd_per_day * DAYS_A_MONTH


@dataclass(frozen=True, slots=True)
class Target:
    """The mix of tiers that reaches a saving.

    Parameters
    ----------
    against
        The model for all that the saving is against.
    target
        The share of its cost that is to be saved.
    feasible
        Whether any mix reaches it; where none does, the rest is about the mix that comes nearest.
    moved
        The share of all requests that goes to another tier than in the workload.
    below_need
        The share of all requests that goes below what it needs, as far as the workload says.
    shares
        Tier to the share of the requests that it gets.
    usd_per_day
        What the mix costs.
    saved
        The share that it saves.
    """

    against: str
    target: Decimal
    feasible: bool
    moved: Decimal
    below_need: Decimal
    shares: Mapping[str, Decimal]
    usd_per_day: Decimal
    saved: Decimal


@dataclass(frozen=True, slots=True)
class Simulation:
    """What the ways of serving a workload cost.

    Parameters
    ----------
    options
        One model for all, each in turn, cheapest tier first; then the ladder; then the perfect router.
    shares
        Tier to the share of the requests that the ladder, and the perfect router, send it.
    """

    workload: Workload
    options: tuple[Option, ...]
    shares: Mapping[str, tuple[Decimal, Decimal]]

    def option(self, name: str) -> Option:
        """Return the option of that name."""
        return next(option for option in self.options if option.name == name)

    def saved(self, option: Option, against: str) -> Decimal | None:
        """Return the share of what `against` for all would cost that `option` saves; None where that costs nothing."""
        return saved_share(option.usd_per_day, self.option(against).usd_per_day)


def saved_share(usd: Decimal, baseline_usd: Decimal) -> Decimal | None:
    """Return the share of a baseline that is saved, below 0 where it is exceeded; None where the baseline costs nothing."""
    return 1 - usd / baseline_usd if baseline_usd else None


def simulate(workload: Workload, others: Mapping[str, Price]) -> Simulation:
    """Return what `workload` costs in every way.

    Parameters
    ----------
    others
        Prices of further models that could serve all of it.
    """
    rungs = workload.rungs
    prices = {rung.model: rung.price for rung in rungs} | {name: price for name, price in others.items() if name not in _models(workload)}

    def a_day(price_of: Callable[[Segment], Price]) -> Decimal:
        requests = workload.requests_per_day
        return sum((requests * part.share * request_usd(price_of(part), part) for part in workload.segments), Decimal(0))

    def one_model(price: Price) -> Callable[[Segment], Price]:
        return lambda _: price

    options = [Option(name, "model", a_day(one_model(price))) for name, price in prices.items()]
    options.append(Option("ladder", "ladder", a_day(lambda part: rungs[part.sent].price)))
    options.append(Option("perfect router", "perfect", a_day(lambda part: rungs[part.needed].price)))
    sent, needed = _by_tier(workload, workload.segments, "sent"), _by_tier(workload, workload.segments, "needed")
    shares = {tier: (sent[tier], needed[tier]) for tier in sent}
    return Simulation(workload, tuple(options), shares)


def reach(simulation: Simulation, target: Decimal, against: str) -> Target:
    """Return the mix that saves `target` of what one model for all costs, with as few requests moved as possible.

    Requests go to the tier that is cheapest for them, those first that are dearest for what they would cost there: so
    each one that moves saves the most that any move could.

    Raises
    ------
    InputError
        The target is no share, or `against` is no model that was priced.
    """
    if not 0 < target < 1:
        raise InputError(f"target {target}: expected a share between 0 and 1, such as 0.7")
    models = [option.name for option in simulation.options if option.kind == "model"]
    if against not in models:
        raise InputError(f"model {against!r}: expected one of {', '.join(models)}")
    workload = simulation.workload
    baseline = simulation.option(against).usd_per_day
    excess = simulation.option("ladder").usd_per_day - baseline * (1 - target)
    moves = sorted((_cheapest_move(workload, part) for part in workload.segments), key=lambda move: -move.saves_usd)
    parts: list[Segment] = []
    moved = Decimal(0)
    for move in moves:
        share = Decimal(0)
        if excess > 0 and move.saves_usd > 0:
            wanted = (excess / (move.saves_usd * workload.requests_per_day)).quantize(_STEP, ROUND_CEILING)
            share = min(move.part.share, wanted)
            excess -= share * move.saves_usd * workload.requests_per_day
        moved += share
        part = move.part
        parts += [Segment(part.share - share, part.usage, part.sent, part.needed), Segment(share, part.usage, move.to, part.needed)]
    usd = sum((workload.requests_per_day * part.share * request_usd(workload.rungs[part.sent].price, part) for part in parts), Decimal(0))
    return Target(
        against=against,
        target=target,
        feasible=excess <= 0,
        moved=moved,
        below_need=sum((part.share for part in parts if part.sent < part.needed), Decimal(0)),
        shares=_by_tier(workload, parts, "sent"),
        usd_per_day=usd,
        saved=saved_share(usd, baseline) or Decimal(0),
    )


@dataclass(frozen=True, slots=True)
class _Move:
    part: Segment
    to: int
    saves_usd: Decimal


def _cheapest_move(workload: Workload, part: Segment) -> _Move:
    costs = [request_usd(rung.price, part) for rung in workload.rungs]
    to = costs.index(min(costs))
    return _Move(part, to, costs[part.sent] - costs[to])


def request_usd(price: Price, part: Segment) -> Decimal:
    """Return what one request of a segment costs."""
    usd = price.cost(part.usage)
    assert usd is not None, "a workload's tokens are known"
    return usd


def _models(workload: Workload) -> set[str]:
    return {rung.model for rung in workload.rungs}


def _by_tier(workload: Workload, parts: Sequence[Segment], place: Literal["sent", "needed"]) -> dict[str, Decimal]:
    shares = {rung.tier: Decimal(0) for rung in workload.rungs}
    for part in parts:
        shares[workload.rungs[part.sent if place == "sent" else part.needed].tier] += part.share
    return shares
