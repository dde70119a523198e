"""The artefact: a folder that holds a trained classifier and everything needed to trust it.

    models/<name>/
        manifest.json    what it is, what it was made from, sha256 of every other file
        head.joblib      the fitted scikit-learn head
        head.npz         the same head folded into one affine map; what serves, so that serving loads no scikit-learn
        encoder/         the compiled encoder
        wording.npz      what the words say; lacking where there were too few rows to tell
        familiarity.npz  what familiar requests look like
        seen.npy         fingerprints of the rows it was fitted on, so that nobody evaluates on them
        tuned.npy        those of the rows that ``tune --write`` solved its threshold on since
        first/           a cascade's first stage: encoder and head of its own
        README.md        the model card

Saving is whole or not at all. Loading checks the manifest, then every file's sha256; the folded head is plain numbers, and a
head that is not folded is unpickled through a list of allowed classes (`heads`): a damaged or foreign file is one clear
error, and nothing in it runs. The hashes guard against accidents; the list guards against a manifest that was rewritten
along with the file.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from learnedrouter.classifier.assessment import DEFAULT_ACCEPT
from learnedrouter.classifier.familiarity import Familiarity
from learnedrouter.classifier.features import FEATURES
from learnedrouter.classifier.folded import FOLDED, HEAD, FoldedHead
from learnedrouter.classifier.kinds import load_encoder
from learnedrouter.classifier.model import FirstStage, Head, TierClassifier
from learnedrouter.classifier.wording import Wording
from learnedrouter.errors import ArtifactError, InputError
from learnedrouter.tiers import Ladder

FORMAT = 3
MANIFEST, ENCODER, FIRST, SEEN, CARD = "manifest.json", "encoder", "first", "seen.npy", "README.md"
FAMILIARITY, WORDING, TUNED = "familiarity.npz", "wording.npz", "tuned.npy"


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
        Figures on the test split, and of making the last stage.
    cascade
        The first stage's switch point with what it was solved for, and its weight; where none paid, why;
        empty where none was asked for.
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
    cascade: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_first(self) -> bool:
        """Whether there is a static stage before the encoder."""
        return f"{FIRST}/{ENCODER}/encoder.json" in self.files

    @property
    def judged_at(self) -> float:
        """The threshold at which the routing figures among `metrics` were taken: the first one, whatever was solved since."""
        return float(self.threshold.get("judged_at", self.threshold["value"]))


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


def load(folder: Path) -> TierClassifier:
    """Return the classifier that lies in `folder`.

    Raises
    ------
    ArtifactError
        The folder holds no artefact, or one that is damaged, tampered with, or made by other versions.
    """
    manifest = read_manifest(folder)
    verify(folder, manifest)
    encoder = load_encoder(folder / ENCODER)
    if encoder.spec.dimension != manifest.dimension:
        raise ArtifactError(f"{folder}: the encoder gives {encoder.spec.dimension} dimensions, the manifest says {manifest.dimension}")
    try:
        ladder = Ladder(tuple(manifest.ladder))
        class_scores = np.array(manifest.class_scores, dtype=np.float64)
        threshold = float(manifest.threshold["value"])
        switch = float(manifest.cascade["switch"]) if manifest.has_first else None
        weight = float(manifest.cascade.get("weight", 0.0))  # artefacts of older versions give the first stage no say
        accept = float(manifest.data.get("accept", DEFAULT_ACCEPT))
    except (InputError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{folder / MANIFEST}: not usable ({error})") from error
    if class_scores.ndim != 2 or class_scores.shape[1] != len(ladder) or not 0 <= threshold <= 1:
        raise ArtifactError(
            f"{folder / MANIFEST}: class_scores {class_scores.shape} or threshold {threshold} do not fit a ladder of {len(ladder)}"
        )
    first = None
    if switch is not None:
        first = FirstStage(load_encoder(folder / FIRST / ENCODER), _serving_head(folder, manifest, FIRST), switch, weight)
    familiarity = Familiarity.load(folder / FAMILIARITY) if FAMILIARITY in manifest.files else None
    wording = Wording.load(folder / WORDING) if WORDING in manifest.files else None
    head = _serving_head(folder, manifest)
    return TierClassifier(ladder, encoder, head, class_scores, threshold, manifest.name, familiarity, accept, first, wording)


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


def _serving_head(folder: Path, manifest: Manifest, part: str = ".") -> Head:
    """Return the head of `part` of an artefact: folded where it can be, for then nothing has to be unpickled."""
    if str(Path(part, FOLDED)) in manifest.files:
        head: Head = FoldedHead.load(folder / part / FOLDED)
    else:  # not foldable
        from learnedrouter.classifier.heads import load_serving_head

        head = load_serving_head(folder / part / HEAD)
    return head


def load_seen(folder: Path) -> npt.NDArray[np.uint64]:
    """Return the fingerprints of the rows that the artefact was fitted on, its first threshold included, sorted."""
    return np.asarray(np.load(folder / SEEN, allow_pickle=False), dtype=np.uint64)


def load_tuned(folder: Path) -> npt.NDArray[np.uint64]:
    """Return the fingerprints of the rows that later thresholds were solved on, sorted; there may be none."""
    path = folder / TUNED
    return np.asarray(np.load(path, allow_pickle=False), dtype=np.uint64) if path.is_file() else np.empty(0, dtype=np.uint64)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
