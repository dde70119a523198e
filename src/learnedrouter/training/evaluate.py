"""Judging a classifier on labelled rows that it has not seen: figures with intervals, slices, and fair controls."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix

from learnedrouter.classifier.assessment import Assessment
from learnedrouter.classifier.features import IntArray
from learnedrouter.classifier.model import TierClassifier
from learnedrouter.errors import InputError
from learnedrouter.tiers import Ladder
from learnedrouter.training import calibration
from learnedrouter.training.assess import assess
from learnedrouter.training.calibration import Bin, calibration_error
from learnedrouter.training.dataset import LabelledRow
from learnedrouter.training.patterns import FloatMatrix
from learnedrouter.training.threshold import route

RESAMPLES = 1_000
SLICE_MINIMUM = 20
"""Smaller slices say nothing and are left out."""

LENGTHS = ((0, 60, "short (< 60 characters)"), (60, 400, "medium (60-400)"), (400, 2_000, "long (400-2,000)"), (2_000, 10**9, "very long"))


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """The calibration error with its interval, and the curve behind it."""

    error: Figure
    bins: Sequence[Bin]


@dataclass(frozen=True, slots=True)
class Report:
    """What `evaluate` found.

    Parameters
    ----------
    rows
        How many rows it is about.
    threshold
        The threshold that routing was judged at.
    figures
        By name: accuracy, macro_f1, acceptable, under_route, over_route, spared, calibration_error, unfamiliar.
    recall
        By tier: share of the rows that need it which were predicted so.
    confusion : (n_tiers, n_tiers)
        Rows by needed tier (down) and predicted tier (across).
    slices
        By slice: rows, accuracy, macro-F1, under-route, over-route.
    controls
        By router: under-route, over-route and spared of routers that look at nothing.
    calibration
        The calibration error and the reliability curve ``after`` calibration, and ``before`` where that can be told.
    errors
        Rows whose predicted tier is wrong, the surest first.
    """

    rows: int
    threshold: float
    figures: Mapping[str, Figure]
    recall: Mapping[str, Figure]
    confusion: Sequence[Sequence[int]]
    slices: Mapping[str, Mapping[str, float]]
    controls: Mapping[str, Mapping[str, float]]
    calibration: Mapping[str, Reliability]
    errors: Sequence[Mapping[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values, ready for JSON."""
        return asdict(self)


def evaluate(classifier: TierClassifier, rows: Sequence[LabelledRow], *, seed: int = 0) -> Report:
    """Judge `classifier` on `rows`.

    Raises
    ------
    InputError
        There are no rows.
    """
    if not rows:
        raise InputError("no rows to evaluate on")
    asks = [row.ask for row in rows]
    assessment = assess(classifier, asks)
    before = calibration.sufficiency_before(classifier, asks, assessment)
    return report(assessment, rows, classifier.ladder, classifier.threshold, before=before, seed=seed)


def report(
    assessment: Assessment,
    rows: Sequence[LabelledRow],
    ladder: Ladder,
    threshold: float,
    *,
    before: FloatMatrix | None = None,
    seed: int = 0,
) -> Report:
    """Judge what a classifier holds of `rows`, as it would route them; `before` is its sufficiency before calibration."""
    needed = np.array([row.tier for row in rows], dtype=np.intp)
    routed = route(assessment.believed, threshold)
    predicted = assessment.predicted
    acceptable = np.array([tier in row.acceptable for tier, row in zip(predicted.tolist(), rows, strict=True)])
    measures: dict[str, Callable[[IntArray], float]] = {
        "accuracy": lambda at: float((predicted[at] == needed[at]).mean()),
        "macro_f1": lambda at: macro_f1(needed[at], predicted[at]),
        "acceptable": lambda at: float(acceptable[at].mean()),
        "under_route": lambda at: float((routed[at] < needed[at]).mean()),
        "over_route": lambda at: float((routed[at] > needed[at]).mean()),
        "spared": lambda at: spared(needed[at], routed[at], ladder.top),
        "calibration_error": lambda at: calibration_error(assessment.sufficiency[at], needed[at]),
        "unfamiliar": lambda at: float(assessment.unfamiliar[at].mean()),
    }
    confusion = confusion_matrix(needed, predicted, labels=range(len(ladder)))
    return Report(
        rows=len(rows),
        threshold=threshold,
        figures={name: bootstrap(measure, len(rows), seed) for name, measure in measures.items()},
        recall={name: _recall(tier, needed, predicted, seed) for tier, name in enumerate(ladder.names)},
        confusion=confusion.tolist(),
        slices=_slices(rows, needed, predicted, routed),
        controls=_controls(needed, routed, ladder, seed),
        calibration={
            name: _reliability(sufficiency, needed, seed)
            for name, sufficiency in (("before", before), ("after", assessment.sufficiency))
            if sufficiency is not None
        },
        errors=_errors(assessment, rows, ladder),
    )


def macro_f1(needed: IntArray, predicted: IntArray) -> float:
    """Return the mean F1 of the tiers that occur in `needed`.

    scikit-learn's ``f1_score`` gives the same (a test holds it to that) and spends fifty times as long on its checks, which a
    bootstrap repeats a thousand times.
    """
    tiers = int(max(needed.max(), predicted.max())) + 1
    hits = np.bincount(needed[needed == predicted], minlength=tiers)
    wanted, given = np.bincount(needed, minlength=tiers), np.bincount(predicted, minlength=tiers)
    occurs = wanted > 0
    return float((2 * hits[occurs] / (wanted + given)[occurs]).mean())


def spared(needed: IntArray, routed: IntArray, top: int) -> float:
    """Return the share of the rows needing less than the top tier that did not go there."""
    spareable = needed < top
    return float((routed[spareable] < top).mean()) if spareable.any() else 0.0


def bootstrap(measure: Callable[[IntArray], float], rows: int, seed: int) -> Figure:
    """Return `measure` over all rows, with the middle 95 % of what it is over resamples of them."""
    rng = np.random.default_rng(seed)
    resampled = [measure(rng.integers(0, rows, rows)) for _ in range(RESAMPLES)]
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Figure(measure(np.arange(rows)), float(low), float(high))


def _slices(rows: Sequence[LabelledRow], needed: IntArray, predicted: IntArray, routed: IntArray) -> dict[str, dict[str, float]]:
    members: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        length = next(name for low, high, name in LENGTHS if low <= row.ask.characters < high)
        language = {"language: other than English"} if row.language not in ("en", "unknown") else {"language: English"}
        for name in {f"length: {length}"} | language | row.slices:
            members.setdefault(name, []).append(place)
    return {
        name: {
            "rows": len(places),
            "accuracy": float((predicted[places] == needed[places]).mean()),
            "macro_f1": macro_f1(needed[places], predicted[places]),
            "under_route": float((routed[places] < needed[places]).mean()),
            "over_route": float((routed[places] > needed[places]).mean()),
        }
        for name, places in sorted(members.items())
        if len(places) >= SLICE_MINIMUM
    }


def _recall(tier: int, needed: IntArray, predicted: IntArray, seed: int) -> Figure:
    found = predicted[needed == tier] == tier
    return bootstrap(lambda at: float(found[at].mean()), len(found), seed) if len(found) else Figure(0.0, 0.0, 0.0)


def _reliability(sufficiency: FloatMatrix, needed: IntArray, seed: int) -> Reliability:
    error = bootstrap(lambda at: calibration_error(sufficiency[at], needed[at]), len(needed), seed)
    return Reliability(error, calibration.reliability(sufficiency, needed))


def _controls(needed: IntArray, routed: IntArray, ladder: Ladder, seed: int) -> dict[str, dict[str, float]]:
    shuffled = np.random.default_rng(seed).permutation(routed)
    routers = {
        "this router": routed,
        "random, same tier shares": shuffled,
        "always cheapest": np.zeros_like(needed),
        "always strongest": np.full_like(needed, ladder.top),
    }
    return {
        name: {
            "under_route": float((tiers < needed).mean()),
            "over_route": float((tiers > needed).mean()),
            "spared": spared(needed, tiers, ladder.top),
        }
        for name, tiers in routers.items()
    }


def _errors(assessment: Assessment, rows: Sequence[LabelledRow], ladder: Ladder) -> list[dict[str, Any]]:
    needed = np.array([row.tier for row in rows], dtype=np.intp)
    predicted, surety = assessment.predicted, assessment.surety
    surest_first = np.argsort(-surety, kind="stable")
    wrong = surest_first[(predicted != needed)[surest_first]]
    return [
        {
            "id": rows[place].id,
            "needed": ladder.names[rows[place].tier],
            "predicted": ladder.names[predicted[place]],
            "surety": round(float(surety[place]), 4),
            "sufficiency": dict(zip(ladder.names, np.round(assessment.sufficiency[place], 4).tolist(), strict=True)),
            "ask": " ".join(rows[place].ask.text.split())[:120],
        }
        for place in wrong.tolist()
    ]
