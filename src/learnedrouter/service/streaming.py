"""Streamed answers over HTTP, and callers that hang up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from learnedrouter.chat import Chunk, Dialect
from learnedrouter.dialects import sse
from learnedrouter.dialects.error_shapes import error_chunk
from learnedrouter.errors import ProviderError
from learnedrouter.recording import RoutedStream
from learnedrouter.service import http
from learnedrouter.service.failures import error_json, meaning
from learnedrouter.service.schemas import attempts_json, decision_json, routed_json

T = TypeVar("T")


async def unless_disconnected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` gives; cancel it as soon as the caller is gone.

    Parameters
    ----------
    receive
        The request's channel, its body read to the end.

    Raises
    ------
    ClientDisconnect
        The caller hung up.
    """
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        for future in (task, gone):
            future.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class EventStream(Response):
    """Sends frames as they come; closes their source once, whatever happens.

    Parameters
    ----------
    frames
        Server-sent events, encoded.
    close
        Closes what `frames` come from.
    headers
        Of the response.
    """

    media_type = "text/event-stream"

    def __init__(self, frames: AsyncIterator[bytes], close: Callable[[], Awaitable[object]], headers: Mapping[str, str]) -> None:
        super().__init__(headers={**headers, "cache-control": "no-cache", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._frames, self._close = frames, close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response, see ASGI."""
        try:
            await unless_disconnected(receive, self._send(send))
        except (ClientDisconnect, OSError):
            pass  # nobody is left to be told
        finally:
            await self._close()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async for frame in self._frames:
            await send({"type": "http.response.body", "body": frame, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def dialect_frames(stream: RoutedStream, dialect: Dialect) -> AsyncIterator[bytes]:
    """Yield a streamed answer in its caller's dialect; where it breaks, the dialect's own error is the last event."""
    end = sse.END[dialect]
    try:
        async for chunk in stream.chunks():
            if chunk.event == sse.LAST:
                end = sse.encode(chunk)  # held back until the answer is booked: with it, the answer is complete
            else:
                yield sse.encode(chunk)
    except ProviderError as error:
        status, kind = meaning(error)
        await stream.aclose()
        yield sse.encode(error_chunk(dialect, status, kind, str(error)))
        return
    event = await stream.aclose()
    # Not known when the headers were sent. Clients skip comments.
    cost, baseline = http.shown_usd(event.cost_usd), http.shown_usd(event.baseline_usd)
    yield f": {http.PREFIX}cost-usd={cost} {http.PREFIX}baseline-usd={baseline}\n\n".encode()
    yield end


async def native_frames(stream: RoutedStream, marks: Mapping[str, Any]) -> AsyncIterator[bytes]:
    """Yield a streamed answer as native events: the decision, the text as it comes, and in the end all the rest.

    Parameters
    ----------
    marks
        Fields that every native answer of this service has beside the documented ones.
    """
    opened = stream.opened
    decided = {"id": stream.plan.id, "decision": decision_json(stream.plan.decision), "model": opened.link.ref.model}
    yield sse.encode(Chunk("decision", decided))
    try:
        async for chunk in stream.chunks():
            for text in _texts(chunk):
                yield sse.encode(Chunk("text", {"text": text}))
    except ProviderError as error:
        _, kind = meaning(error)
        event = await stream.aclose()
        yield sse.encode(Chunk("error", {**error_json(kind, str(error)), "id": event.id, "attempts": attempts_json(event)}))
        return
    event = await stream.aclose()
    yield sse.encode(Chunk("done", {**routed_json(event, stream.completion), **marks}))


def _texts(chunk: Chunk) -> list[str]:
    """Return what a chunk of OpenAI's dialect, which native requests are kept in, adds to the text."""
    deltas = [choice.get("delta") or {} for choice in chunk.data.get("choices") or ()]
    return [text for delta in deltas if (text := delta.get("content") or delta.get("refusal"))]
