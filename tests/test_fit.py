"""Heads, and the rows that they are fitted on."""

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss

from learnedrouter.classifier.folded import fold
from learnedrouter.classifier.model import Head
from learnedrouter.training.fit import Regularisation, Sample, fit, fit_by_folds, make_head
from tests.made import quiet

DIMENSION = 12


def rows(count: int, seed: int, clear: float, by_heart: float = 0.0) -> Sample:
    """Rows of three classes that their embeddings tell apart, the more clearly the larger `clear` is, and two columns beside.

    What an encoder knows of them `by_heart` stands in directions of its own, in which other rows show nothing.
    """
    rng = np.random.default_rng(seed)
    classes = np.arange(count) % 3
    vectors = rng.standard_normal((count, DIMENSION)) + (clear * np.eye(3, DIMENSION) + by_heart * np.eye(3, DIMENSION, 3))[classes]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    beside = rng.standard_normal((count, 2)) + np.stack([classes, -classes], axis=1)
    return Sample(np.hstack([vectors, beside]).astype(np.float32), classes, [str(place) for place in range(count)])


def loss(judged: Sample, head: Head) -> float:
    """The log loss of what a head makes of rows."""
    return float(log_loss(judged.classes, head.predict_proba(judged.features.astype(np.float64))))


@pytest.mark.parametrize("seen", [False, True])
def test_an_encoder_that_knows_the_training_rows_by_heart_is_judged_on_others(seen: bool) -> None:
    """What it makes of the training rows says little of new ones: then the head is fitted on the validation rows."""
    train, validation, test = rows(600, 0, 2.0, by_heart=9.0), rows(300, 1, 2.0), rows(300, 2, 2.0)

    fitted = fit(train, validation, DIMENSION, 0, quiet, seen=seen)

    assert fitted.fitted_on == ("validation" if seen else "training")
    other = fit(train, validation, DIMENSION, 0, quiet, seen=not seen)
    assert (loss(test, fitted.head) < loss(test, other.head)) is seen


def test_an_encoder_that_was_tuned_without_harm_leaves_the_head_to_the_training_rows() -> None:
    """Where training rows look like validation rows there are simply more of them."""
    fitted = fit(rows(3_000, 0, 1.0), rows(90, 1, 1.0), DIMENSION, 0, quiet, seen=True)

    assert fitted.fitted_on == "training"


def test_what_is_held_of_a_row_is_held_without_it() -> None:
    """Where there is nothing to learn, a head remembers its own rows, and nothing is held of them that is better than chance."""
    rng = np.random.default_rng(0)
    noise = Sample(rng.standard_normal((240, DIMENSION + 2)).astype(np.float32), np.arange(240) % 3, [str(place) for place in range(240)])

    fitted = fit_by_folds(noise, DIMENSION, 0)

    assert fitted.held_out.shape == (240, 3)
    assert log_loss(noise.classes, fitted.held_out) > loss(noise, fitted.head)
    assert log_loss(noise.classes, fitted.held_out) > 0.98 * np.log(3)


def test_a_row_stays_with_its_group() -> None:
    """Of two rows that are the same, none is judged by a head that knows the other."""
    once = rows(60, 0, 0.0)
    twice = Sample(np.vstack([once.features] * 2), np.concatenate([once.classes] * 2), [*once.groups, *once.groups])

    held_out = fit_by_folds(twice, DIMENSION, 0).held_out

    np.testing.assert_allclose(held_out[:60], held_out[60:])


@pytest.mark.parametrize("weight", [1.0, 8.0])
def test_the_weight_of_embeddings_folds(weight: float) -> None:
    """Into the one affine map, like the scaling of what stands beside them."""
    train, other = rows(90, 0, 1.0), rows(60, 1, 1.0)
    pipeline = make_head(DIMENSION, Regularisation(0.1, weight), 0).fit(train.features, train.classes)
    head = CalibratedClassifierCV(FrozenEstimator(pipeline), method="temperature").fit(other.features, other.classes)

    folded = fold(head)

    assert folded is not None
    np.testing.assert_allclose(folded.predict_proba(other.features), head.predict_proba(other.features), atol=1e-5)
