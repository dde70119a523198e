"""The whole way from data files to an artefact."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from learnedrouter.classifier import artifact
from learnedrouter.classifier.encoder import OnnxEncoder
from learnedrouter.classifier.features import FloatArray, IntArray, join, structural
from learnedrouter.classifier.model import TierClassifier, label_scores
from learnedrouter.errors import ArtifactError, DatasetError, InfeasibleError
from learnedrouter.tiers import Ladder
from learnedrouter.training import dataset, threshold
from learnedrouter.training.card import model_card
from learnedrouter.training.compile import MIN_COSINE, Precision, compile_onnx, parity
from learnedrouter.training.dataset import LabelledRow
from learnedrouter.training.embed import DEFAULT_MODEL, Progress, embed, load_model
from learnedrouter.training.evaluate import Report, evaluate
from learnedrouter.training.fit import fit


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
    precision
        Of the compiled encoder's weights.
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
    precision: Precision = "fp32"
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

    The head is fitted on what sentence-transformers embeds; the threshold and all figures come from the compiled
    encoder, as it will serve.

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
    model = load_model(plan.encoder)
    with artifact.staged(plan.out) as stage:
        progress("compiling the encoder", 0, 1)
        encoder = compile_onnx(model, plan.encoder, stage / artifact.ENCODER, plan.precision)
        progress("compiling the encoder", 1, 1)
        fitted_on = parts["train"] + parts["validation"]
        embeddings = embed(model, [encoder.shorten(row.ask.reading) for row in fitted_on], plan.cache, progress)
        boundary = len(parts["train"])
        cosine = _checked_parity(plan, encoder, parts["validation"], embeddings[boundary:])
        inverse_regularisation = _fit_head(plan, stage, parts["train"], embeddings[:boundary], progress)
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
        np.save(stage / artifact.SEEN, np.sort(dataset.fingerprints(fitted_on)))
        card = model_card(plan.out.name, f"{plan.encoder}, {plan.precision}, parity {cosine:.5f}", promise, made_from, report)
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
            metrics={name: figure.value for name, figure in report.figures.items()} | {"parity": cosine, "C": inverse_regularisation},
        )
    return Trained(manifest, report, cosine)


def _checked_parity(plan: TrainingPlan, encoder: OnnxEncoder, rows: Sequence[LabelledRow], reference: FloatArray) -> float:
    cosine = parity(encoder, [row.ask.reading for row in rows], reference)
    if plan.precision == "fp32" and cosine < MIN_COSINE:
        raise ArtifactError(
            f"encoder {plan.encoder!r}: compiled, it differs from the original (cosine {cosine:.5f}, expected {MIN_COSINE})"
        )
    return cosine


def _fit_head(plan: TrainingPlan, stage: Path, rows: Sequence[LabelledRow], embeddings: FloatArray, progress: Progress) -> float:
    features = join(embeddings, structural([row.ask for row in rows]))
    head, inverse_regularisation = fit(features, _tiers(rows), [row.group for row in rows], embeddings.shape[1], plan.seed, progress)
    artifact.save_head(head, stage)
    return inverse_regularisation


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


def _tiers(rows: Sequence[LabelledRow]) -> IntArray:
    return np.array([row.tier for row in rows], dtype=np.intp)


def _solve(classifier: TierClassifier, rows: Sequence[LabelledRow]) -> dict[str, Any]:
    """Return the threshold for the default promise; where that is infeasible, the highest threshold, and so it is said."""
    assessment = classifier.assess([row.ask for row in rows])
    points = threshold.curve(assessment.sufficiency, _tiers(rows), threshold.DEFAULT_CONFIDENCE)
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
