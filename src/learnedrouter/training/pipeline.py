"""The whole way from data files to an artefact."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from learnedrouter.classifier import artifact
from learnedrouter.classifier.encoder import OnnxEncoder, TokenWindow
from learnedrouter.classifier.features import FloatArray, IntArray, join, structural
from learnedrouter.classifier.model import TierClassifier, label_scores
from learnedrouter.errors import ArtifactError, DatasetError, InfeasibleError
from learnedrouter.tiers import Ladder
from learnedrouter.training import dataset, threshold
from learnedrouter.training.card import model_card
from learnedrouter.training.compile import MIN_COSINE, Precision, compile_onnx
from learnedrouter.training.dataset import LabelledRow
from learnedrouter.training.embed import DEFAULT_MAX_TOKENS, DEFAULT_MODEL, Progress, embed, load_model
from learnedrouter.training.evaluate import Report, evaluate, macro_f1
from learnedrouter.training.finetune import FROZEN, Recipe, fine_tune
from learnedrouter.training.fit import Sample, fit


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What to train, and how.

    Parameters
    ----------
    data
        Data files or folders.
    out
        The artefact's folder; replaced as a whole, and only when the new one is complete.
    ladder
        The tiers that the labels name.
    encoder
        A sentence-transformers model: a name or a folder.
    max_tokens
        What the encoder reads of an ask; a longer one keeps its head and its tail.
    precision
        Of the compiled encoder's weights.
    recipe
        How to fine-tune the encoder first; with 0 epochs, not at all.
    seed
        Of everything random.
    cache
        Folder that keeps embeddings between trainings.
    command
        How this training was asked for, for the model card.
    """

    data: tuple[Path, ...]
    out: Path
    ladder: Ladder
    encoder: str = DEFAULT_MODEL
    max_tokens: int = DEFAULT_MAX_TOKENS
    precision: Precision = "fp32"
    recipe: Recipe = FROZEN
    seed: int = 0
    cache: Path = Path(".cache/embeddings")
    command: str = ""


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training.

    Parameters
    ----------
    manifest
        What was written.
    report
        Figures on the test split.
    parity
        Smallest cosine between the compiled encoder and sentence-transformers, on the validation rows.
    """

    manifest: artifact.Manifest
    report: Report
    parity: float


def train(plan: TrainingPlan, progress: Progress) -> Trained:
    """Train on labels and write an artefact.

    The head is fitted on what sentence-transformers embeds; its calibration, the threshold and all figures come from the
    compiled encoder, as it will serve.

    Raises
    ------
    DatasetError
        The data cannot be used, or a split of it is empty.
    ArtifactError
        The compiled encoder does not do what the original does.
    """
    rows = dataset.load(plan.data, plan.ladder)
    parts = dataset.split(rows)
    for name, part in parts.items():
        if not part:
            raise DatasetError(plan.data[0], None, f"no row falls into the {name} split; expected at least some 20 groups of rows")
    model = load_model(plan.encoder, plan.max_tokens)
    window = TokenWindow(Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str()), model.max_seq_length or plan.max_tokens)
    readings = {name: [window.shorten(row.ask.reading) for row in part] for name, part in parts.items()}
    if plan.recipe.epochs:
        fine_tune(model, readings["train"], _tiers(parts["train"]), plan.recipe, plan.seed, progress)
    with artifact.staged(plan.out) as stage:
        progress("compiling the encoder", 0, 1)
        encoder = compile_onnx(model, plan.encoder, stage / artifact.ENCODER, plan.precision)
        progress("compiling the encoder", 1, 1)
        embeddings = embed(model, readings["train"] + readings["validation"], plan.cache, progress)
        boundary = len(parts["train"])
        train_sample = _sample(embeddings[:boundary], parts["train"])
        reference = _sample(embeddings[boundary:], parts["validation"])
        served, cosine = _served_sample(plan, encoder, parts["validation"], embeddings[boundary:])
        head, inverse_regularisation = fit(train_sample, served, encoder.dimension, plan.seed, progress)
        artifact.save_head(head, stage)
        untuned = TierClassifier(
            plan.ladder, encoder, artifact.load_head(stage / artifact.HEAD), label_scores(len(plan.ladder)), 0.0, plan.out.name
        )
        promise = _solve(untuned, parts["validation"])
        classifier = replace(untuned, threshold=promise["value"])
        progress("evaluating", 0, 1)
        report = evaluate(classifier, parts["test"], seed=plan.seed)
        progress("evaluating", 1, 1)
        counts: dict[str, Any] = {name: len(part) for name, part in parts.items()}
        made_from = counts | {"rows": len(rows), "sha256": data_hash(rows), "command": plan.command, "seed": plan.seed}
        compiled = {
            "precision": plan.precision,
            "parity": cosine,
            "validation_macro_f1": macro_f1(served.classes, head.predict_proba(served.features).argmax(axis=1)),
            "validation_macro_f1_before_compiling": macro_f1(reference.classes, head.predict_proba(reference.features).argmax(axis=1)),
            "C": inverse_regularisation,
        }
        np.save(stage / artifact.SEEN, np.sort(dataset.fingerprints(parts["train"] + parts["validation"])))
        card = model_card(plan.out.name, _encoder_shown(plan), compiled, promise, made_from, report)
        (stage / artifact.CARD).write_text(card, encoding="utf-8")
        manifest = artifact.seal(
            stage,
            plan.out.name,
            ladder=plan.ladder.names,
            class_scores=tuple(map(tuple, classifier.class_scores.tolist())),
            encoder=plan.encoder,
            dimension=encoder.dimension,
            threshold=promise,
            data=made_from,
            metrics={name: figure.value for name, figure in report.figures.items()} | compiled,
        )
    return Trained(manifest, report, cosine)


def _served_sample(plan: TrainingPlan, encoder: OnnxEncoder, rows: Sequence[LabelledRow], reference: FloatArray) -> tuple[Sample, float]:
    """Return `rows` as the compiled encoder sees them, and how far that is from the `reference`, as the smallest cosine."""
    vectors, _ = encoder.encode([row.ask.reading for row in rows])
    cosine = float(np.min(np.sum(vectors * reference, axis=1)))
    if plan.precision == "fp32" and cosine < MIN_COSINE:
        raise ArtifactError(
            f"encoder {plan.encoder!r}: compiled, it differs from the original (cosine {cosine:.5f}, expected {MIN_COSINE})"
        )
    return _sample(vectors, rows), cosine


def _encoder_shown(plan: TrainingPlan) -> str:
    tuned = f", fine-tuned on the training rows for {plan.recipe.epochs} epochs" if plan.recipe.epochs else ""
    return f"{plan.encoder}{tuned}"


def unseen(rows: Sequence[LabelledRow], folder: Path) -> list[LabelledRow]:
    """Return the rows that the artefact in `folder` was neither fitted nor tuned on.

    Raises
    ------
    DatasetError
        None is left.
    """
    known = np.isin(dataset.fingerprints(rows), artifact.load_seen(folder))
    left = [row for row, seen in zip(rows, known.tolist(), strict=True) if not seen]
    if not left:
        raise DatasetError(rows[0].where.rpartition(":")[0], None, f"{folder} was trained on every row; expected rows that it has not seen")
    return left


def data_hash(rows: Sequence[LabelledRow]) -> str:
    """Return the sha256 over the rows' requests and labels, whatever their order and files."""
    lines = sorted(f"{row.fingerprint:016x} {row.tier} {row.split or row.group}" for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _sample(embeddings: FloatArray, rows: Sequence[LabelledRow]) -> Sample:
    return Sample(join(embeddings, structural([row.ask for row in rows])), _tiers(rows))


def _tiers(rows: Sequence[LabelledRow]) -> IntArray:
    return np.array([row.tier for row in rows], dtype=np.intp)


def _solve(classifier: TierClassifier, rows: Sequence[LabelledRow]) -> dict[str, Any]:
    """Return the threshold for the default promise; where that is infeasible, the highest threshold, and so it is said."""
    assessment = classifier.assess([row.ask for row in rows])
    acceptable = threshold.from_labels(_tiers(rows), len(classifier.ladder))
    points = threshold.curve(assessment.sufficiency, acceptable, threshold.DEFAULT_CONFIDENCE)
    promise = f"under-route at most {threshold.DEFAULT_MAX_UNDER_ROUTE:.0%} with {threshold.DEFAULT_CONFIDENCE:.0%} confidence"
    try:
        point = threshold.solve(points, threshold.DEFAULT_MAX_UNDER_ROUTE)
    except InfeasibleError as error:
        return {"value": 1.0, "solved_for": f"{promise}: {error}", "feasible": False}
    return {
        "value": point.threshold,
        "solved_for": f"{promise}, on {len(rows)} validation rows",
        "feasible": True,
        "under_route_bound": point.under_route_bound,
        "spared": point.spared,
    }
