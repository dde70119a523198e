"""Heads over the encoders of an artefact that is there already."""

from pathlib import Path

import pytest

from learnedrouter.classifier import artifact
from learnedrouter.errors import ArtifactError, InputError
from learnedrouter.tiers import DEFAULT_LADDER
from learnedrouter.training.examples import Labels, Outcomes
from learnedrouter.training.finetune import Recipe
from learnedrouter.training.folds import FoldsPlan, cross_validate
from learnedrouter.training.pipeline import TrainingPlan, train
from tests.made import quiet
from tests.outcome_world import rows, write


@pytest.fixture(scope="module")
def lender(small_data: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cascade."""
    out = tmp_path_factory.mktemp("lender") / "lender"
    plan = TrainingPlan(Labels((small_data,), DEFAULT_LADDER), out, str(tiny_model), "cascade", max_tokens=64, cache=out.parent / "cache")
    train(plan, quiet)
    return out


def test_encoders_are_taken_as_they_are(lender: Path, small_data: Path, tmp_path: Path) -> None:
    """The same files, under heads that are fitted anew."""
    train(TrainingPlan(Labels((small_data,), DEFAULT_LADDER), tmp_path / "new", str(lender), cache=tmp_path / "cache", seed=1), quiet)

    old, new = artifact.read_manifest(lender), artifact.read_manifest(tmp_path / "new")
    encoders = [name for name in old.files if "encoder/" in name]
    assert {name: new.files.get(name) for name in encoders} == {name: old.files[name] for name in encoders}
    assert new.encoder == old.encoder
    assert artifact.load(tmp_path / "new").encoder.spec == artifact.load(lender).encoder.spec
    assert f"borrowed from {old.name}; as it was compiled there" in (tmp_path / "new" / "README.md").read_text(encoding="utf-8")


def test_rows_that_the_lender_has_seen_stay_seen(lender: Path, tmp_path: Path) -> None:
    """Its encoder was tuned on them, so nobody shall judge the new artefact on them."""
    world = write(tmp_path / "rows.jsonl", rows(400))

    train(TrainingPlan(Outcomes((world,)), tmp_path / "new", str(lender), cache=tmp_path / "cache"), quiet)

    assert set(artifact.load_seen(lender).tolist()) < set(artifact.load_seen(tmp_path / "new").tolist())


def test_the_method_is_judged_with_a_borrowed_encoder_on_rows_that_it_has_not_seen(lender: Path, tmp_path: Path) -> None:
    """Cross-validation leaves the others out."""
    few, many = write(tmp_path / "few.jsonl", rows(300)), write(tmp_path / "many.jsonl", rows(600))
    train(TrainingPlan(Outcomes((few,)), tmp_path / "known", str(lender), cache=tmp_path / "cache"), quiet)
    seen = len(artifact.load_seen(tmp_path / "known")) - len(artifact.load_seen(lender))

    judged = [
        cross_validate(FoldsPlan(Outcomes((many,)), 3, str(folder), cache=tmp_path / "cache"), quiet).rows
        for folder in (lender, tmp_path / "known")
    ]

    assert judged == [600, 600 - seen]
    assert seen > 200


def test_a_compiled_encoder_cannot_be_fine_tuned(lender: Path, small_data: Path, tmp_path: Path) -> None:
    """One clear error, before any work."""
    plan = TrainingPlan(Labels((small_data,), DEFAULT_LADDER), tmp_path / "new", str(lender), recipe=Recipe(epochs=1))

    with pytest.raises(InputError, match=r"is compiled, and cannot be fine-tuned; expected a sentence-transformers model"):
        train(plan, quiet)


def test_a_damaged_lender_is_refused(lender: Path, small_data: Path, tmp_path: Path) -> None:
    """Nothing is borrowed from files that are not what their manifest says."""
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / artifact.MANIFEST).write_bytes((lender / artifact.MANIFEST).read_bytes())

    with pytest.raises(ArtifactError, match="is missing, though the manifest lists it"):
        train(TrainingPlan(Labels((small_data,), DEFAULT_LADDER), tmp_path / "new", str(damaged)), quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["damaged"]
