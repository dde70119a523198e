"""Solving for the threshold: from a promise on held-out labels to a number."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from learnedrouter.classifier.features import IntArray
from learnedrouter.errors import InfeasibleError, InputError
from learnedrouter.tiers import TOLERANCE

GRID = tuple(np.round(np.linspace(0.0, 1.0, 201), 3).tolist())
"""Thresholds that are looked at."""

DEFAULT_MAX_UNDER_ROUTE, DEFAULT_CONFIDENCE = 0.03, 0.95


@dataclass(frozen=True, slots=True)
class Point:
    """What one threshold does on held-out rows.

    Parameters
    ----------
    threshold
        In [0, 1].
    under_routed, over_routed
        Share of all rows that went to a tier below, or above, the one they need.
    spared
        Share of the rows needing less than the top tier that did not go to the top tier.
    under_route_bound
        Upper confidence bound on `under_routed` for new rows from the same source.
    """

    threshold: float
    under_routed: float
    over_routed: float
    spared: float
    under_route_bound: float


def route(sufficiency: npt.NDArray[np.float64], threshold: float) -> IntArray:
    """Return the tier that `choose_tier` gives each row of ``(n, n_tiers)``, for all rows at once."""
    wanted = sufficiency.max(axis=1, keepdims=True) - (1 - threshold) - TOLERANCE
    tiers: IntArray = (sufficiency >= wanted).argmax(axis=1)
    return tiers


def curve(
    sufficiency: npt.NDArray[np.float64], acceptable: npt.NDArray[np.bool_], confidence: float, thresholds: Sequence[float] = GRID
) -> list[Point]:
    """Return what each threshold does on rows of which it is known which tiers' answers are acceptable.

    A row is under-routed where its tier's answer is not acceptable though another tier's is; it is over-routed where a
    cheaper tier's answer would have been acceptable, or where none is.

    Parameters
    ----------
    sufficiency, acceptable : (n, n_tiers)
        What the classifier holds, and what is true; for labels, see `from_labels`.

    The bound is Clopper and Pearson's, exact for a binomial, one-sided at `confidence`: a quantile of a beta distribution
    (Clopper and Pearson 1934; https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval).

    Raises
    ------
    InputError
        There are no rows, or `confidence` is outside (0, 1).
    """
    rows, tiers = sufficiency.shape
    if rows == 0:
        raise InputError("no rows to solve the threshold on")
    if not 0 < confidence < 1:
        raise InputError(f"confidence {confidence}: expected a number between 0 and 1")
    cheapest = acceptable.argmax(axis=1)
    spareable = cheapest < tiers - 1
    points = []
    for threshold in thresholds:
        routed = route(sufficiency, threshold)
        missed = ~acceptable[np.arange(rows), routed] & acceptable.any(axis=1)
        under = int(missed.sum())
        bound = 1.0 if under == rows else beta.ppf(confidence, under + 1, rows - under)
        spared = float((routed[spareable] < tiers - 1).mean()) if spareable.any() else 0.0
        points.append(Point(threshold, under / rows, float((routed > cheapest).mean()), spared, float(bound)))
    return points


def pareto(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other beats: less under-routed without more over-routed, or the reverse; cheapest first.

    Of points that are alike the highest threshold stands there.
    """
    best: dict[tuple[float, float], Point] = {}
    for point in sorted(points, key=lambda point: point.threshold):
        best[(point.over_routed, point.under_routed)] = point
    kept: list[Point] = []
    for _, point in sorted(best.items()):
        if not kept or point.under_routed < kept[-1].under_routed:
            kept.append(point)
    return kept


def from_labels(needed: IntArray, tiers: int) -> npt.NDArray[np.bool_]:
    """Return which tiers' answers are acceptable, ``(n, tiers)``, where `needed` are the cheapest such: those and all above."""
    return needed[:, None] <= np.arange(tiers)


def solve(points: Sequence[Point], max_under_route: float) -> Point:
    """Return the point of the lowest threshold that keeps under-routing under `max_under_route`, by its bound.

    Thresholds are tested from the highest down, and the walk stops at the first that fails (fixed-sequence testing;
    Angelopoulos et al. 2021, "Learn then Test", section 2.3): so the bound holds for the one that was picked, although
    many were looked at.

    Raises
    ------
    InfeasibleError
        Not even the highest keeps it: there are too few rows. Names the tightest bound there is.
    """
    kept: Point | None = None
    for point in sorted(points, key=lambda point: -point.threshold):
        if point.under_route_bound > max_under_route:
            break
        kept = point
    if kept is None:
        nearest = min(points, key=lambda point: point.under_route_bound)
        raise InfeasibleError(
            f"infeasible: under-routing at most {max_under_route:.1%} cannot be promised from these rows; "
            f"the nearest that can is {nearest.under_route_bound:.1%}, at threshold {nearest.threshold}"
        )
    return kept
