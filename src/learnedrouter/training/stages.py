"""Making one stage of a classifier: an encoder, compiled, and a head that is fitted and calibrated on it."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sentence_transformers import SentenceTransformer

from learnedrouter.classifier import heads
from learnedrouter.classifier.artifact import ENCODER
from learnedrouter.classifier.encoder import Encoder
from learnedrouter.classifier.features import FloatArray
from learnedrouter.classifier.folded import FOLDED, HEAD, FoldedHead
from learnedrouter.classifier.kinds import load_encoder
from learnedrouter.classifier.model import Head
from learnedrouter.errors import ArtifactError
from learnedrouter.training.compile import MIN_COSINE, Precision, compile_transformer
from learnedrouter.training.dataset import Split
from learnedrouter.training.distill import compile_static, distill, tune
from learnedrouter.training.embed import Compiled, Original, Progress, embed, shortened
from learnedrouter.training.evaluate import macro_f1
from learnedrouter.training.examples import Task
from learnedrouter.training.finetune import Recipe
from learnedrouter.training.fit import Sample, fit
from learnedrouter.training.patterns import FloatMatrix


@dataclass(frozen=True, slots=True)
class Making:
    """What the stages of one training share.

    Parameters
    ----------
    task
        What to learn.
    source
        The name of the encoder that all begins with.
    precision
        Of a compiled transformer's weights.
    seed
        Of everything random.
    cache
        Folder that keeps embeddings and distillations between trainings.
    progress
        Told how far it is.
    beside
        What stands beside the embeddings in the head's input, by split: structural features, and what the words say. Of the
        training rows, models say it that have not seen them.
    """

    task: Task
    source: str
    precision: Precision
    seed: int
    cache: Path
    progress: Progress
    beside: Mapping[Split, FloatArray]


@dataclass(frozen=True, slots=True)
class Stage:
    """An encoder and its head, as they will serve.

    Parameters
    ----------
    encoder, head
        The parts.
    held_out : (n, n_classes)
        What is held of the validation rows without having been fitted on them; see `fit.Fitted`.
    figures
        Of making them.
    """

    encoder: Encoder
    head: Head
    held_out: FloatMatrix
    figures: Mapping[str, Any]


def transformer_stage(making: Making, folder: Path, model: SentenceTransformer, *, tuned: bool) -> Stage:
    """Compile the model into `folder`, and fit its head on what sentence-transformers embeds; calibration is on the compiled encoder.

    Parameters
    ----------
    model
        Fine-tuned already where it shall be.
    tuned
        Whether it was, on the training rows.

    Raises
    ------
    ArtifactError
        Compiled in full precision, the encoder is not what it was.
    """
    making.progress("compiling the encoder", 0, 1)
    encoder, model, uncompiled = compile_transformer(model, making.source, folder / ENCODER, making.precision)
    making.progress("compiling the encoder", 1, 1)
    train, validation = making.task.parts["train"], making.task.parts["validation"]
    readings = [ask.reading for ask in (*train.asks, *validation.asks)]
    if not uncompiled:
        readings = shortened(model, readings)
    embeddings = embed(Original(model), readings, making.cache, making.progress)
    served, _ = encoder.encode([ask.reading for ask in validation.asks])
    cosine = float(np.min(np.sum(served * embeddings[len(train.asks) :], axis=1)))
    if making.precision == "fp32" and cosine < MIN_COSINE:
        raise ArtifactError(
            f"encoder {making.source!r}: compiled, it differs from the original (cosine {cosine:.5f}, expected {MIN_COSINE})"
        )
    fitted_on, calibrated_on = _sample(making, "train", embeddings[: len(train.asks)]), _sample(making, "validation", served)
    stage = _fitted(making, folder, encoder, fitted_on, calibrated_on, seen=tuned)
    how = f"not compiled, needs torch to serve ({uncompiled})" if uncompiled else f"compiled to ONNX in {making.precision}"
    return replace(stage, figures={**stage.figures, "precision": encoder.spec.precision, "compiled": how, "parity": cosine})


def static_stage(making: Making, folder: Path, model: SentenceTransformer, recipe: Recipe) -> Stage:
    """Distil the model into `folder`, tune the token vectors on the training rows, and fit their head.

    Raises
    ------
    InputError
        The model cannot be distilled.
    """
    train = making.task.parts["train"]
    tokens = distill(model, making.source, making.cache, making.progress)
    if recipe.epochs:
        tokens = tune(tokens, [ask.reading for ask in train.asks], train.classes, recipe, making.seed, making.cache, making.progress)
    encoder = compile_static(tokens, making.source, folder / ENCODER)
    return _compiled_stage(making, folder, encoder, f"a static distillation, its token vectors tuned for {recipe.epochs} epochs")


def borrowed_stage(making: Making, folder: Path, lender: Path, *, tuned: bool) -> Stage:
    """Copy the compiled encoder that lies in `lender` into `folder`, and fit a head of its own.

    Parameters
    ----------
    tuned
        Whether it may have been tuned on some of the training rows.
    """
    shutil.copytree(lender / ENCODER, folder / ENCODER)
    return _compiled_stage(making, folder, load_encoder(folder / ENCODER), "as it was compiled there", seen=tuned)


def _compiled_stage(making: Making, folder: Path, encoder: Encoder, how: str, *, seen: bool = False) -> Stage:
    """Fit the head of an encoder that lies in `folder` as it will serve."""
    train, validation = making.task.parts["train"], making.task.parts["validation"]
    readings = [ask.reading for ask in (*train.asks, *validation.asks)]
    vectors = embed(Compiled(encoder, folder / ENCODER), readings, making.cache, making.progress)
    fitted_on = _sample(making, "train", vectors[: len(train.asks)])
    calibrated_on = _sample(making, "validation", vectors[len(train.asks) :])
    stage = _fitted(making, folder, encoder, fitted_on, calibrated_on, seen=seen)
    return replace(stage, figures={**stage.figures, "precision": encoder.spec.precision, "compiled": how})


def _fitted(making: Making, folder: Path, encoder: Encoder, train: Sample, validation: Sample, *, seen: bool = False) -> Stage:
    """Fit the head, calibrate it on the validation rows as served, and write it to `folder`."""
    fitted = fit(train, validation, encoder.spec.dimension, making.seed, making.progress, seen=seen)
    heads.save_head(fitted.head, folder)
    serving: Head = FoldedHead.load(folder / FOLDED) if (folder / FOLDED).is_file() else heads.load_head(folder / HEAD)
    figures = {
        "validation_macro_f1": macro_f1(validation.classes, fitted.held_out.argmax(axis=1)),
        "C": fitted.regularisation.inverse,
        "embedding_weight": fitted.regularisation.embedding_weight,
        "head_fitted_on": fitted.fitted_on,
    }
    return Stage(encoder, serving, fitted.held_out, figures)


def _sample(making: Making, split: Split, embeddings: FloatArray) -> Sample:
    part = making.task.parts[split]
    return Sample(np.hstack([embeddings, making.beside[split]]), part.classes, part.groups)
