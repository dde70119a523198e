"""Fitting and calibrating the head."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from learnedrouter.classifier.features import FloatArray, IntArray
from learnedrouter.classifier.folded import EMBEDDING
from learnedrouter.classifier.model import Head
from learnedrouter.errors import InputError
from learnedrouter.training.embed import Progress
from learnedrouter.training.parallel import run
from learnedrouter.training.patterns import FloatMatrix

_Fold = tuple[IntArray, IntArray]
"""The rows inside and outside of a fold."""

BESIDE = "beside"
"""What a head's pipeline calls the columns that stand beside the embedding."""

INNER_FOLDS = 3
"""Folds of `fit_by_folds`; more give C and temperature no better, and cost as much again."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows to fit on.

    Parameters
    ----------
    features : (n, dimension + k)
        Embeddings joined with structural features and with what the words say.
    classes : (n,)
        Class of each row.
    groups : (n,)
        Rows of one group stay in one fold.
    """

    features: FloatArray
    classes: IntArray
    groups: Sequence[str]


@dataclass(frozen=True, slots=True)
class Regularisation:
    """How strongly a head is held back.

    Parameters
    ----------
    inverse
        C: the less, the stronger.
    embedding_weight
        What embeddings are multiplied by. Their columns are small beside scaled features, so with a weight of 1 most of the strength
        falls on them; an encoder that has not seen the rows deserves to be believed more than that.
    """

    inverse: float
    embedding_weight: float = 1.0


TRIED = tuple(Regularisation(inverse) for inverse in (0.003, 0.01, 0.1, 1.0)) + tuple(
    Regularisation(inverse, 8.0) for inverse in (0.003, 0.01, 0.03, 0.1)
)
"""What is tried. An encoder that was tuned on the rows wants the first of them."""

FOR_FROZEN = Regularisation(0.03, 8.0)
"""For where nothing is tried: to an embedding of weight 8 this is a C of 1.9, and frozen ones want 1 to 10."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A calibrated head.

    Parameters
    ----------
    head
        The head.
    regularisation
        What was chosen for it.
    fitted_on
        The rows that it was fitted on.
    held_out : (n, n_classes)
        What it holds of the validation rows; where it was fitted on these, what heads hold that were fitted without a row's fold.
    """

    head: Head
    regularisation: Regularisation
    fitted_on: Literal["training", "validation"]
    held_out: FloatMatrix


def make_head(dimension: int, regularisation: Regularisation, seed: int) -> Pipeline:
    """Return an unfitted head: embeddings weighted, what stands beside them scaled, multinomial logistic regression.

    Parameters
    ----------
    dimension
        Columns of the embedding; all others follow it.
    """
    scale = ColumnTransformer(
        [(EMBEDDING, "passthrough", slice(0, dimension)), (BESIDE, StandardScaler(), slice(dimension, None))],
        transformer_weights={EMBEDDING: regularisation.embedding_weight},
    )
    return make_pipeline(scale, LogisticRegression(C=regularisation.inverse, max_iter=2_000, random_state=seed))


def fit(train: Sample, validation: Sample, dimension: int, seed: int, progress: Progress, *, seen: bool = False) -> Fitted:
    """Return a calibrated head.

    Its regularisation, and the one temperature that calibrates the probabilities (Guo et al. 2017, section 4.2), are chosen by
    log loss on the validation rows.

    An encoder that was tuned on the training rows has pulled them apart as it will never pull new ones, and a head that is fitted on
    them believes it too much. So a head is fitted on the validation rows as well, judged by folds, and the better one is taken.

    Parameters
    ----------
    dimension
        Columns of the embedding.
    seen
        Whether the encoder was tuned on the training rows.

    Raises
    ------
    InputError
        A class is missing among the training or the validation rows.
    """
    _refuse_missing_classes(train, validation)
    found = _fit_on_train(train, validation, dimension, seed, progress)
    if not seen or np.bincount(validation.classes).min() < INNER_FOLDS:
        return found
    progress("fitting on validation rows", 0, 1)
    other = fit_by_folds(validation, dimension, seed)
    progress("fitting on validation rows", 1, 1)
    return min(found, other, key=lambda fitted: _loss(validation, fitted.held_out))


def fit_by_folds(rows: Sample, dimension: int, seed: int) -> Fitted:
    """Return a calibrated head that needs no rows beside those that it is fitted on: regularisation and temperature come from their folds.

    Only for an encoder that has not seen those rows.

    Parameters
    ----------
    dimension
        Columns of the embedding.

    Raises
    ------
    InputError
        There are fewer rows of a class than folds.
    """
    if (rarest := int(np.bincount(rows.classes).min())) < INNER_FOLDS:
        raise InputError(f"too few rows to train on: a class has {rarest} of the {len(rows.classes)} rows, expected at least {INNER_FOLDS}")
    folds = list(StratifiedGroupKFold(INNER_FOLDS, shuffle=True, random_state=seed).split(rows.features, rows.classes, rows.groups))
    with threadpool_limits(1):  # matrices this small are multiplied faster by one thread than by several
        losses = [_loss(rows, _by_folds(rows, dimension, tried, seed, folds, "predict_proba")) for tried in TRIED]
        best = TRIED[int(np.argmin(losses))]
        head = CalibratedClassifierCV(make_head(dimension, best, seed), method="temperature", cv=folds, ensemble=False)
        head.fit(rows.features, rows.classes)
        logits = _by_folds(rows, dimension, best, seed, folds, "decision_function")
    (calibrated,) = head.calibrated_classifiers_
    (temperature,) = calibrated.calibrators
    return Fitted(head, best, "validation", _whole(temperature.predict(logits)))


def _by_folds(rows: Sample, dimension: int, tried: Regularisation, seed: int, folds: list[_Fold], method: str) -> FloatMatrix:
    """Return what heads that were fitted without a row's fold give for it."""
    head = make_head(dimension, tried, seed)
    found: FloatMatrix = cross_val_predict(head, rows.features, rows.classes, cv=folds, method=method)
    return found


def _fit_on_train(train: Sample, validation: Sample, dimension: int, seed: int, progress: Progress) -> Fitted:
    with threadpool_limits(1):
        tried = run(_candidate, (train, validation), (make_head(dimension, each, seed) for each in TRIED))
        candidates = []
        for regularisation, (loss, head) in zip(TRIED, tried, strict=True):
            candidates.append((loss, head, regularisation))
            progress("choosing C", len(candidates), len(TRIED))
        _, head, best = min(candidates, key=lambda candidate: candidate[0])
        calibrated = CalibratedClassifierCV(FrozenEstimator(head), method="temperature")
        calibrated.fit(validation.features, validation.classes)
    return Fitted(calibrated, best, "training", _whole(calibrated.predict_proba(validation.features)))


def _whole(probabilities: FloatMatrix | FloatArray) -> FloatMatrix:
    """Return probabilities that add up to 1 in double precision, too."""
    shares = probabilities.astype(np.float64)
    whole: FloatMatrix = shares / shares.sum(axis=1, keepdims=True)
    return whole


def _candidate(samples: tuple[Sample, Sample], head: Pipeline) -> tuple[float, Pipeline]:
    """Return the log loss on the validation rows of `head`, fitted on the training rows, and that head."""
    train, validation = samples
    with threadpool_limits(1):  # on a worker, too
        head.fit(train.features, train.classes)
    return _loss(validation, head.predict_proba(validation.features)), head


def _loss(rows: Sample, probabilities: FloatMatrix | FloatArray) -> float:
    """Return the log loss of probabilities, ``(n, n_classes)``."""
    return float(log_loss(rows.classes, _whole(probabilities)))


def _refuse_missing_classes(train: Sample, validation: Sample) -> None:
    expected = set(range(int(max(train.classes.max(), validation.classes.max())) + 1))
    for name, sample in (("training", train), ("validation", validation)):
        if missing := sorted(expected - set(np.unique(sample.classes).tolist())):
            raise InputError(f"too few rows to train on: none of the {len(sample.classes)} {name} rows is of class {missing[0]}")
