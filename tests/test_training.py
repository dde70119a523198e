import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from learnedrouter.classifier import artifact
from learnedrouter.classifier.assessment import label_scores
from learnedrouter.classifier.features import structural
from learnedrouter.classifier.model import TierClassifier
from learnedrouter.classifier.onnx import OnnxEncoder
from learnedrouter.classifier.window import TokenWindow
from learnedrouter.classifier.wording import opinions
from learnedrouter.errors import ArtifactError, DatasetError, InputError
from learnedrouter.tiers import DEFAULT_LADDER
from learnedrouter.training import dataset, wording
from learnedrouter.training.embed import Original, embed, load_model
from learnedrouter.training.examples import Labels
from learnedrouter.training.finetune import Recipe, fine_tune
from learnedrouter.training.fit import Sample, fit
from learnedrouter.training.halfway import joined
from learnedrouter.training.held_out import unseen
from learnedrouter.training.pipeline import TrainingPlan, train
from tests.made import quiet
from tests.tiny import make_model


def test_same_seed_and_data_give_the_same_decisions(
    small_data: Path, classifier: TierClassifier, embedding_cache: Path, tmp_path: Path
) -> None:
    """A second training cannot be told from the first by what it decides; it takes its embeddings from the cache."""
    steps: list[str] = []
    train(
        TrainingPlan(Labels((small_data,), DEFAULT_LADDER), tmp_path / "again", cache=embedding_cache),
        lambda step, done, total: steps.append(step),
    )
    asks = [row.ask for row in dataset.load([small_data / "test.jsonl"], DEFAULT_LADDER)]

    again = artifact.load(tmp_path / "again")

    assert "embedding" not in steps
    assert again.threshold == classifier.threshold
    np.testing.assert_array_equal(again.assess(asks).sufficiency, classifier.assess(asks).sufficiency)


def test_training_on_labels_is_the_sum_of_its_steps(small_data: Path, classifier: TierClassifier, embedding_cache: Path) -> None:
    """Embed, fit on the training rows, calibrate on the validation rows as served: the artefact decides as these steps by hand."""
    parts = dataset.split(dataset.load([small_data], DEFAULT_LADDER))
    asks = {name: [row.ask for row in part] for name, part in parts.items()}
    needed = {name: np.array([row.tier for row in part]) for name, part in parts.items()}
    model = joined(load_model("all-MiniLM-L6-v2", 128))
    window = TokenWindow(Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str()), 128)
    original = embed(Original(model), [window.shorten(ask.reading) for ask in asks["train"]], embedding_cache, quiet)
    learned = wording.fit(asks["train"], needed["train"], [row.group for row in parts["train"]], 0, quiet)
    served = {
        name: np.hstack([classifier.encoder.encode([ask.reading for ask in part])[0], structural(part), opinions(learned.wording, part)])
        for name, part in asks.items()
    }

    groups = {name: [row.group for row in part] for name, part in parts.items()}
    fitted_on = Sample(np.hstack([original, structural(asks["train"]), learned.opinions]), needed["train"], groups["train"])
    head = fit(fitted_on, Sample(served["validation"], needed["validation"], groups["validation"]), 768, 0, quiet).head

    expected = head.predict_proba(served["test"]) @ label_scores(4)
    np.testing.assert_allclose(classifier.assess(asks["test"]).sufficiency, expected, atol=1e-6)


def test_the_manifest_says_what_was_made_of_what(artifact_folder: Path) -> None:
    """Data hash, counts, threshold with its promise, library versions and parity stand in it; the card is written from it."""
    manifest = artifact.read_manifest(artifact_folder)

    assert manifest.data["train"] == 240
    assert len(manifest.data["sha256"]) == 64
    assert "under-route at most 3%" in manifest.threshold["solved_for"]
    assert manifest.metrics["parity"] >= 0.999
    assert manifest.libraries["scikit-learn"]
    card = (artifact_folder / "README.md").read_text()
    assert manifest.data["sha256"] in card
    assert "macro_f1" in card


def test_the_compiled_encoder_is_the_original(artifact_folder: Path, embedding_cache: Path) -> None:
    """Short, long, foreign and odd texts have the same embedding with and without torch."""
    encoder = OnnxEncoder(artifact_folder / "encoder")
    window = TokenWindow(Tokenizer.from_file(str(artifact_folder / "encoder/tokenizer.json")), encoder.spec.max_tokens)
    texts = ["hi", "Prove it.", "word " * 2_000, "Добрый день, 你好, صباح الخير", "x\u0000y", "\U0001f600" * 300, "{}" * 500, "a"]
    original = embed(
        Original(joined(load_model("all-MiniLM-L6-v2", encoder.spec.max_tokens))),
        [window.shorten(text) for text in texts],
        embedding_cache,
        quiet,
    )

    vectors, lengths = encoder.encode(texts)

    assert np.sum(vectors * original, axis=1).min() >= 0.999
    assert lengths[2] > encoder.spec.max_tokens
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-4)


def test_a_long_text_keeps_head_and_tail(artifact_folder: Path) -> None:
    """What stands at either end changes the embedding; the encoder never reads more than it can."""
    window = TokenWindow(Tokenizer.from_file(str(artifact_folder / "encoder/tokenizer.json")), 128)
    middle = "filler " * 1_000
    shortened = window.shorten(f"Translate this: {middle} and prove the theorem.")

    assert shortened.startswith("Translate this:")
    assert shortened.endswith("prove the theorem.")
    ((ids,), (length,)) = window.read([shortened])
    assert len(ids) == length <= 128


def test_int8_is_smaller_and_says_so(small_data: Path, artifact_folder: Path, embedding_cache: Path, tmp_path: Path) -> None:
    """Quantised weights take a quarter of the space; how far they differ stands in the manifest."""
    trained = train(TrainingPlan(Labels((small_data,), DEFAULT_LADDER), tmp_path / "int8", precision="int8", cache=embedding_cache), quiet)

    small, large = ((folder / "encoder/model.onnx").stat().st_size for folder in (tmp_path / "int8", artifact_folder))
    assert small < large / 3
    assert trained.parity is not None
    assert 0.9 < trained.parity < 1
    assert trained.manifest.metrics["parity"] == trained.parity


def test_fine_tuning_changes_the_encoder_and_is_compiled_with_it(small_data: Path, embedding_cache: Path, tmp_path: Path) -> None:
    """One epoch over a few rows: another encoder, faithfully compiled, and the card says so."""
    plan = TrainingPlan(
        Labels((small_data,), DEFAULT_LADDER), tmp_path / "tuned", max_tokens=32, recipe=Recipe(epochs=1), cache=embedding_cache
    )

    trained = train(plan, quiet)

    assert trained.parity is not None
    assert trained.parity >= 0.999
    assert "fine-tuned on the training rows for 1 epochs" in (tmp_path / "tuned/README.md").read_text()
    tuned, _ = OnnxEncoder(tmp_path / "tuned/encoder").encode(["translate this"])
    frozen = embed(Original(joined(load_model("all-MiniLM-L6-v2", 32))), ["translate this"], embedding_cache, quiet)
    assert np.sum(tuned * frozen) < 0.999


@pytest.mark.parametrize(("masked", "learned"), [(0.0, True), (1.0, False)])
def test_a_masked_token_teaches_nothing(masked: float, learned: bool, tmp_path: Path) -> None:
    """Hidden, a word's vector stays where it is, but for the decay of all weights; seen, it moves. The special tokens are never hidden."""
    model = load_model(str(make_model(tmp_path, "alpha beta gamma delta")), 32)
    vectors = model[0].auto_model.get_input_embeddings().weight
    before = vectors.detach().clone()

    fine_tune(model, ["alpha beta", "gamma delta"] * 8, np.array([0, 1] * 8), Recipe(epochs=2, masked=masked), 0, quiet)

    alpha, begin = model.tokenizer.convert_tokens_to_ids(["alpha", "[CLS]"])
    moved = (vectors - before).abs().max(dim=1).values
    assert bool(moved[alpha] > 1e-6) == learned
    assert moved[begin] > 1e-6


def test_lower_layers_move_less(tmp_path: Path) -> None:
    """The embeddings lie below all layers, and where a layer passes on next to none of its rate, stay as they are; the layer does not."""
    model = load_model(str(make_model(tmp_path, "alpha beta gamma delta")), 32)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}

    fine_tune(model, ["alpha beta", "gamma delta"] * 8, np.array([0, 1] * 8), Recipe(epochs=2, layer_decay=1e-9), 0, quiet)

    moved = {name: (parameter - before[name]).abs().max().item() for name, parameter in model.named_parameters()}
    assert max(change for name, change in moved.items() if ".embeddings." in name) < 1e-6
    assert max(change for name, change in moved.items() if ".layer.0." in name) > 1e-5


def test_rows_that_were_trained_on_are_not_evaluated_on(small_data: Path, artifact_folder: Path) -> None:
    """Of the whole data only the test split is left; of the training split, nothing, and that is an error."""
    rows = dataset.load([small_data], DEFAULT_LADDER)

    assert {row.split for row in unseen(rows, artifact_folder)} == {"test"}
    with pytest.raises(DatasetError, match="was trained on every row"):
        unseen([row for row in rows if row.split == "train"], artifact_folder)


@pytest.mark.parametrize("encoder", ["no/such/folder", "nobody/no-such-model"])
def test_an_encoder_that_is_not_there_is_named(small_data: Path, encoder: str, tmp_path: Path) -> None:
    """Neither a folder nor a hub name that cannot be loaded leaves anything behind."""
    with pytest.raises(InputError, match=f"encoder '{encoder}'"):
        train(TrainingPlan(Labels((small_data,), DEFAULT_LADDER), tmp_path / "x", encoder=encoder, cache=tmp_path / "cache"), quiet)

    assert not (tmp_path / "x").exists()


def test_too_little_data_is_refused(tmp_path: Path) -> None:
    """The error says what is missing, and nothing is left behind."""
    data = tmp_path / "few.jsonl"
    data.write_text(json.dumps({"id": "a", "prompt": "hello", "tier": "bulk"}) + "\n")

    with pytest.raises(DatasetError, match="no row falls into the"):
        train(TrainingPlan(Labels((data,), DEFAULT_LADDER), tmp_path / "x", cache=tmp_path / "cache"), quiet)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["few.jsonl"]


def test_a_missing_tier_is_refused(tmp_path: Path, embedding_cache: Path) -> None:
    """A tier that no training row shows cannot be learned; the old artefact stays."""
    rows = [{"id": f"{n}", "prompt": f"ask number {n}", "tier": ("bulk", "complex")[n % 2]} for n in range(120)]
    data = tmp_path / "few.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    old = tmp_path / "model"
    old.mkdir()

    with pytest.raises(InputError, match=r"none of the .* rows is of class 1"):
        train(TrainingPlan(Labels((data,), DEFAULT_LADDER), old, cache=embedding_cache), quiet)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["few.jsonl", "model"]


def test_a_damaged_cache_is_made_anew(tmp_path: Path) -> None:
    """A cut cache file costs time, not the training."""
    model = load_model("all-MiniLM-L6-v2", 128)
    first = embed(Original(model), ["one", "two"], tmp_path, quiet)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:100])

    np.testing.assert_allclose(embed(Original(model), ["one", "two"], tmp_path, quiet), first, atol=1e-6)


def test_an_unfaithful_encoder_is_refused(small_data: Path, embedding_cache: Path, tmp_path: Path) -> None:
    """A cosine under 0.999 in fp32 stops the training (a poisoned cache stands in for a faulty compiler)."""
    poisoned = tmp_path / "cache"
    poisoned.mkdir()
    for file in embedding_cache.glob("embeddings-*.npz"):
        with np.load(file) as stored:
            vectors = stored["vectors"][:, ::-1]
            np.savez(poisoned / file.name, keys=stored["keys"], vectors=vectors)

    with pytest.raises(ArtifactError, match="compiled, it differs from the original"):
        train(TrainingPlan(Labels((small_data,), DEFAULT_LADDER), tmp_path / "x", cache=poisoned), quiet)
    assert not (tmp_path / "x").exists()
