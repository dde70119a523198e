"""Streamed answers, of either dialect: what they amount to, and which of their chunks can be held back."""

from collections.abc import Mapping
from typing import Any

from learnedrouter.chat import ChatRequest, Chunk, Completion, Dialect, FinishReason, ToolCall, Usage
from learnedrouter.dialects import anthropic_stream, openai_stream
from learnedrouter.dialects.error_shapes import read_error
from learnedrouter.dialects.pieces import CallArguments, CallBegun, Counted, Finished, Piece, Refusal, Text
from learnedrouter.dialects.reading import provider_answer
from learnedrouter.errors import ProviderUnavailable


def streaming_body(body: Mapping[str, Any], dialect: Dialect) -> dict[str, Any]:
    """Return a provider's body that asks for a stream, and for its usage at the end, which OpenAI tells only when asked."""
    if dialect is Dialect.ANTHROPIC:
        return {**body, "stream": True}
    return {**body, "stream": True, "stream_options": {**(body.get("stream_options") or {}), "include_usage": True}}


def wants_usage(request: ChatRequest) -> bool:
    """Return whether a caller of OpenAI's dialect asked for usage at the end of the stream."""
    options = request.body.get("stream_options")
    return isinstance(options, Mapping) and options.get("include_usage") is True


def carries_content(chunk: Chunk, dialect: Dialect) -> bool:
    """Return whether a chunk holds any of the answer.

    What does not (a role, an empty block's start, a ping, the end) can be held back, so that another model can still
    take over without the caller's noticing. Thinking is part of the answer.
    """
    return anthropic_stream.carries_content(chunk) if dialect is Dialect.ANTHROPIC else openai_stream.carries_content(chunk)


class StreamReader:
    """Adds up what a provider streams, for the bill and the record.

    Parameters
    ----------
    dialect
        The provider's.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._stream = anthropic_stream.AnthropicStream() if dialect is Dialect.ANTHROPIC else openai_stream.OpenAIStream()
        self._texts: list[str] = []
        self._refusals: list[str] = []
        self._calls: list[tuple[CallBegun, list[str]]] = []
        self.finish_reason: FinishReason = "unknown"
        self.usage = Usage()

    def feed(self, chunk: Chunk) -> list[Piece]:
        """Take a chunk in, and return what it says.

        Raises
        ------
        ProviderUnavailable
            The chunk is not what the dialect says it should be, or is the provider's error.
        """
        if error := read_error(chunk, self._dialect):
            raise ProviderUnavailable(error[1], status=error[0])
        with provider_answer("a chunk of a stream"):
            pieces = list(self._stream.feed(chunk))
        for piece in pieces:
            self._add(piece)
        return pieces

    def _add(self, piece: Piece) -> None:
        match piece:
            case Text(text):
                self._texts.append(text)
            case Refusal(text):
                self._refusals.append(text)
            case CallBegun():
                self._calls.append((piece, []))
            case CallArguments(call, text):
                self._calls[call][1].append(text)
            case Finished(finish):
                self.finish_reason = finish
            case Counted(usage):
                self.usage = usage

    @property
    def complete(self) -> bool:
        """Whether the provider said that the answer is whole; what is not was cut."""
        return self._stream.complete

    @property
    def text(self) -> str:
        """What the model wrote for the reader so far, or how it refused."""
        return "".join(self._texts) or "".join(self._refusals)

    @property
    def refused(self) -> bool:
        """Whether the model said anything in refusal."""
        return bool(self._refusals)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls so far, in order; the last may be cut."""
        return tuple(ToolCall(begun.id, begun.name, "".join(arguments) or "{}") for begun, arguments in self._calls)

    def completion(self) -> Completion:
        """Return what came so far as an answer; its body is empty, for there was none."""
        return Completion(self.text, self.tool_calls, self.finish_reason, self.usage, {})
