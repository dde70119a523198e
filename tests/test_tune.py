"""From a promise to a threshold in the artefact: the curve, the picture, and what writing changes."""

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from learnedrouter.classifier import artifact
from learnedrouter.errors import ArtifactError, DatasetError
from learnedrouter.tiers import DEFAULT_LADDER
from learnedrouter.training import dataset
from learnedrouter.training.examples import Labels
from learnedrouter.training.held_out import held_out, unseen
from learnedrouter.training.retune import write_threshold
from learnedrouter.training.threshold import curve, from_labels, pareto
from tests.conftest import ROOT
from tests.test_cli import run

SOLVED = {"value": 0.7, "solved_for": "under-route at most 0.1 of the requests with 90% confidence, on 60 rows", "feasible": True}


@pytest.fixture
def copy(artifact_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(artifact_folder, tmp_path / "small"))


def test_no_point_of_the_pareto_curve_beats_another() -> None:
    """Along it less is under-routed and more over-routed, strictly; every threshold is matched by a point of it."""
    rng = np.random.default_rng(2)
    probabilities = rng.dirichlet(np.ones(4), 300)
    needed = np.array([rng.choice(4, p=row) for row in probabilities])
    points = curve(probabilities.cumsum(axis=1), from_labels(needed, 4), 0.95)

    kept = pareto(points)

    assert all(one.under_routed > other.under_routed and one.over_routed < other.over_routed for one, other in pairwise(kept))
    assert all(any(best.under_routed <= point.under_routed and best.over_routed <= point.over_routed for best in kept) for point in points)


def test_a_written_threshold_is_the_artefacts_own(copy: Path) -> None:
    """It loads, decides by the new threshold, is a version of its own, and its card says what was solved for and what was not re-judged."""
    before = artifact.load(copy)

    manifest = write_threshold(copy, SOLVED, np.array([1, 2], dtype=np.uint64))

    after = artifact.load(copy)
    assert (after.threshold, after.name) == (0.7, manifest.name)
    assert after.name != before.name
    assert after.name.startswith("small@")
    card = (copy / "README.md").read_text(encoding="utf-8")
    assert f"- **Threshold**: 0.7 ({SOLVED['solved_for']}; the figures below on routing were taken at {before.threshold})" in card
    again = write_threshold(copy, SOLVED | {"value": 0.6}, np.array([3], dtype=np.uint64))
    assert again.threshold["judged_at"] == before.threshold
    assert artifact.load_tuned(copy).tolist() == [1, 2, 3]


def test_only_the_threshold_changes(copy: Path, artifact_folder: Path) -> None:
    """Head, encoder, measures and data are the same, byte by byte."""
    write_threshold(copy, SOLVED, np.array([1], dtype=np.uint64))
    old, new = artifact.read_manifest(artifact_folder), artifact.read_manifest(copy)

    assert {name for name in new.files if new.files[name] != old.files.get(name)} == {"README.md", "tuned.npy"}
    assert (new.data, new.metrics, new.libraries, new.class_scores) == (old.data, old.metrics, old.libraries, old.class_scores)


def test_rows_that_a_threshold_was_solved_on_judge_no_more(copy: Path, small_data: Path) -> None:
    """They are left out of an evaluation, as are those of the training; but another threshold may be solved on them."""
    source = Labels((small_data / "test.jsonl",), DEFAULT_LADDER)
    held = held_out(copy, artifact.load(copy), source)

    write_threshold(copy, SOLVED, held.fingerprints)

    with pytest.raises(DatasetError, match="was trained on every row"):
        unseen(dataset.load(source.paths, DEFAULT_LADDER), copy)
    assert held_out(copy, artifact.load(copy), source).asks == held.asks


def test_a_damaged_artefact_is_not_rewritten(copy: Path) -> None:
    """Sealing it anew would hide the damage."""
    (copy / "head.joblib").write_bytes(b"x")

    with pytest.raises(ArtifactError, match=r"head.joblib: changed since"):
        write_threshold(copy, SOLVED, np.array([1], dtype=np.uint64))


def test_tune_draws_writes_and_tells(copy: Path, small_data: Path, tmp_path: Path) -> None:
    """One command: the solution with its curve as JSON, the picture, and the artefact with the new threshold; a table where read by eye."""
    common = ("tune", "--artifact", copy, "--data", small_data / "test.jsonl")
    done = run(*common, "--max-under-route", "0.4", "--plot", tmp_path / "curve.png", "--write", "--json")
    shown = run(*common, "--max-usd-per-1k", "9", "--config", ROOT / "router.toml")

    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert {"threshold", "under_routed", "spared", "under_route_bound"} <= set(told["curve"][0])
    assert artifact.load(copy).threshold == told["threshold"]
    assert artifact.load(copy).name == told["written"]
    assert artifact.read_manifest(copy).threshold["solved_for"] == told["solved_for"]
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert "the Pareto curve" in shown.stdout.decode(), shown.stderr.decode()
    assert "usd_per_1k" in shown.stdout.decode()


@pytest.mark.parametrize("plot", ["curve.pdf", "no/such/folder/curve.png"])
def test_a_picture_that_cannot_be_drawn_is_refused_at_once(plot: str, artifact_folder: Path, small_data: Path) -> None:
    """Before anything is computed."""
    done = run("tune", "--artifact", artifact_folder, "--data", small_data, "--plot", plot)

    assert done.returncode == 2
    assert f"--plot {plot}: expected a .png file in a folder that exists" in done.stderr.decode()
