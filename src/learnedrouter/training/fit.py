"""Fitting and calibrating the head."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from learnedrouter.classifier.features import FloatArray, IntArray
from learnedrouter.classifier.model import Head
from learnedrouter.errors import InputError
from learnedrouter.training.embed import Progress
from learnedrouter.training.parallel import run

INVERSE_REGULARISATION = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Values of C that are tried: frozen embeddings want 1 to 10, those of an encoder that was tuned on the rows a tenth of that."""

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
    """

    features: FloatArray
    classes: IntArray


def make_head(dimension: int, inverse_regularisation: float, seed: int) -> Pipeline:
    """Return an unfitted head: embeddings as they are, what stands beside them scaled, multinomial logistic regression.

    Parameters
    ----------
    dimension
        Columns of the embedding; all others follow it.
    """
    scale = make_column_transformer(("passthrough", slice(0, dimension)), (StandardScaler(), slice(dimension, None)))
    return make_pipeline(scale, LogisticRegression(C=inverse_regularisation, max_iter=2_000, random_state=seed))


def fit(train: Sample, validation: Sample, dimension: int, seed: int, progress: Progress) -> tuple[Head, float]:
    """Return a calibrated head, and the C that was chosen for it.

    C, and the one temperature that calibrates the probabilities (Guo et al. 2017, section 4.2), are chosen by log loss on
    the validation rows: a fine-tuned encoder has seen the training rows, so folds of those would flatter.

    Parameters
    ----------
    dimension
        Columns of the embedding.

    Raises
    ------
    InputError
        A class is missing among the training or the validation rows.
    """
    _refuse_missing_classes(train, validation)
    with threadpool_limits(1):  # matrices this small are multiplied faster by one thread than by several
        tried = run(_candidate, (train, validation), (make_head(dimension, value, seed) for value in INVERSE_REGULARISATION))
        candidates = []
        for value, candidate in zip(INVERSE_REGULARISATION, tried, strict=True):
            candidates.append((*candidate, value))
            progress("choosing C", len(candidates), len(INVERSE_REGULARISATION))
        _, head, best = min(candidates, key=lambda candidate: candidate[0])
        calibrated = CalibratedClassifierCV(FrozenEstimator(head), method="temperature")
        calibrated.fit(validation.features, validation.classes)
    return calibrated, best


def fit_by_folds(train: Sample, groups: Sequence[str], dimension: int, seed: int) -> Head:
    """Return a calibrated head where there are no validation rows: C and temperature come from folds of the training rows.

    Only for an encoder that has not seen those rows.

    Parameters
    ----------
    groups : (n,)
        Rows of one group stay in one fold.
    dimension
        Columns of the embedding.

    Raises
    ------
    InputError
        There are fewer rows of a class than folds.
    """
    if (rarest := int(np.bincount(train.classes).min())) < INNER_FOLDS:
        raise InputError(
            f"too few rows to train on: a class has {rarest} of the {len(train.classes)} rows, expected at least {INNER_FOLDS}"
        )
    splitter = StratifiedGroupKFold(INNER_FOLDS, shuffle=True, random_state=seed)
    folds = list(splitter.split(train.features, train.classes, groups))
    with threadpool_limits(1):
        search = GridSearchCV(
            make_head(dimension, 1.0, seed),
            {"logisticregression__C": INVERSE_REGULARISATION},
            scoring="neg_log_loss",
            cv=folds,
            refit=False,
        ).fit(train.features, train.classes)
        best = make_head(dimension, search.best_params_["logisticregression__C"], seed)
        head: Head = CalibratedClassifierCV(best, method="temperature", cv=folds, ensemble=False).fit(train.features, train.classes)
    return head


def _candidate(samples: tuple[Sample, Sample], head: Pipeline) -> tuple[float, Pipeline]:
    """Return the log loss on the validation rows of `head`, fitted on the training rows, and that head."""
    train, validation = samples
    with threadpool_limits(1):  # on a worker, too
        head.fit(train.features, train.classes)
    return float(log_loss(validation.classes, head.predict_proba(validation.features))), head


def _refuse_missing_classes(train: Sample, validation: Sample) -> None:
    expected = set(range(int(max(train.classes.max(), validation.classes.max())) + 1))
    for name, sample in (("training", train), ("validation", validation)):
        if missing := sorted(expected - set(np.unique(sample.classes).tolist())):
            raise InputError(f"too few rows to train on: none of the {len(sample.classes)} {name} rows is of class {missing[0]}")
