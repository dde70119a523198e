"""Outcomes: every tier's model was run on each request, and its answer scored.

A data file holds JSON lines: ``{"id", "prompt" | "messages", "outcomes": {model: score in [0, 1]}, "group"?}``. Other keys
are left alone. The rows' scores stand in the order of a ladder of models, cheapest first.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from learnedrouter.ask import extract_ask
from learnedrouter.errors import DatasetError, InputError
from learnedrouter.rows import lines, parse_object, parse_request
from learnedrouter.tiers import Ladder
from learnedrouter.training.dataset import Row, files, fingerprint, split_named
from learnedrouter.training.patterns import FloatMatrix


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeRow(Row):
    """One request with the scores of all tiers' answers; equal requests are a group of their own.

    Parameters
    ----------
    scores : (n_tiers,)
        In [0, 1], cheapest tier first.
    """

    scores: tuple[float, ...]


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
            A part has no ``=``, a model stands for two tiers, or the tiers are no ladder.
        """
        pairs = [tuple(side.strip() for side in part.partition("=")) for part in text.split(",")]
        if wrong := [name for name, sign, model in pairs if not sign or not model]:
            raise InputError(f"--ladder {text!r}: {wrong[0]!r} names no model; expected TIER=MODEL,TIER=MODEL, cheapest first")
        models = tuple(model for _, _, model in pairs)
        if twice := [model for model in models if models.count(model) > 1]:
            raise InputError(f"--ladder {text!r}: {twice[0]!r} stands for two tiers; expected a model of its own for each")
        return cls(Ladder(tuple(name for name, _, _ in pairs)), models)

    def by_tier(self) -> dict[str, str]:
        """Return the model of each tier."""
        return dict(zip(self.ladder.names, self.models, strict=True))


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
    paths = tuple(paths)
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
        raise DatasetError(path, line, f"has no outcome of {missing[0]!r}; it has those of {', '.join(sorted(scores))}")
    request = parse_request(path, line, value)
    own = fingerprint(request)
    return OutcomeRow(
        id=str(value.get("id") or f"{path.name}:{line}"),
        ask=extract_ask(request),
        scores=tuple(float(scores[model]) for model in ladder.models),
        group=str(value.get("group") or f"{own:016x}"),
        fingerprint=own,
        split=split_named(path),
        where=f"{path}:{line}",
    )
