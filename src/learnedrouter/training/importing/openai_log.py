"""Logs of OpenAI chat completions requests."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from learnedrouter.training.importing.logs import IMAGE, body_of, row
from learnedrouter.training.importing.records import Item, Record, each


def convert(items: Iterable[Item], model_tiers: Mapping[str, str]) -> Iterator[Item]:
    """Yield a row a request; its tier is its model's, by `model_tiers`, or left to label."""
    return each(partial(_row, model_tiers=model_tiers), items)


def _row(record: Record, model_tiers: Mapping[str, str]) -> Record:
    body = body_of(record)
    messages = [_without_images(message) for message in body["messages"]]
    converted = row(record, body, messages, model_tiers)
    form = {key: body[key] for key in ("tools", "response_format") if body.get(key)}
    return Record(record.path, record.line, {**converted.values, **form})


def _without_images(message: Any) -> Any:
    if not isinstance(message, dict) or not isinstance(message.get("content"), list):
        return message
    parts = [IMAGE if isinstance(part, dict) and part.get("type") == "image_url" else part for part in message["content"]]
    return {**message, "content": parts}
