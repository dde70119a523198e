"""The whole way from data files to an artefact, the same for labels and for outcomes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from learnedrouter.classifier import artifact
from learnedrouter.classifier.encoder import OnnxEncoder
from learnedrouter.classifier.features import FloatArray, join, structural
from learnedrouter.classifier.model import DEFAULT_ACCEPT, TierClassifier
from learnedrouter.errors import ArtifactError, InfeasibleError
from learnedrouter.training import threshold, unfamiliar
from learnedrouter.training.card import model_card
from learnedrouter.training.compile import MIN_COSINE, Precision, compile_onnx
from learnedrouter.training.dataset import Split
from learnedrouter.training.embed import DEFAULT_MAX_TOKENS, DEFAULT_MODEL, Progress, embed, load_model, window_of
from learnedrouter.training.evaluate import macro_f1
from learnedrouter.training.examples import Examples, Findings, Labels, Outcomes, Task
from learnedrouter.training.finetune import FROZEN, Recipe, fine_tune
from learnedrouter.training.fit import Sample, fit

FITTED_ON: tuple[Split, ...] = ("train", "validation")
"""The splits whose rows an artefact remembers, so that nobody evaluates on them."""


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What to train, and how.

    Parameters
    ----------
    source
        What to learn from: labels or outcomes, and the tiers that they are about.
    out
        The artefact's folder; replaced as a whole, and only when the new one is complete.
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

    source: Labels | Outcomes
    out: Path
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
    findings
        On the test split.
    parity
        Smallest cosine between the compiled encoder and sentence-transformers, on the validation rows.
    """

    manifest: artifact.Manifest
    findings: Findings
    parity: float


@dataclass(frozen=True, slots=True)
class _FittedHead:
    """A head that lies in the artefact, and the figures of making it."""

    classifier: TierClassifier
    figures: Mapping[str, Any]


def train(plan: TrainingPlan, progress: Progress) -> Trained:
    """Train and write an artefact.

    The head is fitted on what sentence-transformers embeds; its calibration, the threshold and all figures come from the
    compiled encoder, as it will serve.

    Raises
    ------
    DatasetError
        The data cannot be used.
    InputError
        The encoder cannot be loaded or compiled, or there are too few rows to learn from.
    """
    task = plan.source.task()
    model = load_model(plan.encoder, plan.max_tokens)
    window = window_of(model)
    readings = {name: [window.shorten(ask.reading) for ask in task.parts[name].asks] for name in FITTED_ON}
    if plan.recipe.epochs:
        fine_tune(model, readings["train"], task.parts["train"].classes, plan.recipe, plan.seed, progress)
    with artifact.staged(plan.out) as stage:
        progress("compiling the encoder", 0, 1)
        encoder = compile_onnx(model, plan.encoder, stage / artifact.ENCODER, plan.precision)
        progress("compiling the encoder", 1, 1)
        embeddings = embed(model, readings["train"] + readings["validation"], plan.cache, progress)
        fitted = _fit(plan, task, encoder, embeddings, stage, progress)
        promise = _solve(fitted.classifier, task.parts["validation"])
        progress("evaluating", 0, 1)
        findings = task.judge(replace(fitted.classifier, threshold=promise["value"]), plan.seed)
        progress("evaluating", 1, 1)
        manifest = _seal(plan, task, fitted, promise, findings, stage)
    return Trained(manifest, findings, fitted.figures["parity"])


def _fit(plan: TrainingPlan, task: Task, encoder: OnnxEncoder, embeddings: FloatArray, stage: Path, progress: Progress) -> _FittedHead:
    """Fit the head on the training rows' `embeddings`, calibrate it on the validation rows as served, and write it to `stage`."""
    train, validation = task.parts["train"], task.parts["validation"]
    boundary = len(train.asks)
    reference = _sample(embeddings[boundary:], validation)
    served, cosine = _served_sample(plan, encoder, validation, embeddings[boundary:])
    head, inverse_regularisation = fit(_sample(embeddings[:boundary], train), served, encoder.dimension, plan.seed, progress)
    artifact.save_head(head, stage)
    loaded = artifact.load_head(stage / artifact.HEAD)
    figures = {
        "precision": plan.precision,
        "parity": cosine,
        "validation_macro_f1": macro_f1(served.classes, head.predict_proba(served.features).argmax(axis=1)),
        "validation_macro_f1_before_compiling": macro_f1(reference.classes, head.predict_proba(reference.features).argmax(axis=1)),
        "C": inverse_regularisation,
    }
    accept = float(task.about.get("accept", DEFAULT_ACCEPT))
    familiarity = unfamiliar.fit(train.asks, validation.asks, plan.seed)
    familiarity.save(stage / artifact.FAMILIARITY)
    return _FittedHead(TierClassifier(task.ladder, encoder, loaded, task.class_scores, 0.0, plan.out.name, familiarity, accept), figures)


def _seal(
    plan: TrainingPlan, task: Task, fitted: _FittedHead, promise: Mapping[str, Any], findings: Findings, stage: Path
) -> artifact.Manifest:
    """Write what stands beside encoder and head: the rows that were seen, the card, and the manifest over all."""
    about = {**task.about, "command": plan.command, "seed": plan.seed}
    np.save(stage / artifact.SEEN, np.sort(np.concatenate([task.parts[name].fingerprints for name in FITTED_ON])))
    card = model_card(plan.out.name, _encoder_shown(plan), fitted.figures, promise, about, findings.section)
    (stage / artifact.CARD).write_text(card, encoding="utf-8")
    return artifact.seal(
        stage,
        plan.out.name,
        ladder=task.ladder.names,
        class_scores=tuple(map(tuple, task.class_scores.tolist())),
        encoder=plan.encoder,
        dimension=fitted.classifier.encoder.dimension,
        threshold=promise,
        data=about,
        metrics={**{name: figure.value for name, figure in findings.figures.items()}, **fitted.figures},
    )


def _served_sample(plan: TrainingPlan, encoder: OnnxEncoder, examples: Examples, reference: FloatArray) -> tuple[Sample, float]:
    """Return examples as the compiled encoder sees them, and how far that is from the `reference`, as the smallest cosine."""
    vectors, _ = encoder.encode([ask.reading for ask in examples.asks])
    cosine = float(np.min(np.sum(vectors * reference, axis=1)))
    if plan.precision == "fp32" and cosine < MIN_COSINE:
        raise ArtifactError(
            f"encoder {plan.encoder!r}: compiled, it differs from the original (cosine {cosine:.5f}, expected {MIN_COSINE})"
        )
    return _sample(vectors, examples), cosine


def _encoder_shown(plan: TrainingPlan) -> str:
    tuned = f", fine-tuned on the training rows for {plan.recipe.epochs} epochs" if plan.recipe.epochs else ""
    return f"{plan.encoder}{tuned}"


def _sample(embeddings: FloatArray, examples: Examples) -> Sample:
    return Sample(join(embeddings, structural(examples.asks)), examples.classes)


def _solve(classifier: TierClassifier, examples: Examples) -> dict[str, Any]:
    """Return the threshold for the default promise; where that is infeasible, the highest threshold, and so it is said."""
    believed = classifier.assess(examples.asks).believed
    points = threshold.curve(believed, examples.acceptable, threshold.DEFAULT_CONFIDENCE)
    promise = f"under-route at most {threshold.DEFAULT_MAX_UNDER_ROUTE:.0%} with {threshold.DEFAULT_CONFIDENCE:.0%} confidence"
    try:
        point = threshold.solve(points, threshold.DEFAULT_MAX_UNDER_ROUTE)
    except InfeasibleError as error:
        return {"value": 1.0, "solved_for": f"{promise}: {error}", "feasible": False}
    return {
        "value": point.threshold,
        "solved_for": f"{promise}, on {len(examples.asks)} validation rows",
        "feasible": True,
        "under_route_bound": point.under_route_bound,
        "spared": point.spared,
    }
