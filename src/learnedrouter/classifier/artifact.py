"""The artefact: a folder that holds a trained classifier and everything needed to trust it.

    models/<name>/
        manifest.json    what it is, what it was made from, sha256 of every other file
        head.joblib      the fitted scikit-learn head
        encoder/         the compiled encoder
        familiarity.npz  what familiar requests look like; artefacts of older versions lack it
        seen.npy         fingerprints of the rows it was fitted on, so that nobody evaluates on them
        tuned.npy        those of the rows that ``tune --write`` solved its threshold on since
        README.md        the model card

Saving is whole or not at all. Loading checks the manifest, then every file's sha256, then unpickles the head through a
list of allowed classes: a damaged or foreign file is one clear error, and nothing in it runs. The hashes guard against
accidents; the list guards against a manifest that was rewritten along with the file.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
from joblib.numpy_pickle import NumpyUnpickler

from learnedrouter.classifier.encoder import OnnxEncoder
from learnedrouter.classifier.familiarity import Familiarity
from learnedrouter.classifier.features import FEATURES
from learnedrouter.classifier.model import DEFAULT_ACCEPT, Head, TierClassifier
from learnedrouter.errors import ArtifactError, InputError
from learnedrouter.tiers import Ladder

FORMAT = 1
MANIFEST, HEAD, ENCODER, SEEN, CARD = "manifest.json", "head.joblib", "encoder", "seen.npy", "README.md"
FAMILIARITY, TUNED = "familiarity.npz", "tuned.npy"

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


@dataclass(frozen=True, slots=True)
class Manifest:
    """What ``manifest.json`` holds.

    Parameters
    ----------
    format
        Version of this layout.
    name
        The artefact's name and version: its folder's name, and the start of the hash of its files.
    ladder
        Tier names, cheapest first.
    class_scores
        See `TierClassifier`.
    features
        Names of the structural features, in the head's order.
    encoder
        The encoder's id: the sentence-transformers model that it was compiled from.
    dimension
        Length of the embedding.
    threshold
        The threshold, with what it was solved for.
    libraries
        Versions that the head was fitted with.
    files
        Path to sha256, of every file but the manifest.
    data
        sha256 of the rows, the counts, and the command that made the artefact.
    metrics
        Figures on the test split.
    """

    format: int
    name: str
    ladder: tuple[str, ...]
    class_scores: tuple[tuple[float, ...], ...]
    features: tuple[str, ...]
    encoder: str
    dimension: int
    threshold: Mapping[str, Any]
    libraries: Mapping[str, str]
    files: Mapping[str, str]
    data: Mapping[str, Any]
    metrics: Mapping[str, Any]


def libraries() -> dict[str, str]:
    """Return the installed versions of the libraries that a head depends on."""
    return {name: version(name) for name in ("scikit-learn", "numpy", "joblib", "onnxruntime", "tokenizers")}


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """Give an empty folder beside `folder`; put it in `folder`'s place if the block succeeds, else remove it."""
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    stage.chmod(0o755)
    try:
        yield stage
        retired = stage.with_name(stage.name + "-old")
        if folder.exists():
            os.replace(folder, retired)
        os.replace(stage, folder)
        shutil.rmtree(retired, ignore_errors=True)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def seal(stage: Path, name: str, **contents: Any) -> Manifest:
    """Write the manifest over the files that lie in `stage`; `contents` are the manifest's other fields."""
    unsealed = Manifest(format=FORMAT, name=name, features=tuple(FEATURES), libraries=libraries(), files={}, **contents)
    return reseal(stage, unsealed, unsealed.threshold)


def reseal(stage: Path, manifest: Manifest, threshold: Mapping[str, Any]) -> Manifest:
    """Write the manifest over the files that lie in `stage`, with another threshold; it is a version of its own."""
    files = {str(path.relative_to(stage)): _sha256(path) for path in sorted(stage.rglob("*")) if path.is_file()}
    digest = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:8]
    sealed = replace(manifest, name=f"{manifest.name.partition('@')[0]}@{digest}", threshold=threshold, files=files)
    (stage / MANIFEST).write_text(json.dumps(asdict(sealed), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return sealed


def save_head(head: Head, stage: Path) -> None:
    """Write the head, and check that it can be read back through the list of allowed classes."""
    joblib.dump(head, stage / HEAD)
    load_head(stage / HEAD)


def load(folder: Path) -> TierClassifier:
    """Return the classifier that lies in `folder`.

    Raises
    ------
    ArtifactError
        The folder holds no artefact, or one that is damaged, tampered with, or made by other versions.
    """
    manifest = read_manifest(folder)
    verify(folder, manifest)
    encoder = OnnxEncoder(folder / ENCODER)
    if encoder.dimension != manifest.dimension:
        raise ArtifactError(f"{folder}: the encoder gives {encoder.dimension} dimensions, the manifest says {manifest.dimension}")
    try:
        ladder = Ladder(tuple(manifest.ladder))
        class_scores = np.array(manifest.class_scores, dtype=np.float64)
        threshold = float(manifest.threshold["value"])
        accept = float(manifest.data.get("accept", DEFAULT_ACCEPT))
    except (InputError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{folder / MANIFEST}: not usable ({error})") from error
    if class_scores.ndim != 2 or class_scores.shape[1] != len(ladder) or not 0 <= threshold <= 1:
        raise ArtifactError(
            f"{folder / MANIFEST}: class_scores {class_scores.shape} or threshold {threshold} do not fit a ladder of {len(ladder)}"
        )
    familiarity = Familiarity.load(folder / FAMILIARITY) if FAMILIARITY in manifest.files else None
    return TierClassifier(ladder, encoder, load_head(folder / HEAD), class_scores, threshold, manifest.name, familiarity, accept)


def read_manifest(folder: Path) -> Manifest:
    """Return what ``manifest.json`` says, as far as this version can read it.

    Raises
    ------
    ArtifactError
        There is none, or it is of another format.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise ArtifactError(
            f"{folder}: holds no artefact ({MANIFEST} is missing); make one with: learnedrouter train --data data --out {folder}"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ArtifactError(f"{path}: format {content['format']!r}, expected {FORMAT}; train it anew")
        manifest = Manifest(**content)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ArtifactError(f"{path}: not a manifest ({type(error).__name__}: {error})") from error
    if tuple(manifest.features) != tuple(FEATURES):
        raise ArtifactError(f"{path}: made for the features {list(manifest.features)}, this version has {list(FEATURES)}; train it anew")
    return manifest


def verify(folder: Path, manifest: Manifest) -> None:
    """Check the files of an artefact against its manifest, and the libraries against those that made it.

    Raises
    ------
    ArtifactError
        A file is missing, changed or unlisted, or scikit-learn is of another minor version.
    """
    for name, digest in manifest.files.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ArtifactError(f"{folder / MANIFEST}: lists {name!r}, which lies outside the artefact")
        if not path.is_file():
            raise ArtifactError(f"{path}: is missing, though the manifest lists it")
        if _sha256(path) != digest:
            raise ArtifactError(f"{path}: changed since the artefact was made (its sha256 is not the manifest's)")
    if missing := sorted({HEAD, f"{ENCODER}/encoder.json"} - set(manifest.files)):
        raise ArtifactError(f"{folder / MANIFEST}: does not list {', '.join(missing)}")
    made, here = str(manifest.libraries.get("scikit-learn")), version("scikit-learn")
    if made.split(".")[:2] != here.split(".")[:2]:
        raise ArtifactError(f"{folder}: the head was fitted with scikit-learn {made}, {here} is installed; train it anew or install {made}")


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


def load_seen(folder: Path) -> npt.NDArray[np.uint64]:
    """Return the fingerprints of the rows that the artefact was fitted on, its first threshold included, sorted."""
    return np.asarray(np.load(folder / SEEN, allow_pickle=False), dtype=np.uint64)


def load_tuned(folder: Path) -> npt.NDArray[np.uint64]:
    """Return the fingerprints of the rows that later thresholds were solved on, sorted; there may be none."""
    path = folder / TUNED
    return np.asarray(np.load(path, allow_pickle=False), dtype=np.uint64) if path.is_file() else np.empty(0, dtype=np.uint64)


class _HeadUnpickler(NumpyUnpickler):  # type: ignore[misc]
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise ArtifactError(f"{self.filename}: names {module}.{name}, which no head is made of; the file is foreign or tampered with")
        return super().find_class(module, name)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
