"""What requests cost: with one model for all of them, with the ladder, and with a perfect router. Exact.

A perfect router sends each request to exactly the cheapest tier that will do: nothing is dearer than it need be, and
nothing falls short. It is a bound for quality kept, not for cost: a router that under-routes can cost less.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from typing import Literal

from learnedrouter.accounting.workload import Segment, Workload
from learnedrouter.errors import InputError
from learnedrouter.pricing import Price

DAYS_A_MONTH = 30
"""What months are taken for, in days."""

_STEP = Decimal("0.000001")
"""Parts of a tier's requests that a target moves are rounded up to millionths: the target is kept, and the figures end."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Requests that are sent to the same tier, and need the same one.

    Parameters
    ----------
    requests
        How many.
    usd : (n_models,)
        What all of them together cost with each model.
    sent, needed
        Places of the two tiers on the ladder.
    """

    requests: Decimal
    usd: tuple[Decimal, ...]
    sent: int
    needed: int


@dataclass(frozen=True, slots=True)
class Mix:
    """Requests, priced.

    Parameters
    ----------
    tiers
        The ladder, cheapest first.
    models
        Those of the tiers, in their order; after them any others that could serve everything.
    cells
        The requests.
    days
        How many days they came in.
    """

    tiers: tuple[str, ...]
    models: tuple[str, ...]
    cells: tuple[Cell, ...]
    days: Decimal = Decimal(1)

    @property
    def requests(self) -> Decimal:
        """How many requests there are."""
        return sum((cell.requests for cell in self.cells), Decimal(0))

    @property
    def sent_usd(self) -> Decimal:
        """What they cost where they are sent."""
        return sum((cell.usd[cell.sent] for cell in self.cells), Decimal(0))

    @property
    def needed_usd(self) -> Decimal:
        """What they would cost with a perfect router."""
        return sum((cell.usd[cell.needed] for cell in self.cells), Decimal(0))

    def usd_with(self, model: str) -> Decimal:
        """Return what all of them would cost with one model."""
        place = self.models.index(model)
        return sum((cell.usd[place] for cell in self.cells), Decimal(0))

    def shares(self, kind: Literal["sent", "needed"]) -> dict[str, Decimal]:
        """Return which share of the requests each tier gets, or is needed by."""
        counts = dict.fromkeys(self.tiers, Decimal(0))
        for cell in self.cells:
            counts[self.tiers[cell.sent if kind == "sent" else cell.needed]] += cell.requests
        return {tier: count / self.requests if self.requests else Decimal(0) for tier, count in counts.items()}


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
        The share of all requests that goes to another tier than now.
    below_need
        The share of all requests that goes below what it needs, as far as that is known.
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
    """What the ways of serving a mix of requests cost.

    Parameters
    ----------
    mix
        The requests.
    options
        One model for all, each in turn, cheapest tier first; then the ladder; then the perfect router.
    """

    mix: Mix
    options: tuple[Option, ...]

    def option(self, name: str) -> Option:
        """Return the option of that name.

        Raises
        ------
        InputError
            There is none.
        """
        known = [option.name for option in self.options]
        if name not in known:
            raise InputError(f"{name!r}: expected one of {', '.join(known)}")
        return self.options[known.index(name)]

    def saved(self, option: Option, against: str) -> Decimal | None:
        """Return the share of what `against` for all would cost that `option` saves; None where that costs nothing."""
        return saved_share(option.usd_per_day, self.option(against).usd_per_day)


def saved_share(usd: Decimal, baseline_usd: Decimal) -> Decimal | None:
    """Return the share of a baseline that is saved, below 0 where it is exceeded; None where the baseline costs nothing."""
    return 1 - usd / baseline_usd if baseline_usd else None


def priced(workload: Workload, others: Mapping[str, Price]) -> Mix:
    """Return a day of `workload`, priced.

    Parameters
    ----------
    others
        Prices of further models that could serve all of it.
    """
    own = {rung.model for rung in workload.rungs}
    further = {name: price for name, price in others.items() if name not in own}
    prices = [*(rung.price for rung in workload.rungs), *further.values()]
    cells = []
    for part in workload.segments:
        requests = workload.requests_per_day * part.share
        usd = tuple(requests * _request_usd(price, part) for price in prices)
        cells.append(Cell(requests, usd, part.sent, part.needed))
    models = (*(rung.model for rung in workload.rungs), *further)
    return Mix(tuple(rung.tier for rung in workload.rungs), models, tuple(cells))


def simulate(mix: Mix) -> Simulation:
    """Return what `mix` costs in every way."""
    options = [Option(model, "model", mix.usd_with(model) / mix.days) for model in dict.fromkeys(mix.models)]
    options.append(Option("ladder", "ladder", mix.sent_usd / mix.days))
    options.append(Option("perfect router", "perfect", mix.needed_usd / mix.days))
    return Simulation(mix, tuple(options))


def reach(mix: Mix, target: Decimal, against: str) -> Target:
    """Return the mix of tiers that saves `target` of what one model for all costs, with as few requests moved as possible.

    Requests go to the tier that is cheapest for them, those first that this saves most: so each one that moves saves the
    most that any move could.

    Raises
    ------
    InputError
        The target is no share.
    """
    if not target.is_finite() or not 0 < target < 1:
        raise InputError(f"target {target}: expected a share between 0 and 1, such as 0.7")
    baseline = mix.usd_with(against)
    excess = mix.sent_usd - baseline * (1 - target)
    cells: list[Cell] = []
    moved = Decimal(0)
    for cell, to, saves in _moves(mix):
        part = Decimal(0)
        if excess > 0 and saves > 0:
            part = min(Decimal(1), (excess / saves).quantize(_STEP, ROUND_CEILING))
            excess -= part * saves
        moved += part * cell.requests
        cells += [_part_of(cell, 1 - part, cell.sent), _part_of(cell, part, to)]
    reached = replace(mix, cells=tuple(cells))
    below = sum((cell.requests for cell in cells if cell.sent < cell.needed), Decimal(0))
    return Target(
        against=against,
        target=target,
        feasible=excess <= 0,
        moved=_share(moved, mix.requests),
        below_need=_share(below, mix.requests),
        shares=reached.shares("sent"),
        usd_per_day=reached.sent_usd / mix.days,
        saved=saved_share(reached.sent_usd, baseline) or Decimal(0),
    )


def _moves(mix: Mix) -> Iterable[tuple[Cell, int, Decimal]]:
    """Return each cell, the tier that is cheapest for it, and what its going there saves; what saves most a request, first."""

    def move(cell: Cell) -> tuple[Cell, int, Decimal]:
        costs: Sequence[Decimal] = cell.usd[: len(mix.tiers)]
        to = costs.index(min(costs))
        return cell, to, costs[cell.sent] - costs[to]

    return sorted(map(move, (cell for cell in mix.cells if cell.requests)), key=lambda found: -found[2] / found[0].requests)


def _part_of(cell: Cell, share: Decimal, sent: int) -> Cell:
    return Cell(cell.requests * share, tuple(usd * share for usd in cell.usd), sent, cell.needed)


def _share(part: Decimal, whole: Decimal) -> Decimal:
    return part / whole if whole else Decimal(0)


def _request_usd(price: Price, part: Segment) -> Decimal:
    usd = price.cost(part.usage)
    assert usd is not None, "a workload's tokens are known"
    return usd
