"""Whether an answer is what was asked for, as far as that can be told without reading it."""

import json
from typing import Any, NoReturn

from learnedrouter.chat import ChatRequest, Completion, Dialect

INVALID_STRUCTURE, EMPTY, TRUNCATED = "invalid_structure", "empty", "truncated"
SHORTCOMINGS = frozenset({INVALID_STRUCTURE, EMPTY, TRUNCATED})


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


def demanded_schema(request: ChatRequest) -> dict[str, Any] | None:
    """Return the JSON schema that an answer must fit; None where the caller demands none."""
    if not request.needs.json_schema:
        return None
    if request.dialect is Dialect.ANTHROPIC:
        found = request.body["output_config"]["format"].get("schema")
    else:
        found = (request.body["response_format"].get("json_schema") or {}).get("schema")
    return found if isinstance(found, dict) else None


def _fits(text: str, schema: dict[str, Any]) -> bool:
    """Return whether `text` is JSON that fits `schema`; a schema that cannot be judged by fits everything.

    Its patterns are matched in linear time: a caller's ``^(a+)+$`` must not stop the event loop. One that cannot be, with a look
    around or a reference back, cannot be judged by. Nothing is fetched because a caller named it.
    """
    import jsonschema_rs  # on use: 7 MB, and most services never see a schema

    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    try:
        options = jsonschema_rs.RegexOptions()
        return jsonschema_rs.validator_for(schema, pattern_options=options, retriever=_fetch_nothing).is_valid(value)
    except (jsonschema_rs.ValidationError, ValueError):
        return True


def _fetch_nothing(uri: str) -> NoReturn:
    raise LookupError(uri)
