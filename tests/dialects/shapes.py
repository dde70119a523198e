"""What crossed, and the SDKs' own types as its judges."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from anthropic.types import MessageCreateParams
from openai.types.chat import CompletionCreateParams
from pydantic import TypeAdapter

from learnedrouter.chat import Chunk, Dialect, ToolCall
from learnedrouter.dialects.crossing import stream_for

PARAMS = {Dialect.OPENAI: TypeAdapter(CompletionCreateParams), Dialect.ANTHROPIC: TypeAdapter(MessageCreateParams)}


def crossed(chunks: Iterable[Chunk], written_in: Dialect, wanted: Dialect, *, include_usage: bool = True) -> list[Chunk]:
    """A stream as a caller of the wanted dialect gets it."""
    crossing = stream_for(written_in, wanted, model="ours", created=9, include_usage=include_usage)
    return [out for chunk in chunks for out in crossing.feed(chunk)] + crossing.finish()


def plain_calls(calls: Iterable[ToolCall]) -> list[tuple[str, str, Any]]:
    """Tool calls without the way in which their arguments are written."""
    return [(call.id, call.name, json.loads(call.arguments)) for call in calls]


def check_request(body: Mapping[str, Any], dialect: Dialect) -> None:
    """Fail where the dialect's SDK would not take `body`."""
    _exhaust(PARAMS[dialect].validate_python({"model": "some-model", **body}))


def _exhaust(value: Any) -> None:
    """Pydantic looks into an ``Iterable`` only when it is read."""
    if isinstance(value, Mapping):
        value = value.values()
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for item in value:
            _exhaust(item)
