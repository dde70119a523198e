"""Requests that are unlike everything in training: found, sent up, and seldom taken for one by mistake."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from learnedrouter.batch import decisions
from learnedrouter.classifier import artifact, familiarity
from learnedrouter.classifier.familiarity import SHAPE, Familiarity, shape
from learnedrouter.classifier.model import TierClassifier
from learnedrouter.config import load_settings
from learnedrouter.errors import ArtifactError
from learnedrouter.service.app import create_app
from learnedrouter.tiers import DEFAULT_LADDER, decide_unfamiliar
from learnedrouter.training import dataset, unfamiliar
from learnedrouter.training.threshold import route
from tests.conftest import ROOT
from tests.made import ask
from tests.service.running import fail, wait_until_ready


def entries(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (ROOT / "tests" / name).read_text(encoding="utf-8").splitlines()]


STRANGE = entries("strange.jsonl")
"""Base64, dumps, numbers, scripts that the data lacks, mash, ciphers: by these the measure was chosen, so it flatters itself on them."""

HELD_OUT = entries("strange_held_out.jsonl")
"""The same kinds and more, written by another hand when the measure was done."""

UNUSUAL = entries("unusual.jsonl")
"""Requests that look odd and are none: a question beside a string to decode, a formula, a table, another alphabet."""


@pytest.fixture(scope="module")
def rows() -> dict[str, list[dataset.LabelledRow]]:
    return dataset.split(dataset.load([ROOT / "data"], DEFAULT_LADDER))  # type: ignore[return-value]


@pytest.fixture(scope="module")
def fitted(rows: dict[str, list[dataset.LabelledRow]]) -> Familiarity:
    return unfamiliar.fit([row.ask for row in rows["train"]], [row.ask for row in rows["validation"]], seed=0)


def test_strange_inputs_are_found(fitted: Familiarity) -> None:
    """Seven of ten of the strange inputs that the measure was not chosen by, and of each kind whose signs themselves are strange."""
    found = fitted.unfamiliar([ask(entry["prompt"]) for entry in HELD_OUT])
    kinds = np.array([entry["kind"] for entry in HELD_OUT])

    assert found.mean() >= 0.7
    for kind in ("numbers", "rare_script", "symbols"):
        assert found[kinds == kind].mean() >= 0.7, kind


def test_a_request_that_looks_odd_mostly_passes(fitted: Familiarity) -> None:
    """Of odd-looking requests, each with a question in plain words, at most a quarter goes up."""
    assert fitted.unfamiliar([ask(entry["prompt"]) for entry in UNUSUAL]).mean() <= 0.25


def test_false_alarms_are_as_rare_as_promised(fitted: Familiarity, rows: dict[str, list[dataset.LabelledRow]]) -> None:
    """On the test split, which the cut-off has not seen, about one in a hundred: by chance not over two."""
    assert fitted.unfamiliar([row.ask for row in rows["test"]]).mean() <= 2 * unfamiliar.FALSE_ALARMS


def test_another_alphabet_is_what_training_lacks(rows: dict[str, list[dataset.LabelledRow]]) -> None:
    """Who trains on English alone has Russian, Arabic and Japanese requests escalated, and English ones not."""
    english = {name: [row.ask for row in part if row.language == "en"] for name, part in rows.items()}
    fitted = unfamiliar.fit(english["train"], english["validation"], seed=0)

    for language in ("ru", "ar", "ja"):
        foreign = [row.ask for row in rows["test"] if row.language == language and len(row.ask.text) >= 20]
        assert fitted.unfamiliar(foreign).mean() >= 0.8, language
    assert fitted.unfamiliar(english["test"]).mean() <= 2 * unfamiliar.FALSE_ALARMS


def test_few_held_out_rows_raise_no_alarm(rows: dict[str, list[dataset.LabelledRow]]) -> None:
    """Fifty rows cannot tell what one in a hundred is: then nothing is unfamiliar."""
    fitted = unfamiliar.fit([row.ask for row in rows["train"][:300]], [row.ask for row in rows["validation"][:50]], seed=0)

    assert not fitted.unfamiliar([ask(entry["prompt"]) for entry in STRANGE]).any()


@given(st.text(max_size=60))
def test_every_text_has_a_shape(text: str) -> None:
    """No text, however odd, breaks the measure: as many finite numbers as there are names."""
    found = shape(text, np.ones((2, familiarity.BUCKETS), dtype=np.float32))

    assert len(found) == len(SHAPE)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("text", ["", "a", "hi", "120", "\ud800", "\U0001f600"])
def test_the_shortest_are_never_unfamiliar(text: str, fitted: Familiarity) -> None:
    """Three signs have no shape."""
    assert not fitted.unfamiliar([ask(text)])[0]


def test_it_comes_back_as_it_was_saved(fitted: Familiarity, tmp_path: Path) -> None:
    """Plain arrays, no pickle; the same verdicts."""
    asks = [ask(entry["prompt"]) for entry in STRANGE]
    fitted.save(tmp_path / "f.npz")

    np.testing.assert_array_equal(Familiarity.load(tmp_path / "f.npz").distances(asks), fitted.distances(asks))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"means": np.zeros((3, 3))}, "means has the shape"),
        ({"cutoff": np.zeros(4)}, "cutoff has the shape"),
        ({"centre": np.array([{}], dtype=object)}, "not what a familiarity is saved as"),
    ],
)
def test_a_foreign_file_is_refused(change: dict[str, np.ndarray], problem: str, fitted: Familiarity, tmp_path: Path) -> None:
    """Another shape, or an object that would have to be unpickled, is one clear error."""
    path = tmp_path / "f.npz"
    fitted.save(path)
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **(arrays | change))

    with pytest.raises(ArtifactError, match=problem):
        Familiarity.load(path)


def test_an_artefact_carries_it(artifact_folder: Path, classifier: TierClassifier) -> None:
    """It lies under the sealed manifest, and the false-alarm rate on the test split stands in the figures and on the card."""
    manifest = artifact.read_manifest(artifact_folder)

    assert classifier.familiarity is not None
    assert artifact.FAMILIARITY in manifest.files
    assert 0 <= manifest.metrics["unfamiliar"] <= 0.1
    assert "| unfamiliar |" in (artifact_folder / "README.md").read_text(encoding="utf-8")


def test_an_older_artefact_never_says_unfamiliar(classifier: TierClassifier) -> None:
    """Without a measure nothing is unfamiliar, and routing believes what the head says."""
    old = replace(classifier, familiarity=None).assess([ask(entry["prompt"]) for entry in STRANGE[:5]])

    assert not old.unfamiliar.any()
    np.testing.assert_array_equal(old.believed, old.sufficiency)


def sure_of(classifier: TierClassifier, fitted: Familiarity) -> TierClassifier:
    return replace(classifier, familiarity=fitted)


def test_an_unfamiliar_request_goes_to_the_top(classifier: TierClassifier, fitted: Familiarity) -> None:
    """One at a time and all at once, at every threshold; the head's opinion is still told."""
    strange = STRANGE[0]["prompt"]
    (decision,) = decisions(sure_of(classifier, fitted), [json.dumps({"id": 1, "prompt": strange}).encode()], Path("-"))
    assessment = sure_of(classifier, fitted).assess([ask(strange)])

    assert (decision["tier"], decision["reasons"]) == ("complex", ["unfamiliar"])
    assert decision["sufficiency"]["bulk"] == pytest.approx(assessment.sufficiency[0, 0], abs=1e-5)
    for threshold in (0.0, 0.5, 1.0):
        assert route(assessment.believed, threshold).tolist() == [3]


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [(range(4), (3, ("unfamiliar",))), (range(2), (1, ("unfamiliar", "max_tier"))), (range(1, 2), (1, ("unfamiliar", "max_tier")))],
)
def test_the_callers_bounds_hold(allowed: range, expected: tuple[int, tuple[str, ...]]) -> None:
    """Whoever caps the tier caps the price, whatever is asked."""
    assert decide_unfamiliar(4, allowed) == expected


@pytest.fixture(scope="module")
def service(artifact_folder: Path, fitted: Familiarity, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The service over an artefact whose measure knows the whole data."""
    folder = Path(shutil.copytree(artifact_folder, tmp_path_factory.mktemp("known") / "small"))
    fitted.save(folder / artifact.FAMILIARITY)
    path = folder / artifact.MANIFEST
    manifest = json.loads(path.read_text())
    manifest["files"][artifact.FAMILIARITY] = hashlib.sha256((folder / artifact.FAMILIARITY).read_bytes()).hexdigest()
    path.write_text(json.dumps(manifest))
    with TestClient(create_app(load_settings(ROOT / "router.toml", artifact=folder, offline=True), fail)) as client:
        wait_until_ready(client)
        yield client


@pytest.mark.parametrize(
    ("options", "tier", "reasons"),
    [
        ({}, "complex", ["unfamiliar"]),
        ({"threshold": 0}, "complex", ["unfamiliar"]),
        ({"max_tier": "structured"}, "structured", ["unfamiliar", "max_tier"]),
        ({"tier": "bulk"}, "bulk", ["unfamiliar", "max_tier", "forced_tier"]),
    ],
)
def test_the_service_says_so(service: TestClient, options: dict[str, object], tier: str, reasons: list[str]) -> None:
    """Over HTTP: the reason, the top tier, and the caller's bounds."""
    answer = service.post("/route", json={"prompt": STRANGE[3]["prompt"], "dry_run": True, **options}).json()

    assert answer["decision"]["tier"] == tier
    assert answer["decision"]["reasons"] == reasons
