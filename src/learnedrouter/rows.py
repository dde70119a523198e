"""Requests as they stand in files: JSON lines with a ``prompt`` or with ``messages`` in OpenAI's form."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from learnedrouter.chat import ChatRequest
from learnedrouter.dialects.openai_chat import read_request
from learnedrouter.encoding import SPACED, json_bytes
from learnedrouter.errors import DatasetError, RequestError


def lines(file: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, with their numbers, from 1."""
    return ((number, raw) for number, raw in enumerate(file, 1) if raw.strip())


def parse_object(path: Path, line: int, raw: bytes) -> dict[str, Any]:
    """Return the JSON object that stands on one line.

    Raises
    ------
    DatasetError
        It is not UTF-8, not JSON, or not an object.
    """
    try:
        value = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DatasetError(path, line, f"not UTF-8: byte 0x{raw[error.start]:02x} at {error.start}") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(path, line, f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise DatasetError(path, line, f"expected a JSON object, found {type(value).__name__}")
    return value


def write_object(value: Mapping[str, Any]) -> bytes:
    """Return an object as one line of a file; see `json_bytes`."""
    return json_bytes(value, SPACED) + b"\n"


def parse_request(path: Path, line: int, value: Mapping[str, Any]) -> ChatRequest:
    """Return the request of a row: its ``prompt`` or its ``messages``.

    Raises
    ------
    DatasetError
        Both stand there, or neither, or there is no text in it.
    """
    if ("prompt" in value) == ("messages" in value):
        found = "both" if "prompt" in value else "neither"
        raise DatasetError(path, line, f"expected either 'prompt' or 'messages', found {found}")
    if "prompt" in value:
        prompt = value["prompt"]
        if not isinstance(prompt, str) or not prompt.strip():
            raise DatasetError(path, line, f"'prompt' is {'empty' if isinstance(prompt, str) else 'not a string'}; expected text")
        value = {"messages": [{"role": "user", "content": prompt}]}
    carried = ("messages", "tools", "response_format")
    try:
        return read_request({key: value[key] for key in carried if key in value})
    except RequestError as error:
        raise DatasetError(path, line, str(error)) from error
