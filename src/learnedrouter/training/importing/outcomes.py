"""What tables of outcomes have in common: scores, costs, and the row that they make."""

import math
from collections.abc import Mapping
from typing import Any

from learnedrouter.errors import DatasetError
from learnedrouter.training.importing.records import Record

_TRUTH = {"true": 1.0, "false": 0.0}


def row(record: Record, identity: str, prompt: str, scores: Mapping[str, Any], costs: Mapping[str, Any], family: str) -> Record:
    """Return an outcomes row.

    Parameters
    ----------
    scores, costs
        By model, as the table has them; what is empty is left out.

    Raises
    ------
    DatasetError
        A score is no number in [0, 1], a cost is negative, or no model has a score.
    """
    outcomes = {model: score for model, value in scores.items() if (score := _score(record, model, value)) is not None}
    if not outcomes:
        raise DatasetError(
            record.path, record.line, f"no model has a score; expected one of {', '.join(map(repr, scores)) or 'at least one'}"
        )
    values: dict[str, Any] = {"id": identity, "prompt": prompt, "outcomes": outcomes, "family": family}
    priced = {model: cost for model, value in costs.items() if (cost := _cost(record, model, value)) is not None}
    return Record(record.path, record.line, values | ({"costs": priced} if priced else {}))


def text(record: Record, value: Any, column: str) -> str:
    """Return a cell that must hold text.

    Raises
    ------
    DatasetError
        It is not there, or empty.
    """
    if not isinstance(value, str) or not value.strip():
        raise DatasetError(record.path, record.line, f"{column!r} is {value!r}; expected the text of the prompt")
    return value


def _score(record: Record, model: str, value: Any) -> float | None:
    number = _number(record, f"the score of {model!r}", value)
    if number is not None and not 0 <= number <= 1:
        raise DatasetError(record.path, record.line, f"the score of {model!r} is {value!r}; expected a number in [0, 1], or true or false")
    return number


def _cost(record: Record, model: str, value: Any) -> float | None:
    number = _number(record, f"the cost of {model!r}", value)
    if number is not None and not 0 <= number < math.inf:
        raise DatasetError(record.path, record.line, f"the cost of {model!r} is {value!r}; expected USD, at least 0")
    return number


def _number(record: Record, what: str, value: Any) -> float | None:
    """Return a cell as a number; None where it is empty or not a number in the sense of IEEE 754 (pandas' empty cell)."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, str) and value.strip().lower() in _TRUTH:
        return _TRUTH[value.strip().lower()]
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise DatasetError(record.path, record.line, f"{what} is {value!r}; expected a number") from error
    return None if math.isnan(number) else number
