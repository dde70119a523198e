"""Logs of Anthropic messages requests, as rows with messages in OpenAI's form.

Source: https://docs.anthropic.com/en/api/messages. Only what the classifier and a labeller read is carried over: text,
tool calls and their results, that there was an image; thinking and foreign blocks stay behind.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from learnedrouter.errors import DatasetError
from learnedrouter.training.importing.logs import IMAGE, body_of, row
from learnedrouter.training.importing.records import Item, Record, each


def convert(items: Iterable[Item], model_tiers: Mapping[str, str]) -> Iterator[Item]:
    """Yield a row a request; its tier is its model's, by `model_tiers`, or left to label."""
    return each(partial(_row, model_tiers=model_tiers), items)


def _row(record: Record, model_tiers: Mapping[str, str]) -> Record:
    body = body_of(record)
    try:
        system = _text(_blocks(body.get("system") or []))
        messages = [{"role": "system", "content": system}] if system else []
        for message in body["messages"]:
            messages.extend(_messages(message["role"], _blocks(message["content"])))
    except (KeyError, TypeError, AttributeError) as error:
        raise DatasetError(record.path, record.line, f"not an Anthropic messages body ({type(error).__name__}: {error})") from error
    return row(record, body, messages, model_tiers)


def _messages(role: str, blocks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the OpenAI messages that say what one Anthropic message says, tool results first."""
    for block in blocks:
        if block["type"] == "tool_result":
            yield {"role": "tool", "tool_call_id": block["tool_use_id"], "content": _text(_blocks(block.get("content") or []))}
    text = _text(blocks)
    if any(block["type"] == "image" for block in blocks):
        yield {"role": role, "content": [IMAGE, {"type": "text", "text": text}]}
    elif calls := [_call(block) for block in blocks if block["type"] == "tool_use"]:
        yield {"role": role, "content": text or None, "tool_calls": calls}
    elif text:
        yield {"role": role, "content": text}


def _call(block: Mapping[str, Any]) -> dict[str, Any]:
    arguments = json.dumps(block.get("input") or {}, ensure_ascii=False)
    return {"id": block["id"], "type": "function", "function": {"name": block["name"], "arguments": arguments}}


def _blocks(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _text(blocks: list[dict[str, Any]]) -> str:
    return "\n".join(block["text"] for block in blocks if block["type"] == "text")
