"""Training on outcomes: every tier's model was run on each request, and its answer scored.

A data file holds JSON lines: ``{"id", "prompt" | "messages", "outcomes": {model: score in [0, 1]}, "group"?}``. No label has to be
invented: the classes are the patterns of outcomes that occur ("only the strong model is right", "both are", "neither is"),
and a pattern's mean scores are its row of ``class_scores``. A request that no tier solves does not pull spending up.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from learnedrouter.ask import Ask, extract_ask
from learnedrouter.classifier.features import IntArray
from learnedrouter.errors import DatasetError, InputError
from learnedrouter.rows import lines, parse_object, parse_request
from learnedrouter.tiers import Ladder
from learnedrouter.training.dataset import files, fingerprint

FloatMatrix = npt.NDArray[np.float64]
DEFAULT_ACCEPT = 0.5
RARE_ROWS, RARE_SHARE = 20, 0.01
"""A pattern with fewer rows than one of these is merged into its nearest neighbour: too few to learn from."""


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """One request with the scores of all tiers' answers.

    Parameters
    ----------
    scores : (n_tiers,)
        In [0, 1], cheapest tier first.
    """

    id: str
    ask: Ask
    scores: tuple[float, ...]
    group: str
    fingerprint: int
    where: str


@dataclass(frozen=True, slots=True)
class OutcomeLadder:
    """Tiers, and the model whose outcomes stand for each."""

    ladder: Ladder
    models: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "OutcomeLadder":
        """Read ``weak=MODEL,strong=MODEL``, cheapest tier first.

        Raises
        ------
        InputError
            A part has no ``=``, or the tiers are no ladder.
        """
        pairs = [part.partition("=") for part in text.split(",")]
        if wrong := [name for name, sign, model in pairs if not sign or not model]:
            raise InputError(f"--ladder {text!r}: {wrong[0]!r} names no model; expected TIER=MODEL,TIER=MODEL, cheapest first")
        return cls(Ladder(tuple(name.strip() for name, _, _ in pairs)), tuple(model.strip() for _, _, model in pairs))


def load(paths: Iterable[Path], ladder: OutcomeLadder | None = None) -> tuple[list[OutcomeRow], OutcomeLadder]:
    """Return the rows of outcome files, and the ladder.

    Parameters
    ----------
    ladder
        None takes every model of the first row, the one with the lowest mean score first, as tiers of their own names.

    Raises
    ------
    DatasetError
        A row cannot be used; names file and line.
    """
    found: list[tuple[Path, int, dict[str, Any]]] = []
    for path in files(paths):
        with path.open("rb") as file:
            found.extend((path, line, parse_object(path, line, raw)) for line, raw in lines(file))
    if not found:
        raise DatasetError(", ".join(map(str, paths)), None, "holds no rows; expected one JSON object a line")
    scored = [(path, line, value, _scores(path, line, value)) for path, line, value in found]
    known = ladder or _by_mean_score([scores for _, _, _, scores in scored])
    rows: list[OutcomeRow] = []
    seen: dict[str, str] = {}
    for path, line, value, scores in scored:
        row = _row(path, line, value, scores, known)
        if row.id in seen:
            raise DatasetError(path, line, f"id {row.id!r} stands at {seen[row.id]} already")
        seen[row.id] = row.where
        rows.append(row)
    return rows, known


def patterns(scores: FloatMatrix, accept: float = DEFAULT_ACCEPT) -> tuple[IntArray, FloatMatrix]:
    """Return the class of each row, and ``class_scores``.

    Parameters
    ----------
    scores : (n, n_tiers)
        In [0, 1].
    accept
        The score from which an answer counts as acceptable; patterns are of acceptable and not.

    Returns
    -------
    classes : (n,)
        The commonest pattern is 0.
    class_scores : (n_classes, n_tiers)
        Mean scores of each class.
    """
    distinct, member, counts = np.unique(scores >= accept, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    enough = max(RARE_ROWS, RARE_SHARE * len(scores))
    frequent = [place for place in order if counts[place] >= enough] or [order[0]]
    merged = np.empty(len(distinct), dtype=np.intp)
    for place, pattern in enumerate(distinct):
        distances = [int((pattern != distinct[other]).sum()) for other in frequent]
        merged[place] = int(np.argmin(distances))  # at equal distance the commoner one, which comes first
    classes: IntArray = merged[member.ravel()]
    return classes, np.stack([scores[classes == label].mean(axis=0) for label in range(len(frequent))])


def score_matrix(rows: Sequence[OutcomeRow]) -> FloatMatrix:
    """Return the rows' scores, ``(n, n_tiers)``."""
    return np.array([row.scores for row in rows], dtype=np.float64)


def _scores(path: Path, line: int, value: Mapping[str, Any]) -> dict[str, float]:
    outcomes = value.get("outcomes")
    if not isinstance(outcomes, dict) or len(outcomes) < 2:
        raise DatasetError(path, line, f"'outcomes' is {str(outcomes)[:60]}; expected an object of at least two models with their scores")
    for model, score in outcomes.items():
        if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
            raise DatasetError(path, line, f"outcome of {model!r} is {score!r}; expected a number in [0, 1]")
    return outcomes


def _by_mean_score(scored: Sequence[Mapping[str, float]]) -> OutcomeLadder:
    models = sorted(scored[0], key=lambda model: sum(scores.get(model, 0.0) for scores in scored))
    return OutcomeLadder(Ladder(tuple(models)), tuple(models))


def _row(path: Path, line: int, value: Mapping[str, Any], scores: Mapping[str, float], ladder: OutcomeLadder) -> OutcomeRow:
    if missing := [model for model in ladder.models if model not in scores]:
        raise DatasetError(path, line, f"has no outcome of {missing[0]!r}; expected one for each of {', '.join(ladder.models)}")
    request = parse_request(path, line, value)
    identity = str(value.get("id") or f"{path.name}:{line}")
    own = tuple(float(scores[model]) for model in ladder.models)
    group = str(value.get("group") or identity)
    return OutcomeRow(identity, extract_ask(request), own, group, fingerprint(request), f"{path}:{line}")
