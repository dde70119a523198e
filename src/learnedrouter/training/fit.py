"""Fitting and calibrating the head."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from learnedrouter.classifier.features import FloatArray, IntArray
from learnedrouter.classifier.model import Head
from learnedrouter.errors import InputError
from learnedrouter.training.embed import Progress

INVERSE_REGULARISATION = (0.3, 1.0, 3.0, 10.0, 30.0)
"""Values of C that are tried; unit-length embeddings want a larger one than scaled features."""

FOLDS = 5


def make_head(dimension: int, inverse_regularisation: float, seed: int) -> Pipeline:
    """Return an unfitted head: embeddings as they are, structural features scaled, multinomial logistic regression.

    Parameters
    ----------
    dimension
        Columns of the embedding; the structural features follow it.
    """
    scale = make_column_transformer(("passthrough", slice(0, dimension)), (StandardScaler(), slice(dimension, None)))
    return make_pipeline(scale, LogisticRegression(C=inverse_regularisation, max_iter=2_000, random_state=seed))


def fit(
    features: FloatArray, classes: IntArray, groups: Sequence[str], dimension: int, seed: int, progress: Progress
) -> tuple[Head, float]:
    """Return a calibrated head, and the C that cross-validation chose for it.

    Probabilities are calibrated by one temperature (Guo et al. 2017, section 4.2) on out-of-fold predictions, so that
    the validation split stays unseen for the threshold.

    Parameters
    ----------
    features : (n, dimension + k)
        Embeddings joined with structural features.
    classes : (n,)
        Class of each row.
    groups : (n,)
        Rows of one group are never on both sides of a fold.

    Raises
    ------
    InputError
        There are too few groups of a class to cross-validate.
    """
    folds = _folds(features, classes, groups, seed)
    losses: dict[float, float] = {}
    with threadpool_limits(1):  # matrices this small are multiplied faster by one thread than by several
        for place, value in enumerate(INVERSE_REGULARISATION, 1):
            held_out = cross_val_predict(make_head(dimension, value, seed), features, classes, cv=folds, method="predict_proba")
            losses[value] = float(log_loss(classes, held_out))
            progress("choosing C", place, len(INVERSE_REGULARISATION))
        best = min(losses, key=losses.__getitem__)
        head = CalibratedClassifierCV(make_head(dimension, best, seed), method="temperature", cv=folds, ensemble=False)
        head.fit(features, classes)
    head.set_params(cv=None)  # the folds' row numbers are no part of the model
    return head, best


def _folds(
    features: FloatArray, classes: IntArray, groups: Sequence[str], seed: int
) -> list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    counts = {int(label): len({group for group, own in zip(groups, classes, strict=True) if own == label}) for label in np.unique(classes)}
    if len(counts) < 2 or min(counts.values()) < FOLDS:
        raise InputError(f"too few rows to train on: groups per class are {counts}; expected at least {FOLDS} in each of two or more")
    return list(StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(features, classes, groups))
