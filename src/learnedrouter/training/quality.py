"""Judging a router on outcomes: how much of the strongest model's quality is had for which share of calls to it.

Between always asking the weakest tier's model and always asking the strongest's, a router that ranks requests by how much
they want the strongest draws a curve. The definitions are RouteLLM's (Ong et al. 2024, "RouteLLM: Learning to Route LLMs
with Preference Data", section 2.3): with ``W`` and ``S`` the mean scores of the two models and ``r(c)`` the mean score at
call share ``c``, the gap recovered is ``PGR(c) = (r(c) - W) / (S - W)``; APGR is its integral over ``c`` from 0 to 1. On a
ladder of more than two tiers the curve is that of its two ends.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from learnedrouter.classifier.features import IntArray
from learnedrouter.errors import InputError
from learnedrouter.training.evaluate import RESAMPLES, Figure
from learnedrouter.training.patterns import FloatMatrix
from learnedrouter.training.threshold import route

FloatVector = npt.NDArray[np.float64]
NEAR_STRONG = 0.95
"""Share of the strongest model's quality that is asked for in `Curve.share_near_strong`."""

RANKING = ("apgr", "cpt_50", "cpt_80", "share_at_95")
ROUTING = ("quality", "share_strongest")


@dataclass(frozen=True, slots=True)
class Curve:
    """What a ranking of requests buys.

    Parameters
    ----------
    call_shares : (n + 1,)
        Share of requests sent to the strong model, from 0 to 1.
    quality : (n + 1,)
        Mean score of the answers at each share.
    """

    call_shares: FloatVector
    quality: FloatVector

    @property
    def gap_recovered(self) -> FloatVector:
        """PGR at each call share, ``(n + 1,)``."""
        weak, strong = self.quality[0], self.quality[-1]
        recovered: FloatVector = (self.quality - weak) / (strong - weak)
        return recovered

    @property
    def apgr(self) -> float:
        """Area under the gap recovered; 0.5 is what a random router has."""
        return float(np.trapezoid(self.gap_recovered, self.call_shares))

    def cpt(self, recovered: float) -> float:
        """Return the least call share that recovers this share of the gap."""
        return float(self.call_shares[np.argmax(self.gap_recovered >= recovered)])

    @property
    def share_near_strong(self) -> float:
        """The least call share with `NEAR_STRONG` of the strong model's quality."""
        return float(self.call_shares[np.argmax(self.quality >= NEAR_STRONG * self.quality[-1])])

    def figures(self) -> FloatVector:
        """Return the figures that `RANKING` names, in its order."""
        return np.array([self.apgr, self.cpt(0.5), self.cpt(0.8), self.share_near_strong])


def curve(wish: FloatVector, weak: FloatVector, strong: FloatVector) -> Curve:
    """Return what sending requests to the strong model in the order of `wish`, highest first, buys.

    Parameters
    ----------
    wish, weak, strong : (n,)
        How much each request wants the strong model; the two models' scores on it. Equal wishes keep the rows' order.

    Raises
    ------
    InputError
        The strong model is no better than the weak one, so there is no gap to recover.
    """
    refuse_no_gap(weak, strong)
    gains = (strong - weak)[np.argsort(-wish, kind="stable")]
    quality = weak.mean() + np.concatenate([[0.0], np.cumsum(gains)]) / len(gains)
    return Curve(np.linspace(0.0, 1.0, len(gains) + 1), quality)


def refuse_no_gap(weak: FloatVector, strong: FloatVector) -> None:
    """Raise InputError where the strong model is no better than the weak one: there is nothing to route for."""
    if strong.mean() <= weak.mean():
        raise InputError(
            f"over {len(weak)} rows the strongest tier's mean score, {strong.mean():.3f}, is not above the cheapest's, {weak.mean():.3f}: "
            "no gap to recover; expected a ladder with the best model last"
        )


@dataclass(frozen=True, slots=True)
class OutcomeReport:
    """What judging a router on outcomes found, every figure with a 95 % bootstrap interval over the rows.

    Parameters
    ----------
    rows
        How many rows it is about.
    models
        The model that stands for each tier, cheapest first.
    threshold
        The threshold that `routing` was judged at; None where none was solved for.
    ranking
        By router (``this router``, ``random``, ``oracle``), by figure: apgr, cpt_50, cpt_80, share_at_95. What the ranking of
        the requests is worth, whatever the threshold.
    routing
        By router, by figure: quality (mean score of the answers) and share_strongest (share of calls to the strongest tier).
        The oracle takes the best answer's cheapest tier; ``random`` sends as many to each tier as this router.
    """

    rows: int
    models: Mapping[str, str]
    threshold: float | None
    ranking: Mapping[str, Mapping[str, Figure]]
    routing: Mapping[str, Mapping[str, Figure]]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values, ready for JSON."""
        return asdict(self)


def judge(
    sufficiency: FloatMatrix, scores: FloatMatrix, models: Mapping[str, str], threshold: float | None = None, *, seed: int = 0
) -> OutcomeReport:
    """Judge what a router holds of requests, beside random, oracle, always-cheapest and always-strongest.

    Parameters
    ----------
    sufficiency, scores : (n, n_tiers)
        What the router expects of each tier's answer, and what it was worth.
    models
        The model of each tier, cheapest first.
    threshold
        To route at; None leaves this router out of the figures at a threshold.

    Raises
    ------
    InputError
        The strongest model is no better than the cheapest.
    """
    rows, tiers = scores.shape
    weak, strong = scores[:, 0], scores[:, -1]
    refuse_no_gap(weak, strong)
    wishes = {"this router": sufficiency[:, -1] - sufficiency[:, 0], "oracle": strong - weak}
    ranking = {
        name: _figures(RANKING, lambda at, own=own: curve(own[at], weak[at], strong[at]).figures(), rows, seed)  # type: ignore[misc]
        for name, own in wishes.items()
    }
    ranking["random"] = _random_ranking(weak, strong, seed)
    routers = {
        "oracle": scores.argmax(axis=1),
        "always cheapest": np.zeros(rows, dtype=np.intp),
        "always strongest": np.full(rows, tiers - 1, dtype=np.intp),
    }
    if threshold is not None:
        own = route(sufficiency, threshold)
        routers = {"this router": own, "random": np.random.default_rng(seed).permutation(own)} | routers
    routing = {name: _routing(routed, scores, seed) for name, routed in routers.items()}
    return OutcomeReport(rows, dict(models), threshold, ranking, routing)


def _routing(routed: IntArray, scores: FloatMatrix, seed: int) -> dict[str, Figure]:
    got = scores[np.arange(len(routed)), routed]
    top = routed == scores.shape[1] - 1
    return _figures(ROUTING, lambda at: np.array([got[at].mean(), top[at].mean()]), len(routed), seed)


def _random_ranking(weak: FloatVector, strong: FloatVector, seed: int) -> dict[str, Figure]:
    """Return the mean and the middle 95 % of what random wishes have on resampled rows."""
    rng = np.random.default_rng(seed)
    drawn = _resampled(lambda at: curve(rng.random(len(at)), weak[at], strong[at]).figures(), len(weak), seed)
    return {name: Figure(float(values.mean()), *_middle(values)) for name, values in zip(RANKING, drawn.T, strict=True)}


def _figures(names: tuple[str, ...], measure: Callable[[IntArray], FloatVector], rows: int, seed: int) -> dict[str, Figure]:
    whole, drawn = measure(np.arange(rows)), _resampled(measure, rows, seed)
    return {name: Figure(float(value), *_middle(values)) for name, value, values in zip(names, whole, drawn.T, strict=True)}


def _resampled(measure: Callable[[IntArray], FloatVector], rows: int, seed: int) -> FloatMatrix:
    """Return `measure` over resamples of the rows, ``(RESAMPLES, n_figures)``; those without a gap to recover are left out."""
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(RESAMPLES):
        try:
            drawn.append(measure(rng.integers(0, rows, rows)))
        except InputError:  # only where rows are few and the two models all but equal
            continue
    return np.array(drawn)


def _middle(values: FloatVector) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
