import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from learnedrouter.classifier import artifact
from learnedrouter.classifier.model import TierClassifier
from learnedrouter.errors import ArtifactError
from tests.conftest import ROOT
from tests.made import ask


@pytest.fixture
def copy(artifact_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(artifact_folder, tmp_path / "copy"))


@pytest.fixture
def older(copy: Path) -> Path:
    """An artefact from before heads were folded."""
    (copy / "head.npz").unlink()
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["files"]["head.npz"], manifest["cascade"]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy


def edit_manifest(folder: Path, **changes: Any) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def reseal(folder: Path) -> None:
    """Make the manifest's hashes right again, as somebody who tampers would."""
    manifest = json.loads((folder / "manifest.json").read_text())
    edit_manifest(folder, files={name: artifact._sha256(folder / name) for name in manifest["files"]})


def test_an_artefact_comes_back_as_it_was_saved(artifact_folder: Path, classifier: TierClassifier) -> None:
    """Two loads decide alike, and the classifier bears the artefact's name and version."""
    asks = [ask("translate this"), ask("prove it")]

    again = artifact.load(artifact_folder).assess(asks)

    np.testing.assert_array_equal(again.sufficiency, classifier.assess(asks).sufficiency)
    assert classifier.name.startswith("small@")


def test_a_missing_artefact_says_how_to_make_one(tmp_path: Path) -> None:
    """The error is an instruction."""
    with pytest.raises(ArtifactError, match=r"holds no artefact.*learnedrouter train --data data --out"):
        artifact.load(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["head.joblib", "head.npz", "encoder/model.onnx", "encoder/tokenizer.json", "seen.npy", "README.md"])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    """Every file that the manifest lists must be there."""
    (copy / name).unlink()

    with pytest.raises(ArtifactError, match=f"{name}: is missing, though the manifest lists it"):
        artifact.load(copy)


@pytest.mark.parametrize("name", ["head.joblib", "head.npz", "encoder/model.onnx", "encoder/encoder.json"])
def test_a_truncated_or_changed_file_is_named(copy: Path, name: str) -> None:
    """Half a file is refused before anything reads it."""
    path = copy / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    with pytest.raises(ArtifactError, match=f"{name}: changed since the artefact was made"):
        artifact.load(copy)


@pytest.mark.parametrize("name", ["head.npz", "encoder/model.onnx", "encoder/tokenizer.json", "encoder/encoder.json"])
def test_a_truncated_file_under_a_matching_hash_is_refused_too(copy: Path, name: str) -> None:
    """The hash is not the only guard."""
    path = copy / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    reseal(copy)

    with pytest.raises(ArtifactError, match=str(copy)):
        artifact.load(copy)


def test_a_truncated_head_under_a_matching_hash_is_refused_too(older: Path) -> None:
    """Where the head is still unpickled."""
    path = older / "head.joblib"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    reseal(older)

    with pytest.raises(ArtifactError, match=r"head\.joblib: not a saved head"):
        artifact.load(older)


def test_an_artefact_of_an_older_version_decides_the_same(older: Path, classifier: TierClassifier) -> None:
    """Without a folded head and without a word on cascades."""
    asks = [ask("translate this"), ask("prove it")]

    np.testing.assert_allclose(artifact.load(older).assess(asks).sufficiency, classifier.assess(asks).sufficiency, atol=1e-5)


def test_serving_loads_neither_scikit_learn_nor_joblib(artifact_folder: Path) -> None:
    """They cost a serving process 1.4 s and 90 MB."""
    code = "import sys; from pathlib import Path; from learnedrouter.classifier import artifact; artifact.load(Path(sys.argv[1]));"
    code += "print([name for name in ('sklearn', 'scipy', 'joblib', 'torch', 'transformers') if name in sys.modules])"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}

    done = subprocess.run([sys.executable, "-c", code, str(artifact_folder)], capture_output=True, text=True, env=environment, check=True)

    assert done.stdout.strip() == "[]"


class Payload:
    """Unpickled, it would write a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.write_text, (self.target, "executed")


@pytest.mark.parametrize("wrap", [lambda evil: evil, lambda evil: [evil], lambda evil: np.array([evil, evil], dtype=object)])
def test_a_foreign_pickle_runs_nothing(older: Path, tmp_path: Path, wrap: Any) -> None:
    """Even under right hashes, and even nested in an array of objects, a foreign class is refused before it is rebuilt."""
    target = tmp_path / "trace"
    joblib.dump(wrap(Payload(target)), older / "head.joblib")
    reseal(older)

    with pytest.raises(ArtifactError, match=r"names \S+, which no head is made of"):
        artifact.load(older)
    assert not target.exists()


def test_a_head_that_predicts_nothing_is_refused(older: Path) -> None:
    """What is harmless is not yet a head."""
    joblib.dump({"coef": 1}, older / "head.joblib")
    reseal(older)

    with pytest.raises(ArtifactError, match="holds a dict, which predicts no probabilities"):
        artifact.load(older)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"format": 99}, "format 99, expected 3"),
        ({"surprise": 1}, "not a manifest"),
        ({"features": ["x"]}, "made for the features"),
        ({"libraries": {"scikit-learn": "0.1.2"}}, "fitted with scikit-learn 0.1.2"),
        ({"dimension": 7}, "the encoder gives 768 dimensions, the manifest says 7"),
        ({"ladder": ["one"]}, "at least two different"),
        ({"threshold": {}}, "not usable"),
        ({"threshold": {"value": 3}}, "do not fit"),
        ({"class_scores": [[1.0]]}, "do not fit"),
        ({"files": {}}, "does not list"),
        ({"files": {"../../etc/passwd": "0"}}, "lies outside the artefact"),
    ],
)
def test_a_foreign_manifest_is_refused(copy: Path, changes: dict[str, Any], problem: str) -> None:
    """Each thing that does not fit has its own message."""
    edit_manifest(copy, **changes)

    with pytest.raises(ArtifactError, match=problem):
        artifact.load(copy)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '"x"'])
def test_what_is_no_manifest_is_refused(copy: Path, content: str) -> None:
    """An empty, cut or foreign manifest.json is one clear error."""
    (copy / "manifest.json").write_text(content)

    with pytest.raises(ArtifactError, match="not a manifest"):
        artifact.load(copy)


def test_a_failed_save_leaves_the_old_artefact_alone(tmp_path: Path) -> None:
    """What is half-written never takes the place of what is whole, and leaves nothing behind."""
    folder = tmp_path / "model"
    with artifact.staged(folder) as stage:
        (stage / "a").write_text("old")

    def interrupted() -> None:
        with artifact.staged(folder) as stage:
            (stage / "a").write_text("new")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power"):
        interrupted()

    assert (folder / "a").read_text() == "old"
    assert list(tmp_path.iterdir()) == [folder]


def test_a_new_artefact_replaces_the_old_one_as_a_whole(tmp_path: Path) -> None:
    """Nothing of the old one stays."""
    folder = tmp_path / "model"
    for name in ("old", "new"):
        with artifact.staged(folder) as stage:
            (stage / name).write_text(name)

    assert [path.name for path in folder.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [folder]
