"""A head as it is kept: a pickle, written by joblib and read through a list of allowed classes.

Only training needs this, and serving where an artefact's head is not folded.
"""

from pathlib import Path
from typing import Any

import joblib
from joblib.numpy_pickle import NumpyUnpickler

from learnedrouter.classifier.folded import FOLDED, HEAD, fold
from learnedrouter.classifier.model import Head
from learnedrouter.errors import ArtifactError

ALLOWED = frozenset(
    {
        ("builtins", "slice"),
        ("joblib.numpy_pickle", "NumpyArrayWrapper"),
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        ("numpy._core.multiarray", "scalar"),
        ("sklearn.calibration", "CalibratedClassifierCV"),
        ("sklearn.calibration", "_CalibratedClassifier"),
        ("sklearn.calibration", "_TemperatureScaling"),
        ("sklearn.compose._column_transformer", "ColumnTransformer"),
        ("sklearn.frozen._frozen", "FrozenEstimator"),
        ("sklearn.linear_model._logistic", "LogisticRegression"),
        ("sklearn.pipeline", "Pipeline"),
        ("sklearn.preprocessing._data", "StandardScaler"),
        ("sklearn.preprocessing._function_transformer", "FunctionTransformer"),
    }
)
"""All that a head may be made of; none of these runs foreign code when it is rebuilt."""


def save_head(head: Head, stage: Path) -> None:
    """Write the head, whole and folded, and check that it can be read back through the list of allowed classes."""
    joblib.dump(head, stage / HEAD)
    if folded := fold(load_head(stage / HEAD)):
        folded.save(stage / FOLDED)


def load_head(path: Path) -> Head:
    """Unpickle a head, and refuse every class that a head is not made of.

    Raises
    ------
    ArtifactError
        The file names a foreign class, or is no pickle.
    """
    try:
        with path.open("rb") as file:
            head = _HeadUnpickler(str(path), file, ensure_native_byte_order=True).load()
    except ArtifactError:
        raise
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to mean
        raise ArtifactError(f"{path}: not a saved head ({type(error).__name__}: {error})") from error
    if not hasattr(head, "predict_proba"):
        raise ArtifactError(f"{path}: holds a {type(head).__name__}, which predicts no probabilities")
    return head  # type: ignore[no-any-return]


def load_serving_head(path: Path) -> Head:
    """Return the head that lies at `path`, folded where it can be.

    Raises
    ------
    ArtifactError
        See `load_head`.
    """
    head = load_head(path)
    return fold(head) or head


class _HeadUnpickler(NumpyUnpickler):  # type: ignore[misc]
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise ArtifactError(f"{self.filename}: names {module}.{name}, which no head is made of; the file is foreign or tampered with")
        return super().find_class(module, name)
