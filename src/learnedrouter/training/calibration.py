"""Whether a probability of 0.9 means nine in ten: the calibration error, the reliability curve, and both without calibration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from learnedrouter.ask import Ask
from learnedrouter.classifier.assessment import Assessment, pool
from learnedrouter.classifier.features import IntArray
from learnedrouter.classifier.folded import FoldedHead
from learnedrouter.classifier.model import Head, TierClassifier

CALIBRATION_BINS = 15
"""Equal-width bins of the calibration error, as in Guo et al. 2017, "On Calibration of Modern Neural Networks", section 2."""

BIN_RULE = (
    f"{CALIBRATION_BINS} bins of equal width over sufficiency, every row counted once for each tier but the top one; "
    "the error is the mean gap between claimed and observed, weighted by the bins' sizes"
)


@dataclass(frozen=True, slots=True)
class Bin:
    """One bin of the reliability curve.

    Parameters
    ----------
    low, high
        Its edges.
    points
        How many sufficiencies fall into it.
    claimed, observed
        Their mean, and the share of them for which the tier was enough.
    """

    low: float
    high: float
    points: int
    claimed: float
    observed: float


def reliability(sufficiency: npt.NDArray[np.float64], needed: IntArray) -> list[Bin]:
    """Return the bins that are not empty, by the rule of `BIN_RULE`.

    Parameters
    ----------
    sufficiency : (n, n_tiers)
    needed : (n,)
        The cheapest tier that is enough.
    """
    tiers = sufficiency.shape[1] - 1
    claimed = sufficiency[:, :tiers].ravel()
    enough = (needed[:, None] <= np.arange(tiers)).ravel()
    bins = np.minimum((claimed * CALIBRATION_BINS).astype(np.intp), CALIBRATION_BINS - 1)
    sizes, claims, observed = (np.bincount(bins, weights, CALIBRATION_BINS) for weights in (None, claimed, enough))
    return [
        Bin(
            place / CALIBRATION_BINS,
            (place + 1) / CALIBRATION_BINS,
            int(sizes[place]),
            float(claims[place] / sizes[place]),
            float(observed[place] / sizes[place]),
        )
        for place in np.flatnonzero(sizes).tolist()
    ]


def calibration_error(sufficiency: npt.NDArray[np.float64], needed: IntArray) -> float:
    """Return the expected calibration error of sufficiency itself, by the rule of `BIN_RULE`; arguments as for `reliability`."""
    bins = reliability(sufficiency, needed)
    return sum(entry.points * abs(entry.claimed - entry.observed) for entry in bins) / max(sum(entry.points for entry in bins), 1)


def sufficiency_before(classifier: TierClassifier, asks: Sequence[Ask], after: Assessment) -> npt.NDArray[np.float64] | None:
    """Return what the classifier held of `asks` before calibration, ``(n, n_tiers)``; None where a head has none.

    In a cascade each ask stays with the head that answered it `after`: the switch point is about calibrated probabilities.
    """
    raw = _uncalibrated_stages(classifier)
    if raw is None:
        return None
    glance, found = raw.glance(asks), np.empty_like(after.probabilities)
    if raw.first is not None:
        glance = glance.after(raw.assess_first(asks, glance))
        found[:] = glance.first
    own = [place for place, kind in enumerate(after.answered_by) if kind == raw.encoder.spec.kind]
    if own:
        last = raw.head.predict_proba(np.hstack([[after.embeddings[place] for place in own], glance.beside[own]]))
        found[own] = pool(glance.first[own], last, raw.first.weight) if raw.first else last
    return found @ raw.class_scores


def _uncalibrated_stages(classifier: TierClassifier) -> TierClassifier | None:
    """Return `classifier` with its heads as they were before calibration; None where one of them has no such."""
    head, first = uncalibrated(classifier.head), classifier.first
    if head is None:
        return None
    if first is None:
        return replace(classifier, head=head)
    first_head = uncalibrated(first.head)
    return replace(classifier, head=head, first=replace(first, head=first_head)) if first_head else None


def uncalibrated(head: Head) -> Head | None:
    """Return the classifier inside a calibrated head, as it was before calibration; None where there is none."""
    if isinstance(head, FoldedHead):
        return head.uncalibrated()
    inside: list[Any] = getattr(head, "calibrated_classifiers_", [])
    return inside[0].estimator if inside else None


def table(bins: Mapping[str, list[Bin]]) -> str:
    """Return reliability curves as a Markdown table, by name side by side."""
    lines = ["| sufficiency | " + " | ".join(f"{name}: points | claimed | observed" for name in bins) + " |"]
    lines.append("| --- " * (1 + 3 * len(bins)) + "|")
    for low in sorted({entry.low for entries in bins.values() for entry in entries}):
        cells = [f"{low:.2f} - {low + 1 / CALIBRATION_BINS:.2f}"]
        for entries in bins.values():
            found = next((entry for entry in entries if entry.low == low), None)
            cells += [f"{found.points}", f"{found.claimed:.3f}", f"{found.observed:.3f}"] if found else ["0", "", ""]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
