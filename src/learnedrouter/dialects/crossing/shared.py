"""What both directions of a request's crossing agree on, so that there and back is the same conversation."""

import re
from collections.abc import Collection, Mapping
from typing import Any
from zlib import crc32

from learnedrouter.dialects.reading import shown
from learnedrouter.errors import RequestError

TOOL_ERROR = "[tool error] "
"""Stands before a failed tool's output in OpenAI's dialect, which has no field that says so."""

OPENING = "(The conversation begins with the assistant's message.)"
"""The user's turn that Anthropic demands at the head of a conversation, where there is none."""

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""What both take as a tool's name; Anthropic's may be 128 long (both API references, ``tools``)."""

_ID = re.compile(r"[a-zA-Z0-9_-]{1,40}")
"""What both take as a tool call's id: Anthropic names the letters, OpenAI the length."""


def refuse_unknown(body: Mapping[str, Any], known: Collection[str], dialect: str) -> None:
    """Refuse every field that is set and not `known`: what it means in the other dialect cannot be known either."""
    for field, value in body.items():
        if field not in known and value is not None:
            raise refuse(field, value, dialect)


def refuse(field: str, value: Any, dialect: str) -> RequestError:
    """Return the error for a value that has no counterpart in the other dialect."""
    return RequestError(
        f"{field}: {shown(value)} has no counterpart for {dialect} models; leave it out or ask for another model", field=field
    )


def tool_name(name: str, field: str) -> str:
    """Return a tool's name, if both dialects take it."""
    if not _TOOL_NAME.fullmatch(name):
        raise RequestError(f"{field}: {shown(name)} is not of 1 to 64 letters, digits, '_' and '-', as all models take it", field=field)
    return name


def tool_call_id(name: str) -> str:
    """Return a tool call's id as both dialects take it: the same for the call and for its result."""
    if _ID.fullmatch(name):
        return name
    digest = crc32(name.encode("utf-8", "replace"))
    return f"{re.sub(r'[^a-zA-Z0-9_-]', '_', name)[:31]}_{digest:08x}"


def ends_with_assistant(field: str) -> RequestError:
    """Return the error for a history that ends with the assistant: Anthropic's models continue it, OpenAI's answer it."""
    return RequestError(f"{field}.role: a conversation that ends with the assistant means something else to other models", field=field)
