"""A head as one affine map is the same head."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier

from learnedrouter.classifier.folded import FoldedHead, fold
from learnedrouter.classifier.heads import load_head, load_serving_head
from learnedrouter.errors import ArtifactError
from learnedrouter.training.fit import Sample, fit, fit_by_folds
from tests.conftest import ROOT
from tests.made import quiet


def sample(classes: int, rows: int, seed: int) -> Sample:
    rng = np.random.default_rng(seed)
    known = np.arange(rows) % classes
    vectors = rng.standard_normal((rows, 8)) + np.eye(classes, 8)[known]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Sample(np.hstack([vectors, 50 + 20 * rng.standard_normal((rows, 3))]).astype(np.float32), known, [str(n) for n in range(rows)])


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("by_folds", [False, True])
def test_a_folded_head_gives_the_same_probabilities(classes: int, by_folds: bool) -> None:
    """Of two classes or more, calibrated on rows of their own or by folds."""
    train, other = sample(classes, 90, 0), sample(classes, 60, 1)
    head = (fit_by_folds(train, 8, 0) if by_folds else fit(train, other, 8, 0, quiet)).head

    folded = fold(head)

    assert folded is not None
    np.testing.assert_allclose(folded.predict_proba(other.features), head.predict_proba(other.features), atol=1e-5)


def test_the_shipped_head_folds() -> None:
    """What is shipped decides by the fast way."""
    path = ROOT / "models/default/head.joblib"

    folded = load_serving_head(path)

    assert isinstance(folded, FoldedHead)
    rows = np.random.default_rng(0).standard_normal((50, len(folded.weights))).astype(np.float32)
    np.testing.assert_allclose(folded.predict_proba(rows), load_head(path).predict_proba(rows), atol=1e-5)


def test_a_head_of_another_make_is_left_as_it_is() -> None:
    """What is not understood is not folded."""
    assert fold(DummyClassifier().fit([[0], [1]], [0, 1])) is None


def test_it_is_saved_and_loaded(tmp_path: Path) -> None:
    """As plain numbers."""
    head = FoldedHead(np.arange(6.0).reshape(3, 2), np.array([0.5, -0.5]))
    head.save(tmp_path / "head.npz")

    again = FoldedHead.load(tmp_path / "head.npz")

    np.testing.assert_array_equal(again.weights, head.weights)
    np.testing.assert_array_equal(again.offset, head.offset)


@pytest.mark.parametrize(
    "arrays",
    [
        {"weights": np.ones((3, 2))},
        {"weights": np.ones(3), "offset": np.ones(2), "temperature": 1.0},
        {"weights": np.full((3, 2), np.nan), "offset": np.ones(2), "temperature": 1.0},
    ],
)
def test_what_is_no_folded_head_is_refused(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    """The error names the file."""
    np.savez(tmp_path / "head.npz", **arrays)

    with pytest.raises(ArtifactError, match=r"head\.npz: not a folded head"):
        FoldedHead.load(tmp_path / "head.npz")
