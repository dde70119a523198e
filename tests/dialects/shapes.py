"""The SDKs' own types, as judges of what crossed."""

from collections.abc import Iterable, Mapping
from typing import Any

from anthropic.types import MessageCreateParams
from openai.types.chat import CompletionCreateParams
from pydantic import TypeAdapter

from learnedrouter.chat import Dialect

PARAMS = {Dialect.OPENAI: TypeAdapter(CompletionCreateParams), Dialect.ANTHROPIC: TypeAdapter(MessageCreateParams)}


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
