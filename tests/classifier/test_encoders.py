"""Every kind of encoder, from training to serving, on a small model."""

import json
import pickle
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import model2vec
import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding
from tokenizers import Tokenizer

from learnedrouter.batch import decisions
from learnedrouter.classifier import artifact
from learnedrouter.classifier.assessment import pool
from learnedrouter.classifier.encoder import EncoderSpec
from learnedrouter.classifier.kinds import load_encoder
from learnedrouter.classifier.model import FirstStage
from learnedrouter.classifier.static import StaticEncoder
from learnedrouter.cli_options import shaped_encoder
from learnedrouter.errors import ArtifactError
from learnedrouter.tiers import DEFAULT_LADDER
from learnedrouter.training.assess import assess
from learnedrouter.training.calibration import sufficiency_before, uncalibrated
from learnedrouter.training.distill import compile_static, distill
from learnedrouter.training.embed import load_model
from learnedrouter.training.examples import Labels
from learnedrouter.training.finetune import Recipe
from learnedrouter.training.pipeline import Shape, Trained, TrainingPlan, train
from tests.made import ask, quiet

TEXTS = ["hi", "Prove it.", "the word " * 2_000, "Добрый день, 你好", "x\u0000y", "{}" * 500, "please translate the sentence"]


def trained(shape: Shape, model: Path, data: Path, out: Path, recipe: Recipe = Recipe(epochs=0)) -> Trained:  # noqa: B008 (frozen)
    plan = TrainingPlan(Labels((data,), DEFAULT_LADDER), out, str(model), shape, max_tokens=64, recipe=recipe, cache=out.parent / "cache")
    return train(plan, quiet)


@pytest.fixture(scope="module")
def static(small_data: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("static") / "static"
    trained("static", tiny_model, small_data, folder)
    return folder


def test_a_static_encoder_reads_like_model2vec(static: Path) -> None:
    """The files are model2vec's, and so are the vectors; a long text apart, of which model2vec keeps the head alone."""
    ours = StaticEncoder(static / "encoder")
    short = [text for text in TEXTS if len(text) < 100]

    vectors, lengths = ours.encode(TEXTS)

    theirs = model2vec.StaticModel.from_pretrained(static / "encoder")
    cosines = np.sum(ours.encode(short)[0] * theirs.encode(short), axis=1)
    known = [
        not set(theirs.tokenize([text])[0]) <= {theirs.unk_token_id} and "[UNK]" not in theirs.tokenizer.encode(text).tokens
        for text in short
    ]
    np.testing.assert_allclose(cosines[known], 1, atol=1e-3)
    assert sum(known) >= 3
    assert vectors.shape == (len(TEXTS), ours.spec.dimension)
    assert lengths[2] > ours.spec.max_tokens


def test_a_text_reads_the_same_alone_and_in_company(static: Path) -> None:
    """Batches change nothing."""
    encoder = load_encoder(static / "encoder")

    np.testing.assert_array_equal(encoder.encode(TEXTS)[0], np.vstack([encoder.encode([text])[0] for text in TEXTS]))


def test_a_static_artefact_needs_nothing_but_numbers(static: Path) -> None:
    """It loads, decides, says who decided, and its second training takes everything from the cache."""
    classifier = artifact.load(static)
    line = json.dumps({"id": "1", "prompt": "translate the sentence"}).encode()

    (decision,) = decisions(classifier, [line], Path("-"))

    assert decision["encoder"] == "static"
    assert artifact.read_manifest(static).metrics["precision"] == "int8"
    assert "a static distillation, its token vectors tuned for 5 epochs" in (static / "README.md").read_text()


def test_a_token_is_distilled_by_itself(tiny_model: Path, tmp_path: Path) -> None:
    """Whatever length the model's own tokenizer pads texts to, as many published ones do."""
    plain, padding = (load_model(str(tiny_model), 64) for _ in range(2))
    padding.tokenizer.backend_tokenizer.enable_padding(length=64)
    padding.tokenizer.backend_tokenizer.enable_truncation(64)

    expected, found = (distill(model, "tiny", tmp_path / str(place), quiet) for place, model in enumerate((plain, padding)))

    np.testing.assert_allclose(found.vectors, expected.vectors, atol=1e-5)
    assert len(found.tokenizer.encode("the word")) < 10


def test_a_cascade_is_calibrated_by_both_of_its_heads(static: Path, small_data: Path, tiny_model: Path, tmp_path: Path) -> None:
    """Before calibration, each ask has the probabilities of the head that answers it now, without that head's temperature."""
    trained("onnx", tiny_model, small_data, tmp_path / "last")
    first, last = artifact.load(static), artifact.load(tmp_path / "last")
    asks = [ask(f"{text} {place}") for place, text in enumerate(TEXTS * 10)]
    surety = replace(last, first=FirstStage(first.encoder, first.head, 0.0)).assess_first(asks, last.glance(asks)).surety
    cascade = replace(last, first=FirstStage(first.encoder, first.head, float(np.median(surety)), weight=0.3))

    after = cascade.assess(asks)
    before = sufficiency_before(cascade, asks, after)

    assert before is not None
    assert {"static", "onnx"} == set(after.answered_by)
    stages = replace(last, encoder=first.encoder, head=first.head), last
    quick, slow = (replace(stage, head=uncalibrated(stage.head)).assess(asks) for stage in stages)
    pooled = pool(quick.probabilities, slow.probabilities, 0.3)
    for place, kind in enumerate(after.answered_by):
        raw = quick.probabilities if kind == "static" else pooled
        np.testing.assert_allclose(before[place], raw[place] @ last.class_scores, atol=1e-5)


def test_many_asks_are_judged_in_parts_as_they_are_one_by_one(static: Path) -> None:
    """In their order, whatever the part; no asks at all are judged, too."""
    classifier = artifact.load(static)
    asks = [ask(f"{text} {place}") for place, text in enumerate(TEXTS * 100)]

    found, alone = assess(classifier, asks), classifier.assess(asks)

    for name in ("sufficiency", "tokens", "truncated", "unfamiliar", "probabilities", "needed"):
        np.testing.assert_allclose(getattr(found, name), getattr(alone, name), atol=1e-12)
    np.testing.assert_array_equal(np.array(found.embeddings), np.array(alone.embeddings))
    assert found.answered_by == alone.answered_by
    assert assess(classifier, []).sufficiency.shape == (0, 4)


def test_a_second_training_takes_its_vectors_from_the_cache(static: Path, small_data: Path, tiny_model: Path) -> None:
    """Distilling and embedding are done once; the same seed gives the same artefact."""
    steps: list[str] = []
    plan = TrainingPlan(
        Labels((small_data,), DEFAULT_LADDER),
        static.parent / "again",
        str(tiny_model),
        "static",
        max_tokens=64,
        cache=static.parent / "cache",
    )

    train(plan, lambda step, done, total: steps.append(step))

    assert not {"distilling", "embedding"} & set(steps)
    asks = [ask(text) for text in TEXTS]
    np.testing.assert_array_equal(
        artifact.load(static.parent / "again").assess(asks).sufficiency, artifact.load(static).assess(asks).sufficiency
    )


@pytest.mark.parametrize("shape", ["onnx", "static"])
def test_an_encoder_is_sent_by_its_content(shape: Shape, small_data: Path, tiny_model: Path, tmp_path: Path) -> None:
    """It arrives where its folder is not, and can be sent on from there."""
    trained(shape, tiny_model, small_data, tmp_path / "model")
    encoder = load_encoder(tmp_path / "model/encoder")
    vectors, _ = encoder.encode(TEXTS)
    sent = pickle.dumps(encoder)
    shutil.rmtree(tmp_path / "model")

    arrived = pickle.loads(pickle.dumps(pickle.loads(sent)))

    np.testing.assert_array_equal(arrived.encode(TEXTS)[0], vectors)


def test_token_vectors_read_as_int8_what_they_read_in_full(tiny_model: Path, tmp_path: Path) -> None:
    """One scale for all of them cancels out."""
    tokens = distill(load_model(str(tiny_model), 64), "tiny", tmp_path / "cache", quiet)
    texts = ["Prove it.", "please translate the sentence"]

    found, _ = compile_static(tokens, "tiny", tmp_path / "static").encode(texts)

    for text, vector in zip(texts, found, strict=True):
        whole = tokens.vectors[tokens.tokenizer.encode(text, add_special_tokens=False).ids].sum(axis=0)
        assert vector @ whole / np.linalg.norm(whole) > 0.99


def test_a_cascade_is_two_heads_and_a_switch_point(small_data: Path, tiny_model: Path, tmp_path: Path) -> None:
    """Fine-tuned and not: where a switch point keeps the bound it stands in the manifest with what it does; else a plain word."""
    done = trained("cascade", tiny_model, small_data, tmp_path / "cascade", Recipe(epochs=1))

    classifier, told = artifact.load(tmp_path / "cascade"), done.manifest.cascade
    card = (tmp_path / "cascade/README.md").read_text()
    if told["feasible"]:
        assert classifier.first is not None
        assert (classifier.first.switch, classifier.first.weight) == (told["switch"], told["weight"])
        assert told["validation"]["macro_f1"] >= told["validation"]["alone"] - 0.005
        assert set(told["test"]) == {"share", "macro_f1", "alone", "first"}
    else:
        assert classifier.first is None
        assert "infeasible" in told["solved_for"]
        assert not (tmp_path / "cascade/first").exists()
    assert told["solved_for"] in card


def test_a_damaged_first_stage_is_refused(static: Path, small_data: Path, tmp_path: Path) -> None:
    """A cascade needs its switch point, and both encoders whole."""
    folder = Path(shutil.copytree(static, tmp_path / "copy"))
    shutil.copytree(static / "encoder", folder / "first/encoder")
    shutil.copy(static / "head.npz", folder / "first/head.npz")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"] = {
        str(p.relative_to(folder)): artifact._sha256(p) for p in folder.rglob("*") if p.is_file() and p.name != "manifest.json"
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))

    with pytest.raises(ArtifactError, match=r"not usable \('switch'\)"):
        artifact.load(folder)

    (folder / "manifest.json").write_text(json.dumps(manifest | {"cascade": {"switch": 0.7}}))
    assert artifact.load(folder).first is not None
    (folder / "first/encoder/model.safetensors").write_bytes(b"short")
    with pytest.raises(ArtifactError, match=r"first/encoder/model\.safetensors: changed"):
        artifact.load(folder)


def test_a_model_that_does_not_compile_serves_as_it_is(tiny_model: Path, small_data: Path, tmp_path: Path) -> None:
    """A bag of token vectors is no transformer: the artefact keeps the model itself, and says that it needs torch."""
    tokenizer = Tokenizer.from_file(str(tiny_model / "tokenizer.json"))
    vectors = np.random.default_rng(0).standard_normal((tokenizer.get_vocab_size(), 16)).astype(np.float32)
    bag = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=vectors), Normalize()], device="cpu")
    bag.save(str(tmp_path / "bag"), create_model_card=False)

    trained("onnx", tmp_path / "bag", small_data, tmp_path / "kept")

    classifier = artifact.load(tmp_path / "kept")
    assert classifier.encoder.spec.kind == "sentence-transformers"
    assert "needs torch to serve" in (tmp_path / "kept/README.md").read_text()
    vectors, lengths = classifier.encoder.encode(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(vectors[:2], axis=1), 1, atol=1e-4)
    assert len(lengths) == len(TEXTS)


def test_without_torch_it_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the model and what to install."""
    EncoderSpec("sentence-transformers", "some/model", 8, 16, "fp32").save(tmp_path)
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)

    with pytest.raises(ArtifactError, match=r"'some/model' was not compiled and needs torch to serve; install it with: pip install"):
        load_encoder(tmp_path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"kind": "onnx"}', "not a description of an encoder"),
        (
            '{"kind": "magic", "source": "x", "dimension": 1, "max_tokens": 1, "precision": "fp32"}',
            "kind 'magic', expected one of onnx",
        ),
        ('{"kind": "static", "source": "x", "dimension": 1, "max_tokens": 1, "precision": "int8"}', "not a static encoder"),
    ],
)
def test_what_is_no_encoder_is_refused(tmp_path: Path, content: str, problem: str) -> None:
    """The error names the file and what was expected."""
    (tmp_path / "encoder.json").write_text(content)

    with pytest.raises(ArtifactError, match=problem):
        load_encoder(tmp_path)


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("onnx", ("onnx", "all-MiniLM-L6-v2")),
        ("static", ("static", "all-MiniLM-L6-v2")),
        ("cascade:some/model", ("cascade", "some/model")),
        ("some/model", ("onnx", "some/model")),
    ],
)
def test_the_option_says_what_is_made_of_what(option: str, expected: tuple[str, str]) -> None:
    """A kind, a model, or both."""
    assert shaped_encoder(option) == expected
