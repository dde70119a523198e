"""Whether an answer is what was asked for, as far as that can be told without reading it."""

import json
from collections.abc import Mapping
from typing import Any

import jsonschema
import referencing
from jsonschema.exceptions import SchemaError, ValidationError
from referencing.exceptions import Unresolvable

from learnedrouter.chat import ChatRequest, Completion, Dialect

INVALID_STRUCTURE, EMPTY, TRUNCATED = "invalid_structure", "empty", "truncated"


def shortcoming(request: ChatRequest, completion: Completion, *, clamped: bool = False) -> str | None:
    """Return what is wrong with an answer, as a code; None where nothing is seen to be.

    ``truncated`` is an answer that the model's own ceiling ended, where the caller set no limit or the limit was `clamped` to
    that ceiling; one that ends where its caller set the limit is what was asked for.
    """
    if completion.finish_reason == "length" and (clamped or request.needs.output_tokens is None):
        return TRUNCATED
    if completion.finish_reason == "stop" and not completion.tool_calls:
        if not completion.text.strip():
            return EMPTY
        if (schema := demanded_schema(request)) is not None and not _fits(completion.text, schema):
            return INVALID_STRUCTURE
    return None


def demanded_schema(request: ChatRequest) -> Mapping[str, Any] | None:
    """Return the JSON schema that an answer must fit; None where the caller demands none."""
    if not request.needs.json_schema:
        return None
    if request.dialect is Dialect.ANTHROPIC:
        found = request.body["output_config"]["format"].get("schema")
    else:
        found = (request.body["response_format"].get("json_schema") or {}).get("schema")
    return found if isinstance(found, dict) else None


def _fits(text: str, schema: Mapping[str, Any]) -> bool:
    """Return whether `text` is JSON that fits `schema`; a schema that cannot be judged by fits everything.

    An empty registry keeps references inside the schema: nothing is fetched because a caller named it.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    try:
        jsonschema.validate(value, schema, registry=referencing.Registry())
    except ValidationError:
        return False
    except (SchemaError, Unresolvable, RecursionError):
        return True
    return True
