"""Fitting what the words of requests say of their classes; see `classifier.wording`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits

from learnedrouter.ask import Ask
from learnedrouter.classifier.features import FloatArray, IntArray
from learnedrouter.classifier.wording import BUCKETS, Wording, marks, opinions
from learnedrouter.training.embed import Progress
from learnedrouter.training.parallel import run

FOLDS = 5
"""Folds in which the training rows' own opinions are formed."""

FEWEST_ROWS = 4 * FOLDS
"""With fewer rows of a class its words are an accident; then there is no wording."""

SEEN_IN = 2
"""Rows that a word or a pair must stand in: what stands in one says nothing of another."""

INVERSE_REGULARISATION = 3.0
"""C of the model over words: from 1 to 30 the validation rows see no difference."""


@dataclass(frozen=True, slots=True)
class Learned:
    """A wording, and what it says of the rows that it was fitted on.

    Parameters
    ----------
    wording
        Fitted on all of them; None where there are too few rows of a class to tell.
    opinions : (n, n_classes), or (n, 0) without a wording
        Of each row, by a model that was fitted without its fold: else the head would believe what is only remembered.
    """

    wording: Wording | None
    opinions: FloatArray


def fit(asks: Sequence[Ask], classes: IntArray, groups: Sequence[str], seed: int, progress: Progress) -> Learned:
    """Return what the words of requests say of their classes.

    Parameters
    ----------
    asks, classes, groups : (n,)
        Rows of one group stay in one fold.
    """
    splits = _splits(classes, groups, seed)
    if not splits:
        return Learned(None, opinions(None, asks))
    bags, kept = _bags(asks)
    parts = [*splits, (np.arange(len(asks)), np.empty(0, dtype=np.intp))]
    told = np.empty((len(asks), int(classes.max()) + 1), dtype=np.float32)
    for done, ((_, outside), model) in enumerate(
        zip(parts, run(_fitted, (bags, classes), [inside for inside, _ in parts]), strict=True), 1
    ):
        if len(outside):
            told[outside] = _wording(model, kept).opinions([asks[place] for place in outside.tolist()])
        progress("reading words", done, len(parts))
    return Learned(_wording(model, kept), told)


def _splits(classes: IntArray, groups: Sequence[str], seed: int) -> list[tuple[IntArray, IntArray]]:
    """Return the folds' rows, inside and outside; none where a class has too few rows, or lies in one large group."""
    if np.bincount(classes).min() < FEWEST_ROWS or len(set(groups)) < FOLDS:
        return []
    splits = list(StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(classes, classes, groups))
    every = len(np.unique(classes))
    return splits if all(len(np.unique(classes[inside])) == every for inside, _ in splits) else []


def _fitted(rows: tuple[sparse.csr_array, IntArray], places: IntArray) -> LogisticRegression:
    """Return the model fitted on those of the rows, given as bags of words and classes, that stand at `places`."""
    bags, classes = rows
    with threadpool_limits(1):
        return LogisticRegression(C=INVERSE_REGULARISATION, max_iter=200, tol=1e-3).fit(bags[places], classes[places])


def _bags(asks: Sequence[Ask]) -> tuple[sparse.csr_array, IntArray]:
    """Return asks as unit vectors over the buckets that are kept, ``(n, kept)``, and those buckets."""
    found = [marks(ask.reading) for ask in asks]
    sizes = np.array([len(each) for each in found])
    every = np.concatenate(found)
    kept = np.flatnonzero(np.bincount(every, minlength=BUCKETS) >= SEEN_IN)
    shares = np.repeat(1 / np.sqrt(np.maximum(sizes, 1)), sizes).astype(np.float32)
    rows = sparse.csr_array((shares, every, np.concatenate([[0], np.cumsum(sizes)])), shape=(len(asks), BUCKETS))
    return rows[:, kept], kept


def _wording(model: LogisticRegression, kept: IntArray) -> Wording:
    """Return the model over all buckets, as it will be stored; of two classes scikit-learn keeps the second's logits."""
    coefficients, offset = model.coef_, model.intercept_
    if len(coefficients) == 1:
        coefficients, offset = np.vstack([-coefficients / 2, coefficients / 2]), np.concatenate([-offset / 2, offset / 2])
    weights = np.zeros((BUCKETS, len(coefficients)), dtype=np.float32)
    weights[kept] = coefficients.T.astype(np.float16)
    return Wording(weights, offset.astype(np.float32))
