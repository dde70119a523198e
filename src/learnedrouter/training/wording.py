"""Fitting what the words of requests say of their classes; see `classifier.wording`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits

from learnedrouter.ask import Ask
from learnedrouter.classifier import wording as classifier_wording
from learnedrouter.classifier.features import FloatArray, IntArray
from learnedrouter.classifier.wording import BUCKETS, Wording, log_shares, marks, opinions
from learnedrouter.training.embed import Progress
from learnedrouter.training.kept import Arrays, kept
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

    def arrays(self) -> Arrays:
        """Return it as plain arrays."""
        return {"opinions": self.opinions} | ({"weights": self.wording.weights, "offset": self.wording.offset} if self.wording else {})

    @classmethod
    def of_arrays(cls, arrays: Arrays) -> "Learned":
        """Return what `arrays` made plain."""
        return cls(Wording(arrays["weights"], arrays["offset"]) if "weights" in arrays else None, arrays["opinions"])


def fit_once(asks: Sequence[Ask], classes: IntArray, groups: Sequence[str], seed: int, cache: Path, progress: Progress) -> Learned:
    """Return what `fit` returns, computing it only if `cache` does not hold it."""
    code = [Path(file).read_bytes() for file in (__file__, classifier_wording.__file__)]
    made_from = (code, [ask.reading for ask in asks], classes, list(groups), seed)
    return Learned.of_arrays(kept(cache, "words", made_from, lambda: fit(asks, classes, groups, seed, progress).arrays()))


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
    bags, common = _bags(asks)
    parts = [*splits, (np.arange(len(asks)), np.empty(0, dtype=np.intp))]
    told = np.empty((len(asks), int(classes.max()) + 1), dtype=np.float32)
    for done, ((_, outside), model) in enumerate(
        zip(parts, run(_fitted, (bags, classes), [inside for inside, _ in parts]), strict=True), 1
    ):
        if len(outside):
            own = _wording(model, common)
            told[outside] = log_shares(bags[outside] @ own.weights[common] + own.offset)
        progress("reading words", done, len(parts))
    return Learned(_wording(model, common), told)


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
    """Return asks as unit vectors over the buckets that several of them have, ``(n, m)``, and those buckets."""
    found = [marks(ask.reading) for ask in asks]
    sizes = np.array([len(each) for each in found])
    every = np.concatenate(found)
    common = np.flatnonzero(np.bincount(every, minlength=BUCKETS) >= SEEN_IN)
    shares = np.repeat(1 / np.sqrt(np.maximum(sizes, 1)), sizes).astype(np.float32)
    rows = sparse.csr_array((shares, every, np.concatenate([[0], np.cumsum(sizes)])), shape=(len(asks), BUCKETS))
    return rows[:, common], common


def _wording(model: LogisticRegression, common: IntArray) -> Wording:
    """Return the model over all buckets, as it will be stored; of two classes scikit-learn keeps the second's logits."""
    coefficients, offset = model.coef_, model.intercept_
    if len(coefficients) == 1:
        coefficients, offset = np.vstack([-coefficients / 2, coefficients / 2]), np.concatenate([-offset / 2, offset / 2])
    weights = np.zeros((BUCKETS, len(coefficients)), dtype=np.float32)
    weights[common] = coefficients.T.astype(np.float16)
    return Wording(weights, offset.astype(np.float32))
