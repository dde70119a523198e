"""The whole way from data files to an artefact, the same for labels and for outcomes."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from learnedrouter.classifier import artifact
from learnedrouter.classifier.assessment import DEFAULT_ACCEPT, Assessment
from learnedrouter.classifier.features import FloatArray, structural
from learnedrouter.classifier.model import FirstStage, TierClassifier
from learnedrouter.classifier.wording import opinions
from learnedrouter.errors import InfeasibleError, InputError
from learnedrouter.training import borrowed, cascade, threshold, unfamiliar, wording
from learnedrouter.training.assess import assess
from learnedrouter.training.borrowed import Lender
from learnedrouter.training.card import model_card
from learnedrouter.training.compile import Precision
from learnedrouter.training.dataset import Split
from learnedrouter.training.distill import TUNED
from learnedrouter.training.embed import DEFAULT_CACHE, DEFAULT_MAX_TOKENS, DEFAULT_MODEL, Progress, load_model, shortened
from learnedrouter.training.examples import Examples, Findings, Labels, Outcomes, Task
from learnedrouter.training.finetune import FROZEN, Recipe, fine_tune
from learnedrouter.training.parallel import THREADS, Workers, workers
from learnedrouter.training.patterns import BoolMatrix, FloatMatrix
from learnedrouter.training.stages import Making, Stage, borrowed_stage, static_stage, transformer_stage

Shape = Literal["onnx", "static", "cascade"]
"""What is made: the compiled transformer, a static distillation of it, or both, the static one asked first."""

SHAPES: tuple[Shape, ...] = get_args(Shape)

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
        A sentence-transformers model, by its name or folder; or the folder of an artefact whose encoders are taken as they
        are: `shape`, `max_tokens`, `precision` and `tokens` are then the artefact's own.
    shape
        What is made of a model.
    max_tokens
        What the encoder reads of an ask; a longer one keeps its head and its tail.
    precision
        Of a compiled transformer's weights; token vectors are always int8.
    recipe
        How to fine-tune the encoder first; with 0 epochs, not at all. A static encoder alone is distilled from the encoder as it
        is: the transformer's fine-tuning is worth a point of its macro-F1, and hundreds of times the work.
    tokens
        How to tune a static encoder's token vectors.
    seed
        Of everything random.
    cache
        Folder that keeps embeddings between trainings.
    workers
        Where what can run side by side runs.
    command
        How this training was asked for, for the model card.
    """

    source: Labels | Outcomes
    out: Path
    encoder: str = DEFAULT_MODEL
    shape: Shape = "onnx"
    max_tokens: int = DEFAULT_MAX_TOKENS
    precision: Precision = "fp32"
    recipe: Recipe = FROZEN
    tokens: Recipe = TUNED
    seed: int = 0
    cache: Path = DEFAULT_CACHE
    workers: Workers = THREADS
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
        Smallest cosine between the compiled encoder and sentence-transformers, on the validation rows; None for a static one.
    """

    manifest: artifact.Manifest
    findings: Findings
    parity: float | None


def train(plan: TrainingPlan, progress: Progress) -> Trained:
    """Train and write an artefact.

    The head is fitted on what sentence-transformers embeds; its calibration, the switch point of a cascade, the threshold and
    all figures come from the compiled encoder, as it will serve.

    Raises
    ------
    DatasetError
        The data cannot be used.
    InputError
        The encoder cannot be loaded, tuned, distilled or compiled, or there are too few rows to learn from.
    """
    lent = borrowed.lender(plan.encoder)
    if lent and plan.recipe.epochs:
        raise InputError(f"encoder {plan.encoder}: is compiled, and cannot be fine-tuned; expected a sentence-transformers model")
    task = plan.source.task()
    with workers(plan.workers):
        train_rows = task.parts["train"]
        makers = _of_artifact(lent, train_rows) if lent else _of_model(plan, task, progress)
        learned = wording.fit_once(train_rows.asks, train_rows.classes, train_rows.groups, plan.seed, plan.cache, progress)
        judged = task.parts["validation"].asks
        beside: dict[Split, FloatArray] = {
            "train": np.hstack([structural(train_rows.asks), learned.opinions]),
            "validation": np.hstack([structural(judged), opinions(learned.wording, judged)]),
        }
        making = Making(task, plan.encoder, plan.precision, plan.seed, plan.cache, progress, beside)
        with artifact.staged(plan.out) as folder:
            stage = makers.last(making, folder)
            familiarity = unfamiliar.fit(task.parts["train"].asks, task.parts["validation"].asks, plan.seed)
            familiarity.save(folder / artifact.FAMILIARITY)
            if learned.wording:
                learned.wording.save(folder / artifact.WORDING)
            accept = float(task.about.get("accept", DEFAULT_ACCEPT))
            name = plan.out.name
            classifier = TierClassifier(
                task.ladder, stage.encoder, stage.head, task.class_scores, 0.0, name, familiarity, accept, wording=learned.wording
            )
            about: Mapping[str, Any] = {}
            if makers.first:
                classifier, about, believed = _with_first(makers.first, making, classifier, stage, folder)
            else:
                believed = classifier.holding(assess(classifier, judged), stage.held_out).believed
            promise = _solve(believed, task.parts["validation"].acceptable)
            progress("evaluating", 0, 1)
            findings = task.judge(replace(classifier, threshold=promise["value"]), plan.seed)
            progress("evaluating", 1, 1)
            manifest = _seal(plan, lent, task, stage, about, promise, findings, folder)
    return Trained(manifest, findings, stage.figures.get("parity"))


Maker = Callable[[Making, Path], Stage]
"""Makes a stage in a folder."""


class _Makers(NamedTuple):
    """What makes the stages of an artefact: the last one, or only one, and a static one before it in a cascade."""

    last: Maker
    first: Maker | None


def _of_model(plan: TrainingPlan, task: Task, progress: Progress) -> _Makers:
    """Return makers of stages of a sentence-transformers model, fine-tuned where it shall be."""
    model, train = load_model(plan.encoder, plan.max_tokens), task.parts["train"]
    if plan.recipe.epochs and plan.shape != "static":
        fine_tune(model, shortened(model, [ask.reading for ask in train.asks]), train.classes, plan.recipe, plan.seed, progress)
    static = partial(static_stage, model=model, recipe=plan.tokens)
    if plan.shape == "static":
        return _Makers(static, None)
    return _Makers(partial(transformer_stage, model=model, tuned=plan.recipe.epochs > 0), static if plan.shape == "cascade" else None)


def _of_artifact(lent: Lender, train: Examples) -> _Makers:
    """Return makers of stages with the encoders of an artefact."""
    tuned = bool(np.isin(train.fingerprints, artifact.load_seen(lent.folder)).any())
    first = partial(borrowed_stage, lender=lent.folder / artifact.FIRST, tuned=tuned) if lent.manifest.has_first else None
    return _Makers(partial(borrowed_stage, lender=lent.folder, tuned=tuned), first)


def _with_first(
    maker: Maker, making: Making, classifier: TierClassifier, stage: Stage, folder: Path
) -> tuple[TierClassifier, Mapping[str, Any], FloatMatrix]:
    """Put a static stage before the classifier, whose own is `stage`; leave it away where it does not pay.

    Returns the classifier, what the manifest says of it, and what it believes of the validation rows, ``(n, n_tiers)``.
    """
    part = folder / artifact.FIRST
    part.mkdir()
    static = maker(making, part)
    tried = replace(classifier, first=FirstStage(static.encoder, static.head, 0.0))
    validation, test = making.task.parts["validation"], making.task.parts["test"]
    first, last = (
        tried.holding(assessment, held_out)
        for assessment, held_out in zip(_both(tried, validation), (static.held_out, stage.held_out), strict=True)
    )
    weight = cascade.weigh(first.probabilities, last.probabilities, validation.classes)
    found = _opinions(tried, validation, first, last, weight)
    try:
        switch = cascade.solve(found)
    except InfeasibleError as error:
        shutil.rmtree(part)
        return classifier, {"feasible": False, "solved_for": str(error)}, last.believed
    about = cascade.described(switch, weight, found, _opinions(tried, test, *_both(tried, test), weight))
    joined = tried.joined(first.probabilities, last, weight)
    believed = np.where((first.surety >= switch)[:, None], first.believed, joined.believed)
    cascaded = replace(classifier, first=FirstStage(static.encoder, static.head, switch, weight))
    return cascaded, {**about, "static": dict(static.figures)}, believed


def _both(classifier: TierClassifier, examples: Examples) -> tuple[Assessment, Assessment]:
    """Return what either stage holds of all `examples` by itself."""
    glance = classifier.glance(examples.asks)
    return classifier.assess_first(examples.asks, glance), classifier.assess_last(examples.asks, glance)


def _opinions(classifier: TierClassifier, examples: Examples, first: Assessment, last: Assessment, weight: float) -> cascade.Opinions:
    joined, rows = classifier.joined(first.probabilities, last, weight), np.arange(len(examples.asks))
    foregone = joined.surety - joined.needed[rows, first.predicted]
    return cascade.Opinions(first.surety, first.predicted, joined.predicted, foregone, examples.acceptable.argmax(axis=1))


def _seal(
    plan: TrainingPlan,
    lent: Lender | None,
    task: Task,
    stage: Stage,
    cascade_about: Mapping[str, Any],
    promise: Mapping[str, Any],
    findings: Findings,
    folder: Path,
) -> artifact.Manifest:
    """Write what stands beside encoder and head: the rows that were seen, the card, and the manifest over all."""
    about = {**task.about, "command": plan.command, "seed": plan.seed}
    seen = [task.parts[name].fingerprints for name in FITTED_ON] + ([artifact.load_seen(lent.folder)] if lent else [])
    np.save(folder / artifact.SEEN, np.unique(np.concatenate(seen)))
    card = model_card(
        plan.out.name, lent.shown if lent else _encoder_shown(plan), stage.figures, cascade_about, promise, about, findings.section
    )
    (folder / artifact.CARD).write_text(card, encoding="utf-8")
    return artifact.seal(
        folder,
        plan.out.name,
        ladder=task.ladder.names,
        class_scores=tuple(map(tuple, task.class_scores.tolist())),
        encoder=lent.manifest.encoder if lent else plan.encoder,
        dimension=stage.encoder.spec.dimension,
        threshold=promise,
        data=about,
        metrics={**{name: figure.value for name, figure in findings.figures.items()}, **stage.figures},
        cascade=cascade_about,
    )


def _encoder_shown(plan: TrainingPlan) -> str:
    tuned = plan.recipe.epochs and plan.shape != "static"
    return f"{plan.encoder}{f', fine-tuned on the training rows for {plan.recipe.epochs} epochs' if tuned else ''}"


def _solve(believed: FloatMatrix, acceptable: BoolMatrix) -> dict[str, Any]:
    """Return the threshold for the default promise; where that is infeasible, the highest threshold, and so it is said.

    Parameters
    ----------
    believed : (n, n_tiers)
        What the classifier believes of the validation rows.
    acceptable : (n, n_tiers)
        What is true of them.
    """
    points = threshold.curve(believed, acceptable, threshold.DEFAULT_CONFIDENCE)
    promise = f"under-route at most {threshold.DEFAULT_MAX_UNDER_ROUTE:.0%} with {threshold.DEFAULT_CONFIDENCE:.0%} confidence"
    try:
        point = threshold.solve(points, threshold.DEFAULT_MAX_UNDER_ROUTE)
    except InfeasibleError as error:
        return {"value": 1.0, "solved_for": f"{promise}: {error}", "feasible": False}
    return {
        "value": point.threshold,
        "solved_for": f"{promise}, on {len(acceptable)} validation rows",
        "feasible": True,
        "under_route_bound": point.under_route_bound,
        "spared": point.spared,
    }
