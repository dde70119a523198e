"""Labelled requests: reading, checking, splitting.

A data file holds JSON lines: ``{"id", "prompt" | "messages", "tier", "group"?, "slices"?, "family"?, "language"?,
"acceptable"?}``, with ``messages`` in OpenAI's form. Other keys are left alone. Rows of one ``group`` never part: a
pair, or variations of one request, would otherwise be learned in one split and asked for in another.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import numpy as np
import numpy.typing as npt

from learnedrouter.ask import Ask, extract_ask
from learnedrouter.chat import ChatRequest
from learnedrouter.errors import DatasetError
from learnedrouter.rows import lines, parse_object, parse_request
from learnedrouter.tiers import Ladder

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
_TRAIN_SHARE, _VALIDATION_SHARE = 0.70, 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One request of a data file, whatever is told of it.

    Parameters
    ----------
    id
        Unique over all files that are read together.
    ask
        What the classifier reads of it.
    group
        Rows of one group stay in one split, and in one fold.
    fingerprint
        Hash of the whole request's text; equal for equal requests.
    split
        Fixed by the file's name (``train.jsonl``), else None.
    where
        File and line.
    """

    id: str
    ask: Ask
    group: str
    fingerprint: int
    split: Split | None
    where: str


AnyRow = TypeVar("AnyRow", bound=Row)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledRow(Row):
    """One labelled request; without a group it is its own.

    Parameters
    ----------
    tier
        Index of the cheapest acceptable tier.
    acceptable
        Indices of the tiers that annotators would also have given; holds `tier`.
    slices, family, language
        What the row is a case of; for reports only.
    """

    tier: int
    acceptable: frozenset[int]
    slices: frozenset[str]
    family: str
    language: str


def load(paths: Iterable[Path], ladder: Ladder) -> list[LabelledRow]:
    """Return the rows of data files, all of them checked.

    Parameters
    ----------
    paths
        Files, or folders whose ``*.jsonl`` are read in order of name.
    ladder
        The tiers that labels may name.

    Raises
    ------
    DatasetError
        A file or a row cannot be used; the first such, with the number of others.
    """
    rows, problems = read(paths, ladder)
    if problems:
        first, others = problems[0], len(problems) - 1
        more = f" (and {others} more)" if others else ""
        raise DatasetError(first.path, first.line, first.problem + more)
    if not rows:
        raise DatasetError(", ".join(map(str, paths)), None, "holds no rows; expected one JSON object a line")
    return rows


def read(paths: Iterable[Path], ladder: Ladder) -> tuple[list[LabelledRow], list[DatasetError]]:
    """Return the usable rows of data files, and a problem for each that is not."""
    rows: list[LabelledRow] = []
    problems: list[DatasetError] = []
    ids: dict[str, str] = {}
    seen: dict[int, LabelledRow] = {}
    for path in files(paths):
        with path.open("rb") as file:
            for line, raw in lines(file):
                try:
                    row = parse_row(path, line, parse_object(path, line, raw), ladder)
                    _refuse_repeated(path, line, row, ids, seen)
                except DatasetError as problem:
                    problems.append(problem)
                else:
                    rows.append(row)
    return rows, problems


def files(paths: Iterable[Path]) -> list[Path]:
    """Return the data files that `paths` name, folders unfolded.

    Raises
    ------
    DatasetError
        A path does not exist, or a folder holds no data file.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
        if not inside:
            raise DatasetError(path, None, "holds no *.jsonl file")
        if not path.exists():
            raise DatasetError(path, None, "does not exist; expected a .jsonl file or a folder of them")
        found.extend(inside)
    return found


def parse_row(path: Path, line: int, value: Mapping[str, Any], ladder: Ladder) -> LabelledRow:
    """Return the row that a JSON object describes.

    Raises
    ------
    DatasetError
        A key is missing or holds something else than it must.
    """
    identity = _text(path, line, value, "id")
    tier = _tier(path, line, value.get("tier"), ladder)
    acceptable = value.get("acceptable") or []
    slices = value.get("slices") or []
    for key, listed in (("acceptable", acceptable), ("slices", slices)):
        if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
            raise DatasetError(path, line, f"{key!r} is {listed!r}; expected a list of strings")
    request = parse_request(path, line, value)
    return LabelledRow(
        id=identity,
        ask=extract_ask(request),
        tier=tier,
        acceptable=frozenset({tier, *(_tier(path, line, name, ladder) for name in acceptable)}),
        group=_text(path, line, value, "group", identity),
        slices=frozenset(slices),
        family=_text(path, line, value, "family", "unknown"),
        language=_text(path, line, value, "language", "unknown"),
        fingerprint=fingerprint(request),
        split=split_named(path),
        where=f"{path}:{line}",
    )


def fingerprint(request: ChatRequest) -> int:
    """Return 64 bits of hash over a request's roles and words; white space does not count."""
    words = "\x1e".join(f"{turn.role}\x1f{' '.join(turn.text.split())}" for turn in request.turns)
    return int.from_bytes(hashlib.blake2b(words.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def fingerprints(rows: Sequence[Row]) -> npt.NDArray[np.uint64]:
    """Return the rows' fingerprints, ``(n,)``."""
    return np.array([row.fingerprint for row in rows], dtype=np.uint64)


def split(rows: Sequence[AnyRow]) -> dict[Split, list[AnyRow]]:
    """Return the rows by split.

    A row of ``train.jsonl``, ``validation.jsonl`` or ``test.jsonl`` belongs there. Any other goes where a hash of its
    group says (70 / 15 / 15 %), so that adding rows never moves one that was there before.

    Raises
    ------
    DatasetError
        A group stands in two files that fix different splits.
    """
    parts: dict[Split, list[AnyRow]] = {name: [] for name in SPLITS}
    if straddling := straddlers(rows):
        raise straddling[0]
    for row in rows:
        parts[home(row)].append(row)
    return parts


def straddlers(rows: Sequence[Row]) -> list[DatasetError]:
    """Return a problem for each row whose group stands in another split as well, the group's first row apart."""
    firsts: dict[str, Row] = {}
    problems: list[DatasetError] = []
    for row in rows:
        first = firsts.setdefault(row.group, row)
        if home(first) != home(row):
            path, _, line = row.where.rpartition(":")
            problem = f"group {row.group!r} is in {home(row)} here and in {home(first)} at {first.where}"
            problems.append(DatasetError(path, int(line), problem))
    return problems


def home(row: Row) -> Split:
    """Return the split that a row belongs to: its file's, else that of its group."""
    return row.split or split_of(row.group)


def split_of(group: str) -> Split:
    """Return the split that a hash of the group's name gives: 70 % train, 15 % validation, 15 % test."""
    place = int.from_bytes(hashlib.blake2b(group.encode(), digest_size=4).digest()) / 2**32
    if place < _TRAIN_SHARE:
        return "train"
    return "validation" if place < _TRAIN_SHARE + _VALIDATION_SHARE else "test"


def split_named(path: Path) -> Split | None:
    """Return the split that a file's name fixes, if it does."""
    return path.stem if path.stem in SPLITS else None


def _refuse_repeated(path: Path, line: int, row: LabelledRow, ids: dict[str, str], seen: dict[int, LabelledRow]) -> None:
    if row.id in ids:
        raise DatasetError(path, line, f"id {row.id!r} stands at {ids[row.id]} already")
    twin = seen.get(row.fingerprint)
    if twin and twin.tier != row.tier:
        raise DatasetError(path, line, f"the same request is labelled otherwise at {twin.where} ({twin.id!r})")
    if twin:
        raise DatasetError(path, line, f"duplicate of {twin.where} ({twin.id!r})")
    ids[row.id] = row.where
    seen[row.fingerprint] = row


def _text(path: Path, line: int, value: Mapping[str, Any], key: str, default: str | None = None) -> str:
    text = value.get(key, default)
    if not isinstance(text, str) or not text.strip():
        raise DatasetError(path, line, f"{key!r} is {text!r}; expected a string that is not empty")
    return text


def _tier(path: Path, line: int, name: object, ladder: Ladder) -> int:
    if name not in ladder.names:
        raise DatasetError(path, line, f"unknown tier {name!r}; expected one of {', '.join(ladder.names)}")
    return ladder.names.index(str(name))
