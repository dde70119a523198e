"""Streams of the OpenAI chat completions dialect, taken apart.

Source: https://platform.openai.com/docs/api-reference/chat-streaming.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from learnedrouter.chat import Chunk
from learnedrouter.dialects.openai_chat import read_finish_reason, read_usage
from learnedrouter.dialects.pieces import CallArguments, CallBegun, Counted, Finished, Opened, Piece, Refusal, Text
from learnedrouter.dialects.reading import objects, optional, required

_CONTENT = ("content", "refusal", "tool_calls", "function_call", "audio", "reasoning_content", "reasoning")


class OpenAIStream:
    """Takes a stream apart. Of several choices (``n``) it reads the first; it is complete when all have finished."""

    def __init__(self) -> None:
        self._opened = False
        self._calls: list[tuple[int | None, str]] = []  # index and id of each call, as the stream names them
        self._choices: set[int] = set()
        self._finished: set[int] = set()

    @property
    def complete(self) -> bool:
        """Whether every choice said why it ended."""
        return bool(self._choices) and self._choices == self._finished

    def feed(self, chunk: Chunk) -> Iterator[Piece]:
        """Yield what a chunk says."""
        if not self._opened:
            self._opened = True
            yield Opened(optional(chunk.data, "id", str) or "")
        for field, choice in objects(chunk.data.get("choices"), "choices"):
            index = optional(choice, "index", int, f"{field}.index") or 0
            self._choices.add(index)
            delta = optional(choice, "delta", dict, f"{field}.delta") or {}
            if index == 0:
                yield from self._delta(delta, f"{field}.delta")
            if (reason := optional(choice, "finish_reason", str, f"{field}.finish_reason")) is not None:
                self._finished.add(index)
                if index == 0:
                    yield Finished(read_finish_reason(reason))
        if usage := optional(chunk.data, "usage", dict):
            yield Counted(read_usage(usage))

    def _delta(self, delta: Mapping[str, Any], field: str) -> Iterator[Piece]:
        if text := optional(delta, "content", str, f"{field}.content"):
            yield Text(text)
        if refusal := optional(delta, "refusal", str, f"{field}.refusal"):
            yield Refusal(refusal)
        for place, fragment in objects(delta.get("tool_calls"), f"{field}.tool_calls"):
            yield from self._fragment(fragment, place)

    def _fragment(self, fragment: Mapping[str, Any], field: str) -> Iterator[Piece]:
        function = optional(fragment, "function", dict, f"{field}.function") or {}
        index, name = optional(fragment, "index", int, f"{field}.index"), optional(fragment, "id", str, f"{field}.id") or ""
        call = self._known(index, name)
        if call is None:
            call = len(self._calls)
            self._calls.append((index, name))
            yield CallBegun(call, name, required(function, "name", str, f"{field}.function.name"))
        if arguments := optional(function, "arguments", str, f"{field}.function.arguments"):
            yield CallArguments(call, arguments)

    def _known(self, index: int | None, name: str) -> int | None:
        """Return which call a fragment goes on with; None where it begins one.

        Some endpoints send no index, some the same index for all calls; a new id is a new call.
        """
        for call in reversed(range(len(self._calls))):
            known_index, known_name = self._calls[call]
            if index == known_index:
                return call if not name or name == known_name else None
        return None


def carries_content(chunk: Chunk) -> bool:
    """Return whether a chunk holds any of the answer, and not just its frame."""
    choices = chunk.data.get("choices")
    deltas = [choice.get("delta") for choice in choices if isinstance(choice, Mapping)] if isinstance(choices, list) else []
    return any(isinstance(delta, Mapping) and any(delta.get(key) for key in _CONTENT) for delta in deltas)
