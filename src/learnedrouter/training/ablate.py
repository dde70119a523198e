"""Which structural features pay, what the words do, and how the method does on worlds and families that it has never seen.

Both are about the method on labels, not about one artefact: heads are fitted on frozen embeddings, which are cached. An ablation fits
on the training split without some features and judges on the validation split; the test split takes part in neither.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits

from learnedrouter.classifier.features import FEATURES, FloatArray, IntArray, structural
from learnedrouter.classifier.wording import opinions
from learnedrouter.errors import InputError
from learnedrouter.training import dataset, wording
from learnedrouter.training.dataset import LabelledRow
from learnedrouter.training.embed import DEFAULT_MAX_TOKENS, Progress, embed_readings, load_model
from learnedrouter.training.evaluate import Figure, bootstrap, macro_f1
from learnedrouter.training.examples import Labels
from learnedrouter.training.fit import BESIDE, FOR_FROZEN, TRIED, make_head
from learnedrouter.training.halfway import joined

GROUPS: Mapping[str, tuple[str, ...]] = {
    "length": ("log_characters", "log_lines", "log_last_line"),
    "signs": ("question_marks", "digit_share", "numbers", "longest_number", "maths_signs", "non_ascii_share"),
    "code": ("code_signs",),
    "form": ("form_words", "placeholders", "options", "machine_form"),
    "system prompt": ("log_system", "system_form_words", "system_placeholders"),
    "conversation": ("follows_up",),
}
"""Features that stand for one thing, and are left out together."""


_FROZEN = tuple(tried for tried in TRIED if tried.embedding_weight > 1)
"""What frozen embeddings may want."""


@dataclass(frozen=True, slots=True)
class Ablated:
    """What leaving something out does, on the validation split.

    Parameters
    ----------
    without
        What was left out.
    macro_f1
        With its interval.
    change
        Of macro-F1 against all features, on the same resamples: below 0 the features paid.
    log_loss
        The same without intervals, a finer measure.
    """

    without: str
    macro_f1: Figure
    change: Figure
    log_loss: float


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How the method does on what it has not seen anything like.

    Parameters
    ----------
    by
        What was left out, a fold at a time: worlds, or families.
    names
        How many there are.
    rows
        How many rows were judged.
    macro_f1
        Of the pooled predictions.
    within
        The same where folds are drawn by group alone, so that every world is known from other rows: the price of the unknown is
        the difference.
    worst
        The hardest of the larger ones: rows and accuracy.
    """

    by: str
    names: int
    rows: int
    macro_f1: Figure
    within: Figure
    worst: Mapping[str, tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Embedded:
    """Rows, as the head sees them but for what their words say: that depends on the rows which a head is fitted on."""

    rows: Sequence[LabelledRow]
    features: FloatArray
    needed: IntArray
    dimension: int


def embedded(source: Labels, encoder: str, cache: Path, progress: Progress) -> Embedded:
    """Return the training and validation rows of `source`, embedded by the frozen encoder.

    Raises
    ------
    InputError
        The data or the encoder cannot be used.
    """
    parts = dataset.split(dataset.load(source.paths, source.ladder))
    rows = [*parts["train"], *parts["validation"]]
    if not parts["train"] or not parts["validation"]:
        raise InputError("too few rows: expected some in the training and in the validation split")
    model = joined(load_model(encoder, DEFAULT_MAX_TOKENS))
    vectors = embed_readings(model, [row.ask.reading for row in rows], cache, progress)
    needed = np.array([row.tier for row in rows], dtype=np.intp)
    return Embedded(rows, np.hstack([vectors, structural([row.ask for row in rows])]), needed, vectors.shape[1])


def ablate(held: Embedded, progress: Progress, *, seed: int = 0) -> list[Ablated]:
    """Return what leaving out each of `GROUPS`, all of them, the words, and the embedding does; first, what all together have."""
    fitted = np.array([dataset.home(row) == "train" for row in held.rows])
    inside, outside = _with_words(held, np.flatnonzero(fitted), np.flatnonzero(~fitted), seed, progress)
    truth, names = held.needed[~fitted], list(FEATURES)
    everything = list(range(inside.shape[1]))
    words = everything[held.features.shape[1] :]
    kept: dict[str, list[int]] = {"nothing": everything}
    for group, members in GROUPS.items():
        kept[group] = [column for column in everything if column - held.dimension not in {names.index(name) for name in members}]
    kept["all structural features"] = everything[: held.dimension] + words
    kept["the words"] = everything[: held.features.shape[1]]
    kept["the words and all structural features"] = everything[: held.dimension]
    kept["the embedding"] = everything[held.dimension :]
    predicted: dict[str, IntArray] = {}
    found = []
    for done, (name, columns) in enumerate(kept.items(), 1):
        dimension = sum(column < held.dimension for column in columns)
        probabilities, loss = _best(inside[:, columns], held.needed[fitted], outside[:, columns], truth, dimension, seed)
        predicted[name] = probabilities.argmax(axis=1)
        found.append(
            Ablated(
                name,
                bootstrap(_measure(truth, predicted[name]), len(truth), seed),
                bootstrap(_measure(truth, predicted[name], predicted["nothing"]), len(truth), seed),
                loss,
            )
        )
        progress("ablating", done, len(kept))
    return found


def leave_out(held: Embedded, by: str, name_of: Callable[[LabelledRow], str], folds: int, progress: Progress, *, seed: int = 0) -> LeftOut:
    """Return how heads do on rows whose world or family none of the rows they were fitted on has.

    Parameters
    ----------
    by
        What is left out, in words.
    name_of
        Gives a row's.
    folds
        In which the names are left out.

    Raises
    ------
    InputError
        There are fewer names than folds.
    """
    names = [name_of(row) for row in held.rows]
    if len(set(names)) < folds:
        raise InputError(f"{by}: there are {len(set(names))}, expected at least {folds} to leave out in as many folds")
    own = _out_of_fold(held, names, by, folds, progress, seed)
    within = _out_of_fold(held, [row.group for row in held.rows], "groups", folds, progress, seed)
    right, of = own == held.needed, np.array(names)
    sizes = {name: int((of == name).sum()) for name in set(names)}
    worst = sorted((float(right[of == name].mean()), name) for name, size in sizes.items() if size >= 20)[:10]
    return LeftOut(
        by,
        len(set(names)),
        len(names),
        bootstrap(_measure(held.needed, own), len(names), seed),
        bootstrap(_measure(held.needed, within), len(names), seed),
        {name: (sizes[name], accuracy) for accuracy, name in worst},
    )


def world_of(row: LabelledRow) -> str:
    """Return the world that a row's id begins with: what stands before the last dash, as in ``dev-ops-017``."""
    return row.id.rpartition("-")[0] or row.id


def _measure(truth: IntArray, own: IntArray, other: IntArray | None = None) -> Callable[[IntArray], float]:
    """Return what gives the macro-F1 of rows, or by how much it is over another prediction's."""
    if other is None:
        return lambda at: macro_f1(truth[at], own[at])
    return lambda at: macro_f1(truth[at], own[at]) - macro_f1(truth[at], other[at])


def _best(
    inside: FloatArray, classes: IntArray, outside: FloatArray, truth: IntArray, dimension: int, seed: int
) -> tuple[npt.NDArray[np.float64], float]:
    """Return the probabilities, and their log loss, of the regularisation that suits the features best: fewer want another."""
    tried = []
    with threadpool_limits(1):
        for tried_with in _FROZEN:
            head = make_head(dimension, tried_with, seed)
            if dimension == inside.shape[1]:
                head.set_params(**{f"columntransformer__{BESIDE}": "drop"})  # nothing is left to scale
            probabilities = head.fit(inside, classes).predict_proba(outside)
            tried.append((float(log_loss(truth, probabilities)), probabilities))
    loss, best = min(tried, key=lambda pair: pair[0])
    return best, loss


def _out_of_fold(held: Embedded, names: Sequence[str], step: str, folds: int, progress: Progress, seed: int) -> IntArray:
    predicted = np.empty_like(held.needed)
    splitter = GroupKFold(folds, shuffle=True, random_state=seed)
    with threadpool_limits(1):
        for done, (fitted, judged) in enumerate(splitter.split(held.features, groups=names), 1):
            inside, outside = _with_words(held, fitted, judged, seed, progress)
            head = make_head(held.dimension, FOR_FROZEN, seed).fit(inside, held.needed[fitted])
            predicted[judged] = head.predict(outside)
            progress(f"leaving out {step}", done, folds)
    return predicted


def _with_words(held: Embedded, fitted: IntArray, judged: IntArray, seed: int, progress: Progress) -> tuple[FloatArray, FloatArray]:
    """Return all features of the rows that a head is fitted on, and of those that it is judged on."""
    inside, outside = ([held.rows[place] for place in places.tolist()] for places in (fitted, judged))
    learned = wording.fit([row.ask for row in inside], held.needed[fitted], [row.group for row in inside], seed, progress)
    told = opinions(learned.wording, [row.ask for row in outside])
    return np.hstack([held.features[fitted], learned.opinions]), np.hstack([held.features[judged], told])
