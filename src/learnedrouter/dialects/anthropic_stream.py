"""Streams of the Anthropic messages dialect, taken apart.

Source: https://docs.anthropic.com/en/docs/build-with-claude/streaming.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from learnedrouter.chat import Chunk
from learnedrouter.dialects.anthropic_messages import THINKING, read_finish_reason, read_refusal, read_usage, write_arguments
from learnedrouter.dialects.pieces import CallArguments, CallBegun, Counted, Finished, Opened, Piece, Refusal, Text
from learnedrouter.dialects.reading import optional, required, section

_FRAME_EVENTS = frozenset({"message_start", "content_block_stop", "message_delta", "message_stop", "ping", "error"})
_TEXTS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}


class AnthropicStream:
    """Takes a stream apart; it is complete when it says so."""

    def __init__(self) -> None:
        self.complete = False
        self._usage: dict[str, Any] = {}
        self._calls: dict[int, int] = {}  # block to call
        self._silent: dict[int, Any] = {}  # input of the calls none of whose arguments came yet, by block

    def feed(self, chunk: Chunk) -> Iterator[Piece]:
        """Yield what an event says."""
        data = chunk.data
        kind = required(data, "type", str, "type")
        if kind == "message_start":
            message = required(data, "message", dict, "message")
            self._usage = dict(optional(message, "usage", dict, "message.usage") or {})
            self._usage.pop("output_tokens", None)  # of the first instant, where a stream that is cut would leave it
            yield Opened(optional(message, "id", str, "message.id") or "")
            yield Counted(read_usage(self._usage))
        elif kind == "content_block_start":
            yield from self._block(required(data, "index", int, "index"), required(data, "content_block", dict, "content_block"))
        elif kind == "content_block_delta":
            yield from self._delta(required(data, "index", int, "index"), required(data, "delta", dict, "delta"))
        elif kind == "content_block_stop":
            index = required(data, "index", int, "index")
            if index in self._silent:
                yield CallArguments(self._calls[index], write_arguments(self._silent.pop(index)))
        elif kind == "message_delta":
            yield from self._end(data)
        elif kind == "message_stop":
            self.complete = True

    def _block(self, index: int, block: Mapping[str, Any]) -> Iterator[Piece]:
        kind = required(block, "type", str, "content_block.type")
        if kind == "tool_use":
            self._calls[index] = len(self._calls)
            self._silent[index] = optional(block, "input", dict, "content_block.input")
            name = required(block, "name", str, "content_block.name")
            yield CallBegun(self._calls[index], required(block, "id", str, "content_block.id"), name)
        elif kind == "text" and (text := optional(block, "text", str, "content_block.text")):
            yield Text(text)

    def _delta(self, index: int, delta: Mapping[str, Any]) -> Iterator[Piece]:
        kind = required(delta, "type", str, "delta.type")
        if kind == "text_delta":
            if text := required(delta, "text", str, "delta.text"):
                yield Text(text)
        elif kind == "input_json_delta" and index in self._calls and (text := required(delta, "partial_json", str, "delta.partial_json")):
            self._silent.pop(index, None)
            yield CallArguments(self._calls[index], text)

    def _end(self, data: Mapping[str, Any]) -> Iterator[Piece]:
        delta = optional(data, "delta", dict) or {}
        if refusal := read_refusal(delta):
            yield Refusal(refusal)
        if (reason := optional(delta, "stop_reason", str, "delta.stop_reason")) is not None:
            yield Finished(read_finish_reason(reason))
        counts = optional(data, "usage", dict) or {}
        self._usage |= {key: value for key, value in counts.items() if value is not None}
        yield Counted(read_usage(self._usage))


def carries_content(chunk: Chunk) -> bool:
    """Return whether an event holds any of the answer, and not just its frame; an unknown event does."""
    kind, block, delta = str(chunk.data.get("type")), section(chunk.data, "content_block"), section(chunk.data, "delta")
    if kind in _FRAME_EVENTS:
        return False
    if kind == "content_block_start":
        begun = str(block.get("type"))
        return bool(block.get("text")) if begun == "text" else begun not in THINKING
    if kind == "content_block_delta":
        more = str(delta.get("type"))
        return bool(delta.get(_TEXTS[more])) if more in _TEXTS else more != "signature_delta"
    return True
