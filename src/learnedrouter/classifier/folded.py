"""The head as it serves: one affine map and a softmax.

A head is a scikit-learn pipeline: scaling, logistic regression, one temperature. All of it is linear up to the softmax, so
it folds into a matrix and an offset. Through scikit-learn a single ask costs 0.9 ms, most of it checks of arguments, and
importing scikit-learn costs a serving process 1.4 s and 90 MB; folded, a hundredth of a millisecond and nothing.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from learnedrouter.classifier.features import FloatArray
from learnedrouter.errors import ArtifactError

HEAD, FOLDED = "head.joblib", "head.npz"
"""File names of a head: as scikit-learn's, and folded."""

EMBEDDING = "embedding"
"""What a pipeline calls those columns of its input that are not scaled but weighted."""

PARITY = 1e-5
"""How far a folded head's probabilities may lie from its pipeline's: single precision, over a few hundred columns."""


@dataclass(frozen=True, slots=True)
class FoldedHead:
    """A fitted, calibrated head as plain numbers.

    Parameters
    ----------
    weights : (n_features, n_classes)
        Scaling, coefficients and temperature in one.
    offset : (n_classes,)
        Likewise.
    temperature
        The factor that calibration put on the logits, contained in both.
    """

    weights: npt.NDArray[np.float64]
    offset: npt.NDArray[np.float64]
    temperature: float = 1.0

    def predict_proba(self, features: FloatArray) -> npt.NDArray[np.float64]:
        """Return class probabilities, ``(n, n_classes)``, for features ``(n, n_features)``."""
        logits = features @ self.weights + self.offset
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=1, keepdims=True)
        return logits

    def uncalibrated(self) -> "FoldedHead":
        """Return the head as it was before calibration."""
        return FoldedHead(self.weights / self.temperature, self.offset / self.temperature)

    def save(self, path: Path) -> None:
        """Write the numbers to `path`."""
        np.savez(path, weights=self.weights, offset=self.offset, temperature=self.temperature)

    @classmethod
    def load(cls, path: Path) -> "FoldedHead":
        """Read what `save` wrote.

        Raises
        ------
        ArtifactError
            The file is no such thing.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                weights, offset, temperature = stored["weights"], stored["offset"], float(stored["temperature"])
        except (OSError, ValueError, TypeError, KeyError, EOFError, BadZipFile) as error:
            raise ArtifactError(f"{path}: not a folded head ({type(error).__name__}: {error})") from error
        if weights.ndim != 2 or offset.shape != weights.shape[1:] or not (np.isfinite(weights).all() and np.isfinite(offset).all()):
            raise ArtifactError(f"{path}: not a folded head (weights {weights.shape}, offset {offset.shape})")
        return cls(weights.astype(np.float64), offset.astype(np.float64), temperature)


def fold(head: Any) -> FoldedHead | None:
    """Return a scikit-learn head as one affine map; None where it is built otherwise than `training.fit` builds heads.

    Whether the map is the pipeline is not taken on trust: it is compared on random rows, and where it differs by more than
    `PARITY`, None is returned.
    """
    try:
        (calibrated,) = head.calibrated_classifiers_
        (temperature,) = calibrated.calibrators
        estimator = calibrated.estimator
        pipeline = getattr(estimator, "estimator", estimator)  # frozen, or refitted on all rows
        columns, regression = (step for _, step in pipeline.steps)
        (_, _, plain), (_, scaler, _) = columns.transformers_
        passed = int(plain.stop)
        weight = (columns.transformer_weights or {}).get(EMBEDDING, 1.0)
        scale = np.concatenate([np.full(passed, weight), 1 / np.asarray(scaler.scale_, dtype=np.float64)])
        mean = np.concatenate([np.zeros(passed), np.asarray(scaler.mean_, dtype=np.float64)])
        weights, offset = np.asarray(regression.coef_, dtype=np.float64).T, np.asarray(regression.intercept_, dtype=np.float64)
        if weights.shape[1] == 1:  # of two classes scikit-learn keeps one column; its temperature takes the other as the negative
            weights, offset = np.hstack([-weights, weights]), np.concatenate([-offset, offset])
        weights = weights * scale[:, None]
        beta = float(temperature.beta_)
        folded = FoldedHead(beta * weights, beta * (offset - mean @ weights), beta)
        probe = _probe(passed, scaler.mean_, scaler.scale_)
        same = np.allclose(folded.predict_proba(probe), head.predict_proba(probe), rtol=0, atol=PARITY)
    except (AttributeError, TypeError, ValueError):
        return None
    return folded if same else None


def _probe(passed: int, mean: FloatArray, scale: FloatArray) -> FloatArray:
    """Return rows as a head sees them: unit vectors, and structural features around their means."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((64, passed))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.hstack([vectors, mean + scale * rng.standard_normal((64, len(mean)))]).astype(np.float32)
