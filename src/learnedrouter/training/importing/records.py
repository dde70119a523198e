"""Records of a file, each with its place; what cannot be read is an error in their midst."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from learnedrouter.errors import DatasetError, InputError
from learnedrouter.rows import lines, parse_object


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a file.

    Parameters
    ----------
    path, line
        Where it begins; in a JSON array and in Parquet, `line` counts the items.
    values
        Its fields by name.
    """

    path: Path
    line: int
    values: Mapping[str, Any]


Item = Record | DatasetError
"""A record, or why there is none."""


def each(convert: Callable[[Record], Record], items: Iterable[Item]) -> Iterator[Item]:
    """Yield what `convert` makes of each record; an error that it raises takes the record's place."""
    for item in items:
        if isinstance(item, DatasetError):
            yield item
            continue
        try:
            yield convert(item)
        except DatasetError as problem:
            yield problem


def read_csv(path: Path) -> Iterator[Item]:
    """Yield the rows of a CSV file (RFC 4180) in UTF-8, with a header."""
    return _delimited(path, ",")


def read_tsv(path: Path) -> Iterator[Item]:
    """Yield the rows of a tab-separated file in UTF-8, with a header, quoted like CSV."""
    return _delimited(path, "\t")


def read_jsonl(path: Path) -> Iterator[Item]:
    """Yield the objects of a file of JSON lines."""
    for line, raw in lines(io.BytesIO(_bytes(path))):
        try:
            yield Record(path, line, parse_object(path, line, raw))
        except DatasetError as problem:
            yield problem


def read_json(path: Path) -> Iterator[Item]:
    """Yield the objects of a JSON array."""
    try:
        items = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise DatasetError(path, None, f"not JSON: {error}") from error
    if not isinstance(items, list):
        raise DatasetError(path, None, f"expected a JSON array of objects, found {type(items).__name__}")
    for number, item in enumerate(items, 1):
        if isinstance(item, dict):
            yield Record(path, number, item)
        else:
            yield DatasetError(path, number, f"expected a JSON object, found {type(item).__name__}")


def read_parquet(path: Path) -> Iterator[Item]:
    """Yield the rows of a Parquet file; needs pyarrow.

    Raises
    ------
    InputError
        pyarrow is not installed, or the file is no Parquet.
    """
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise InputError(f"{path}: reading Parquet needs pyarrow; install it with: pip install 'learnedrouter[parquet]'") from error
    try:
        file = ParquetFile(io.BytesIO(_bytes(path)))
    except (ArrowException, OSError) as error:
        raise DatasetError(path, None, f"not Parquet: {error}") from error
    number = 0
    for batch in file.iter_batches():
        for values in batch.to_pylist():
            number += 1
            yield Record(path, number, values)


READERS: Mapping[str, Callable[[Path], Iterator[Item]]] = {
    "csv": read_csv,
    "tsv": read_tsv,
    "jsonl": read_jsonl,
    "json": read_json,
    "parquet": read_parquet,
}


def read_any(path: Path) -> Iterator[Item]:
    """Yield the records of a file, or of a folder's files in order of name, each read by its ending.

    Raises
    ------
    InputError
        There is no such file, or none whose ending is known.
    """
    if not path.is_dir():
        yield from _by_ending(path)(path)
        return
    inside = sorted(file for file in path.iterdir() if file.suffix.removeprefix(".").lower() in READERS)
    if not inside:
        raise DatasetError(path, None, f"holds no file that can be read; expected one that ends in {', '.join(READERS)}")
    for file in inside:
        yield from _by_ending(file)(file)


def _by_ending(path: Path) -> Callable[[Path], Iterator[Item]]:
    ending = path.suffix.removeprefix(".").lower()
    if ending in ("pkl", "pickle"):
        raise DatasetError(path, None, "is a pickle, which may run any code when it is read; save it as Parquet or CSV and import that")
    if ending not in READERS:
        raise DatasetError(path, None, f"ends in {path.suffix!r}; expected one of {', '.join(READERS)}")
    return READERS[ending]


def _delimited(path: Path, delimiter: str) -> Iterator[Item]:
    csv.field_size_limit(sys.maxsize)  # prompts are longer than the 128 KiB that the module allows at first
    reader = csv.reader(io.StringIO(_text(path), newline=""), delimiter=delimiter, strict=True)
    try:
        header = next(reader, [])
    except csv.Error as error:
        raise DatasetError(path, 1, f"not a header: {error}") from error
    if not header:
        raise DatasetError(path, None, "is empty; expected a header and rows")
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise DatasetError(path, 1, f"the header names {', '.join(map(repr, twice))} more than once")
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield DatasetError(path, line, f"not CSV: {error} (the record reaches to line {reader.line_num})")
            continue
        if cells and len(cells) != len(header):
            yield DatasetError(path, line, f"holds {len(cells)} cells; the header has {len(header)}")
        elif cells:
            yield Record(path, line, dict(zip(header, cells, strict=True)))


def _text(path: Path) -> str:
    raw = _bytes(path)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DatasetError(path, line, f"not UTF-8: byte 0x{raw[error.start]:02x}; save the file in UTF-8 and import it again") from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(path, None, f"cannot be read ({error.strerror}); expected a file") from error
