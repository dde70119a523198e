"""Tables of labelled requests whose columns have other names than ours."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from learnedrouter.errors import DatasetError
from learnedrouter.tiers import Ladder
from learnedrouter.training.importing.records import Item, Record, each

CARRIED = ("acceptable", "tools", "response_format")
"""Keys of our own form that go through under their own name where a JSON record has them."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a table keeps what; None takes the column of our own name, where there is one."""

    prompt: str | None = None
    messages: str | None = None
    tier: str | None = None
    id: str | None = None
    group: str | None = None
    family: str | None = None
    language: str | None = None
    slices: str | None = None


@dataclass(frozen=True, slots=True)
class TierNames:
    """What a source calls the tiers.

    Parameters
    ----------
    ladder
        Our own names, which are always understood, in any case.
    others
        The source's name to ours.
    """

    ladder: Ladder
    others: Mapping[str, str]

    def find(self, record: Record, value: Any) -> str | None:
        """Return our name of a tier; None where `value` is empty.

        Raises
        ------
        DatasetError
            `value` names no tier.
        """
        text = "" if value is None else str(value).strip()
        if not text:
            return None
        if text in self.others:
            return self.others[text]
        if text.lower() in self.ladder.names:
            return text.lower()
        known = ", ".join((*self.ladder.names, *self.others))
        raise DatasetError(
            record.path, record.line, f"unknown tier {text!r}; expected one of {known}, or map it with --tier-name {text}=TIER"
        )


def convert(items: Iterable[Item], columns: Columns, tiers: TierNames) -> Iterator[Item]:
    """Yield labelled rows; a record whose tier is empty becomes a row without one, left to label."""
    return each(partial(_row, columns=columns, tiers=tiers), items)


def _row(record: Record, columns: Columns, tiers: TierNames) -> Record:
    cells = {field.name: _cell(record, field.name, getattr(columns, field.name)) for field in fields(columns)}
    row: dict[str, Any] = {"id": str(cells["id"]) if cells["id"] is not None else f"{record.path.stem}-{record.line}"}
    if cells["messages"] is not None and columns.prompt is None:
        row["messages"] = _messages(record, cells["messages"])
    elif cells["prompt"] is not None:
        row["prompt"] = cells["prompt"]
    else:
        wanted = columns.prompt or columns.messages or "prompt"
        what = "is empty" if wanted in record.values else f"is not there; the columns are {', '.join(map(repr, record.values))}"
        raise DatasetError(record.path, record.line, f"column {wanted!r} {what}")
    if tier := tiers.find(record, cells["tier"]):
        row["tier"] = tier
    row |= {key: str(cells[key]) for key in ("group", "family", "language") if cells[key] is not None}
    if slices := cells["slices"]:
        row["slices"] = slices if isinstance(slices, list) else [name.strip() for name in str(slices).split("|") if name.strip()]
    row |= {key: record.values[key] for key in CARRIED if isinstance(record.values.get(key), list | dict)}
    return Record(record.path, record.line, row)


def _cell(record: Record, key: str, column: str | None) -> Any:
    """Return what stands in a column; None where that is nothing."""
    if column is not None and column not in record.values:
        columns = ", ".join(map(repr, record.values))
        raise DatasetError(record.path, record.line, f"column {column!r} is not there; the columns are {columns}")
    value = record.values.get(column or key)
    return None if isinstance(value, str) and not value.strip() else value


def _messages(record: Record, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise DatasetError(record.path, record.line, f"the messages are not JSON: {error}") from error
