"""JSON as bytes. What callers and models write may hold half a surrogate pair: no Unicode text, but JSON can escape it."""

import json
from collections.abc import Mapping
from typing import Any

COMPACT, SPACED = (",", ":"), (", ", ": ")
"""Separators: for the wire, and for files that people read."""


def json_bytes(value: Mapping[str, Any], separators: tuple[str, str] = COMPACT) -> bytes:
    """Return an object as JSON on one line, in UTF-8; in ASCII with escapes where it holds what UTF-8 cannot say."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=separators).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=separators).encode()
