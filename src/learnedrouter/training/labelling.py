"""Labelling a file by hand: which row is next, what a key does, and writing the file after every answer.

Nothing is shown or read here. Lines that are not answered keep their bytes; a line that is answered is written anew with
its ``tier`` at the end. The file is replaced whole after every answer, and an answer is refused if another program
changed the file in between.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from learnedrouter.chat import ChatRequest
from learnedrouter.errors import DatasetError, InputError
from learnedrouter.rows import parse_object, parse_request, write_object
from learnedrouter.tiers import Ladder
from learnedrouter.training.atomic import replaced


@dataclass(frozen=True, slots=True)
class Row:
    """A row to label.

    Parameters
    ----------
    place
        Its index among the file's lines.
    id
        As the file has it; else the line's number.
    request
        What is judged.
    tier
        The label that it has; None without.
    """

    place: int
    id: str
    request: ChatRequest
    tier: str | None


@dataclass(slots=True)
class Labelling:
    """A labelling of one file, under way; made by `begin`.

    Parameters
    ----------
    path
        The file; written by `answer` and `undo`.
    ladder
        The tiers that can be given.
    queue
        The rows to label, in the file's order.
    """

    path: Path
    ladder: Ladder
    queue: tuple[Row, ...]
    _lines: list[bytes]
    _seen: tuple[int, int]
    _next: int = 0
    _history: list[bytes] = field(default_factory=list)

    @property
    def current(self) -> Row | None:
        """The row that is asked about; None when all are done."""
        return self.queue[self._next] if self._next < len(self.queue) else None

    @property
    def done(self) -> int:
        """How many rows of the queue were answered or skipped."""
        return self._next

    def answer(self, tier: str) -> None:
        """Give the current row its tier, write the file, and go on.

        Raises
        ------
        InputError
            All rows are done, the ladder has no such tier, or the file was changed by another program.
        """
        row = self._expect_current()
        self.ladder.index(tier)
        before = self._lines[row.place]
        value = {key: kept for key, kept in _parse(self.path, row.place, before).items() if key != "tier"}
        self._replace(row.place, write_object({**value, "tier": tier}))
        self._history.append(before)
        self._next += 1

    def skip(self) -> None:
        """Leave the current row as it is, and go on."""
        self._history.append(self._lines[self._expect_current().place])
        self._next += 1

    def undo(self) -> bool:
        """Go back to the row before, and give it back what it had; say whether there was one."""
        if not self._history:
            return False
        row = self.queue[self._next - 1]
        if self._lines[row.place] != self._history[-1]:
            self._replace(row.place, self._history[-1])
        self._history.pop()
        self._next -= 1
        return True

    def _expect_current(self) -> Row:
        if self.current is None:
            raise InputError(f"{self.path}: every row is done")
        return self.current

    def _replace(self, place: int, line: bytes) -> None:
        if not self.path.exists() or _state(self.path) != self._seen:
            raise InputError(f"{self.path}: changed by another program since it was read; start again to go on from there")
        lines = [*self._lines[:place], line, *self._lines[place + 1 :]]
        with replaced(self.path) as file:
            file.writelines(lines)
        self._lines, self._seen = lines, _state(self.path)


def begin(path: Path, ladder: Ladder, *, again: bool = False, start: str | None = None) -> Labelling:
    """Read a file, and find what is to be labelled in it.

    Parameters
    ----------
    again
        Ask about rows that have a tier as well.
    start
        Id of the row to begin with; the first by default.

    Raises
    ------
    DatasetError
        The file cannot be read, a row of it cannot be used, or none has the id `start`.
    """
    try:
        seen = _state(path)
        raw = path.read_bytes()
    except OSError as error:
        raise DatasetError(path, None, f"cannot be read ({error.strerror}); expected a file of JSON lines") from error
    lines = raw.splitlines(keepends=True)
    if lines and not lines[-1].endswith(b"\n"):
        lines[-1] += b"\n"
    rows = [_row(path, place, line, ladder) for place, line in enumerate(lines) if line.strip()]
    if not rows:
        raise DatasetError(path, None, "holds no rows; expected one JSON object a line")
    first = 0
    if start is not None:
        first = next((place for place, row in enumerate(rows) if row.id == start), -1)
        if first < 0:
            raise DatasetError(path, None, f"no row has the id {start!r}")
    queue = tuple(row for row in rows[first:] if again or row.tier is None)
    return Labelling(path, ladder, queue, lines, seen)


def _row(path: Path, place: int, line: bytes, ladder: Ladder) -> Row:
    value = _parse(path, place, line)
    tier = value.get("tier") or None
    if tier is not None and tier not in ladder.names:
        raise DatasetError(path, place + 1, f"unknown tier {tier!r}; expected one of {', '.join(ladder.names)}, or none")
    return Row(place, str(value.get("id", place + 1)), parse_request(path, place + 1, value), tier)


def _parse(path: Path, place: int, line: bytes) -> Mapping[str, Any]:
    return parse_object(path, place + 1, line)


def _state(path: Path) -> tuple[int, int]:
    """Return what changes when a file is written: its time of change and its size."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size
