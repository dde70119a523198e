"""Judging a router on outcomes: how much of the strong model's quality is had for which share of calls to it.

Between always asking the weak model and always asking the strong one, a router that ranks requests by how much they want
the strong model draws a curve. The definitions are RouteLLM's (Ong et al. 2024, "RouteLLM: Learning to Route LLMs with
Preference Data", section 2.3): with ``W`` and ``S`` the mean scores of the two models and ``r(c)`` the mean score at call
share ``c``, the gap recovered is ``PGR(c) = (r(c) - W) / (S - W)``; APGR is its integral over ``c`` from 0 to 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from learnedrouter.errors import InputError
from learnedrouter.training.evaluate import Figure, bootstrap

FloatVector = npt.NDArray[np.float64]
NEAR_STRONG = 0.95
"""Share of the strong model's quality that is asked for in `Curve.share_near_strong`."""


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
        return (self.quality - weak) / (strong - weak)

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
    if strong.mean() <= weak.mean():
        raise InputError(f"the strong model's mean score, {strong.mean():.3f}, is not above the weak one's, {weak.mean():.3f}: no gap to recover")
    gains = (strong - weak)[np.argsort(-wish, kind="stable")]
    quality = weak.mean() + np.concatenate([[0.0], np.cumsum(gains)]) / len(gains)
    return Curve(np.linspace(0.0, 1.0, len(gains) + 1), quality)


def judge(wish: FloatVector, weak: FloatVector, strong: FloatVector, *, seed: int = 0) -> Mapping[str, Mapping[str, Figure]]:
    """Return APGR, CPT and the share at 95 % of the strong model's quality, with intervals, for this router and two controls.

    Returns
    -------
    By router (``this router``, ``random``, ``oracle``), by figure (``apgr``, ``cpt_50``, ``cpt_80``, ``share_at_95``). Always the weak
    and always the strong model are the curve's two ends.
    """
    rng = np.random.default_rng(seed)
    wishes = {"this router": wish, "random": rng.random(len(wish)), "oracle": strong - weak}
    measures = {
        "apgr": lambda drawn: drawn.apgr,
        "cpt_50": lambda drawn: drawn.cpt(0.5),
        "cpt_80": lambda drawn: drawn.cpt(0.8),
        "share_at_95": lambda drawn: drawn.share_near_strong,
    }
    return {
        router: {
            name: bootstrap(lambda at, own=own, of=of: of(curve(own[at], weak[at], strong[at])), len(wish), seed)  # type: ignore[misc]
            for name, of in measures.items()
        }
        for router, own in wishes.items()
    }
