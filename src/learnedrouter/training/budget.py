"""Solving for the threshold: from a budget to a number."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from learnedrouter.chat import Usage
from learnedrouter.config import Settings
from learnedrouter.errors import InfeasibleError, InputError
from learnedrouter.tiers import Ladder
from learnedrouter.training.threshold import GRID, route

PER = 1_000
"""Requests that a budget is for."""


@dataclass(frozen=True, slots=True)
class Priced:
    """What one threshold costs.

    Parameters
    ----------
    threshold
        In [0, 1].
    usd_per_1k
        Average price of 1,000 requests.
    shares
        Share of the requests that goes to each tier, cheapest first.
    """

    threshold: float
    usd_per_1k: Decimal
    shares: tuple[float, ...]


def request_prices(settings: Settings, ladder: Ladder, usage: Usage) -> tuple[Decimal, ...]:
    """Return what a request of `usage` costs in each tier, in USD: at the price of the model that is tried first.

    Raises
    ------
    InputError
        The configuration lacks a tier, or knows no price for its model.
    """
    firsts = {tier.name: tier.models[0] for tier in settings.tiers}
    found = []
    for name in ladder.names:
        if name not in firsts:
            raise InputError(f"tier {name!r} of the artefact is not configured; expected one of {', '.join(firsts)}")
        price = settings.price(firsts[name])
        usd = price.cost(usage) if price else None
        if usd is None:
            raise InputError(f"tier {name!r}: the price of {firsts[name]!r} is unknown; expected one in the configuration")
        found.append(usd)
    return tuple(found)


def prices(sufficiency: npt.NDArray[np.float64], request_usd: Sequence[Decimal], thresholds: Sequence[float] = GRID) -> list[Priced]:
    """Return what each threshold costs on requests of which a classifier holds ``sufficiency``, ``(n, n_tiers)``.

    Parameters
    ----------
    request_usd : (n_tiers,)
        Price of an average request in each tier, in USD.

    Raises
    ------
    InputError
        There are no requests.
    """
    rows, tiers = sufficiency.shape
    if rows == 0:
        raise InputError("no rows to solve the threshold on")
    found = []
    for threshold in thresholds:
        counts = np.bincount(route(sufficiency, threshold), minlength=tiers).tolist()
        total = sum((count * usd for count, usd in zip(counts, request_usd, strict=True)), Decimal(0))
        found.append(Priced(threshold, total * PER / rows, tuple(count / rows for count in counts)))
    return found


def solve(points: Sequence[Priced], max_usd_per_1k: Decimal) -> Priced:
    """Return the highest threshold within the budget: the best quality that it buys.

    Raises
    ------
    InfeasibleError
        None is; names the cheapest there is.
    """
    within = [point for point in points if point.usd_per_1k <= max_usd_per_1k]
    if not within:
        nearest = min(points, key=lambda point: (point.usd_per_1k, -point.threshold))
        raise InfeasibleError(
            f"infeasible: no threshold costs at most {max_usd_per_1k} USD per {PER:,} requests; "
            f"the nearest is {nearest.usd_per_1k:.4f}, at threshold {nearest.threshold}"
        )
    return max(within, key=lambda point: point.threshold)
