"""JSON schemas of answers: Anthropic takes closed objects only, OpenAI's strict mode wants every property required.

Sources: https://docs.anthropic.com/en/docs/build-with-claude/structured-outputs#json-schema-limitations,
https://platform.openai.com/docs/guides/structured-outputs#supported-schemas.
"""

from collections.abc import Callable, Mapping
from typing import Any

_OF_SCHEMAS = ("properties", "$defs", "definitions")
_LISTS = ("anyOf", "oneOf", "prefixItems")
_SINGLE = ("items",)


def close(schema: Any) -> Any:
    """Return a schema in which every object with properties allows no others, where it did not say.

    What fits the closed schema fits the open one. Parts of an ``allOf`` stay as they are: closed, they would exclude
    each other.
    """
    if not isinstance(schema, Mapping):
        return schema
    closed = _inside(schema, close)
    return {**closed, "additionalProperties": False} if "properties" in closed and "additionalProperties" not in closed else closed


def is_strict(schema: Any) -> bool:
    """Return whether OpenAI's strict mode takes a schema: every object closed, and all its properties required."""
    strict = True

    def visit(part: Any) -> Any:
        nonlocal strict
        if isinstance(part, Mapping):
            _inside(part, visit)
            if part.get("type") == "object" or "properties" in part:
                properties, wanted = part.get("properties") or {}, part.get("required") or ()
                strict &= part.get("additionalProperties") is False and set(properties) == set(wanted)
            strict &= "allOf" not in part
        return part

    visit(schema)
    return strict


def _inside(schema: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """Return `schema` with `change` made to every schema directly inside it."""
    changed = dict(schema)
    for key in _OF_SCHEMAS:
        if isinstance(schema.get(key), Mapping):
            changed[key] = {name: change(part) for name, part in schema[key].items()}
    for key in _LISTS:
        if isinstance(schema.get(key), list):
            changed[key] = [change(part) for part in schema[key]]
    for key in _SINGLE:
        if key in schema:
            changed[key] = change(schema[key])
    return changed
