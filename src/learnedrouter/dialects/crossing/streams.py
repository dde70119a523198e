"""Giving a stream in another dialect than the provider's."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from learnedrouter.chat import Chunk, Dialect, Usage
from learnedrouter.dialects.crossing.answers import anthropic_usage, finish_reason, openai_usage, stop_reason
from learnedrouter.dialects.pieces import CallArguments, CallBegun, Opened, Piece, Refusal, Text
from learnedrouter.dialects.streams import StreamReader
from learnedrouter.errors import ProviderUnavailable


class Writer(Protocol):
    """Writes a stream as the caller is to see it."""

    def write(self, chunk: Chunk, pieces: Sequence[Piece]) -> Iterator[Chunk]:
        """Yield what becomes of a provider's chunk, which says `pieces`."""

    def finish(self, reader: StreamReader) -> Iterator[Chunk]:
        """Yield what is still due after the provider's last chunk."""


class StreamCrossing:
    """A provider's stream, becoming its caller's.

    Parameters
    ----------
    reader
        Knows at any time what the provider streamed so far.
    writer
        Writes it for the caller.
    """

    def __init__(self, reader: StreamReader, writer: Writer) -> None:
        self.reader = reader
        self._writer = writer

    def feed(self, chunk: Chunk) -> list[Chunk]:
        """Return what the caller gets for a provider's chunk: often one, sometimes none or several.

        Raises
        ------
        ProviderUnavailable
            The chunk is malformed, or is the provider's error.
        """
        return list(self._writer.write(chunk, self.reader.feed(chunk)))

    def finish(self) -> list[Chunk]:
        """Return what is still due once the provider's stream has ended; to be called once.

        Raises
        ------
        ProviderUnavailable
            The stream was cut: it ended before it said that the answer did.
        """
        if not self.reader.complete:
            raise ProviderUnavailable("the stream ended before the answer did")
        return list(self._writer.finish(self.reader))


def stream_for(written_in: Dialect, wanted: Dialect, *, model: str, created: int, include_usage: bool) -> StreamCrossing:
    """Return the crossing of one stream.

    Parameters
    ----------
    written_in, wanted
        The provider's dialect, and the caller's; where they are the same, only the model's name changes.
    model
        The model's name, as the caller is to see it.
    created
        Unix time in seconds, for OpenAI's chunks where the provider's have none.
    include_usage
        Whether a caller of OpenAI's dialect asked for usage at the end (`wants_usage`). Anthropic's always get it.
    """
    if written_in is wanted:
        writer: Writer = SameAnthropic(model) if wanted is Dialect.ANTHROPIC else SameOpenAI(model, include_usage)
    else:
        writer = ToAnthropic(model) if wanted is Dialect.ANTHROPIC else ToOpenAI(model, created, include_usage)
    return StreamCrossing(StreamReader(written_in), writer)


class SameAnthropic:
    """Passes a stream of Anthropic's dialect on, under the caller's name for the model."""

    def __init__(self, model: str) -> None:
        self._model = model

    def write(self, chunk: Chunk, pieces: Sequence[Piece]) -> Iterator[Chunk]:
        """See `Writer.write`."""
        message = chunk.data.get("message")
        if isinstance(message, Mapping) and "model" in message:
            chunk = Chunk(chunk.event, {**chunk.data, "message": {**message, "model": self._model}})
        yield chunk

    def finish(self, reader: StreamReader) -> Iterator[Chunk]:
        """See `Writer.finish`."""
        return iter(())


class SameOpenAI:
    """Passes a stream of OpenAI's dialect on, without the usage that was asked for on our own account only."""

    def __init__(self, model: str, include_usage: bool) -> None:
        self._model, self._include_usage = model, include_usage

    def write(self, chunk: Chunk, pieces: Sequence[Piece]) -> Iterator[Chunk]:
        """See `Writer.write`."""
        data = {**chunk.data, "model": self._model}
        if not self._include_usage and "usage" in data:
            if data["usage"] and not data.get("choices"):
                return
            if not data["usage"]:
                del data["usage"]
        yield Chunk(chunk.event, data)

    def finish(self, reader: StreamReader) -> Iterator[Chunk]:
        """See `Writer.finish`."""
        return iter(())


class ToOpenAI:
    """Writes a stream in OpenAI's dialect."""

    def __init__(self, model: str, created: int, include_usage: bool) -> None:
        self._frame: dict[str, Any] = {"id": "", "object": "chat.completion.chunk", "created": created, "model": model}
        self._include_usage = include_usage

    def write(self, chunk: Chunk, pieces: Sequence[Piece]) -> Iterator[Chunk]:
        """See `Writer.write`."""
        for piece in pieces:
            match piece:
                case Opened(identity):
                    self._frame["id"] = identity
                    yield self._delta({"role": "assistant", "content": ""})
                case Text(text):
                    yield self._delta({"content": text})
                case Refusal(text):
                    yield self._delta({"refusal": text})
                case CallBegun(call, identity, name):
                    function = {"name": name, "arguments": ""}
                    yield self._delta({"tool_calls": [{"index": call, "id": identity, "type": "function", "function": function}]})
                case CallArguments(call, text):
                    yield self._delta({"tool_calls": [{"index": call, "function": {"arguments": text}}]})
                case _:
                    pass  # why it ended and what it used are told in the end

    def finish(self, reader: StreamReader) -> Iterator[Chunk]:
        """See `Writer.finish`."""
        yield self._delta({}, finish_reason(reader.finish_reason))
        if self._include_usage and (usage := openai_usage(reader.usage)):
            yield Chunk(None, {**self._frame, "choices": [], "usage": usage})

    def _delta(self, delta: dict[str, Any], finish: str | None = None) -> Chunk:
        data = {**self._frame, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}
        return Chunk(None, {**data, "usage": None} if self._include_usage else data)


class ToAnthropic:
    """Writes a stream in Anthropic's dialect, whose blocks follow each other, each closed before the next is opened."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._block = -1  # the newest; open, unless _open is None
        self._open: str | int | None = None  # "text", or the number of a tool call

    def write(self, chunk: Chunk, pieces: Sequence[Piece]) -> Iterator[Chunk]:
        """See `Writer.write`."""
        for piece in pieces:
            match piece:
                case Opened(identity):
                    yield _event("message_start", message=self._message(identity))
                case Text(text) | Refusal(text):
                    if self._open != "text":
                        yield from self._begin("text", {"type": "text", "text": ""})
                    yield self._delta({"type": "text_delta", "text": text})
                case CallBegun(call, identity, name):
                    yield from self._begin(call, {"type": "tool_use", "id": identity, "name": name, "input": {}})
                case CallArguments(call, text):
                    if self._open != call:
                        raise ProviderUnavailable(f"more arguments of tool call {call} came after the next part of the answer had begun")
                    yield self._delta({"type": "input_json_delta", "partial_json": text})
                case _:
                    pass  # why it ended and what it used are told in the end

    def finish(self, reader: StreamReader) -> Iterator[Chunk]:
        """See `Writer.finish`."""
        yield from self._close()
        reason = stop_reason(reader.finish_reason, calls=bool(reader.tool_calls), refused=reader.refused)
        yield _event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage=anthropic_usage(reader.usage))
        yield _event("message_stop")

    def _message(self, identity: str) -> dict[str, Any]:
        """Return the frame of a message; its usage, not known yet, is told in the end, where clients take it from."""
        frame = {"id": identity, "type": "message", "role": "assistant", "model": self._model, "content": []}
        return {**frame, "stop_reason": None, "stop_sequence": None, "usage": anthropic_usage(Usage())}

    def _begin(self, part: str | int, block: dict[str, Any]) -> Iterator[Chunk]:
        yield from self._close()
        self._block, self._open = self._block + 1, part
        yield _event("content_block_start", index=self._block, content_block=block)

    def _close(self) -> Iterator[Chunk]:
        if self._open is not None:
            self._open = None
            yield _event("content_block_stop", index=self._block)

    def _delta(self, delta: dict[str, Any]) -> Chunk:
        return _event("content_block_delta", index=self._block, delta=delta)


def _event(kind: str, **fields: Any) -> Chunk:
    return Chunk(kind, {"type": kind, **fields})
