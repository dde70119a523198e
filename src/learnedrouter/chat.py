"""What a chat request and its answer are, whoever wrote them and whoever answers. Frozen, no I/O.

A request keeps its body as the caller wrote it (``body``, in the caller's dialect), so that a provider of the same
dialect gets every field, known to us or not. Beside it stands what routing reads of it without knowing the dialect:
``turns`` and ``needs``.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "unknown"]


class Dialect(StrEnum):
    """The wire formats that requests and answers come in."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


@dataclass(frozen=True, slots=True)
class ModelRef:
    """One model at one provider.

    Parameters
    ----------
    provider
        The provider's name in the configuration.
    model
        The model's name in the configuration, which is also what answers and bills call it.
    """

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


@dataclass(frozen=True, slots=True)
class Turn:
    """The readable text of one message; images, tool arguments and reasoning are not in it."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Needs:
    """What a model must be able to do to serve a request at all, whatever the classifier says."""

    images: bool = False
    tools: bool = False
    json_schema: bool = False
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and on whose account.

    Parameters
    ----------
    key
        What the caller's key is known by, never the key; None where nobody needs one.
    tags
        The caller's own names for what the request belongs to: ``{"team": "search"}``.
    """

    key: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


ANYBODY = Caller()


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One request.

    Parameters
    ----------
    dialect
        The dialect that `body` is written in.
    body
        The request as the caller wrote it, without fields that are learnedrouter's own.
    turns
        Its messages, oldest first, as text.
    needs
        What it demands of a model.
    headers
        The HTTP headers that came with it, by their names in small letters; keys are not among them.
    author
        The model that wrote the answers in it, where that is known: no other takes its thinking.
    """

    dialect: Dialect
    body: Mapping[str, Any]
    turns: tuple[Turn, ...]
    needs: Needs = Needs()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    author: str | None = None

    @property
    def input_tokens_estimate(self) -> int:
        """Tokens that the request is likely to be billed for, by its size in UTF-8: 4 bytes a token; images are not in it."""
        tools = self.body.get("tools")
        listed = len(json.dumps(tools)) if tools else 0
        said = sum(len(turn.text.encode("utf-8", "replace")) for turn in self.turns)
        return (said + listed) // 4 + 4 * len(self.turns)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model wants made; `arguments` is the JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Billed tokens, in disjoint classes; None is unknown, which is not 0.

    OpenAI counts cached tokens inside its prompt tokens, Anthropic beside them: the dialects take them apart. Two counts are
    parts of others: ``reasoning_tokens`` of ``output_tokens``, billed at the same price and None where the provider does
    not tell; ``cache_write_1h_tokens`` of ``cache_write_tokens``, kept for an hour and dearer than the rest, which is
    kept for five minutes.
    """

    input_tokens: int | None = None
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_write_1h_tokens: int = 0

    @property
    def told(self) -> bool:
        """Whether the provider told anything at all; where it did not, the zeros here are unknown too."""
        return self != UNTOLD


UNTOLD = Usage()
"""Of an answer whose provider told nothing about it."""


@dataclass(frozen=True, slots=True)
class Completion:
    """One whole answer, normalised.

    Parameters
    ----------
    text
        What the model wrote for the reader; empty where it only called tools.
    tool_calls
        In the model's order.
    finish_reason
        Why it stopped, in OpenAI's words.
    usage
        Tokens billed.
    body
        The answer as it came from the provider; once served, in the caller's dialect and under our name for the model.
    """

    text: str
    tool_calls: tuple[ToolCall, ...]
    finish_reason: FinishReason
    usage: Usage
    body: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Chunk:
    """One server-sent event of a streamed answer.

    Parameters
    ----------
    event
        Its name; OpenAI's events have none.
    data
        What it says, in the dialect of the stream. OpenAI's closing ``[DONE]`` says nothing and is no chunk.
    """

    event: str | None
    data: Mapping[str, Any]
