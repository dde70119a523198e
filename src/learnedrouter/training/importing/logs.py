"""What logs of requests have in common, whatever the dialect of their bodies.

A line holds a request's body, or an object that holds it: ``{"request": body, "response": ...}``, or a line of a batch
file (``{"custom_id", "body"}`` at OpenAI, ``{"custom_id", "params"}`` at Anthropic).
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from learnedrouter.errors import DatasetError
from learnedrouter.training.importing.records import Record

_WRAPPERS = ("request", "body", "params")
_IDENTITIES = ("custom_id", "request_id", "id")

IMAGE = {"type": "image_url", "image_url": {"url": "about:blank"}}
"""Stands where a request had an image: that there was one matters, its bytes do not."""


def body_of(record: Record) -> Mapping[str, Any]:
    """Return the request's body that a line of a log holds.

    Raises
    ------
    DatasetError
        There is none with ``messages``.
    """
    value: Any = record.values
    while isinstance(value, dict) and "messages" not in value:
        inner = next((value[key] for key in _WRAPPERS if key in value), None)
        value = _parsed(inner) if isinstance(inner, str) else inner
    if not isinstance(value, dict) or not isinstance(value["messages"], list):
        keys = ", ".join(map(repr, record.values)) or "nothing"
        raise DatasetError(record.path, record.line, f"holds no request body with a list of 'messages'; found {keys}")
    return value


def row(record: Record, body: Mapping[str, Any], messages: list[dict[str, Any]], model_tiers: Mapping[str, str]) -> Record:
    """Return a labelled row, or one left to label where `model_tiers` does not name the request's model.

    A client sends the whole conversation with every turn, so a log holds its opening many times over: rows with one
    opening are of one group.
    """
    identity = next((record.values[key] for key in _IDENTITIES if isinstance(record.values.get(key), str)), None)
    values: dict[str, Any] = {"id": identity or f"{record.path.stem}-{record.line}", "messages": messages}
    opening = next((message.get("content") for message in messages if message.get("role") == "user"), None)
    digest = hashlib.blake2b(json.dumps(opening, sort_keys=True).encode(), digest_size=8).hexdigest()
    values["group"] = f"conversation-{digest}"
    model = body.get("model")
    if isinstance(model, str):
        values["model"] = model
        if model in model_tiers:
            values["tier"] = model_tiers[model]
    return Record(record.path, record.line, values)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
