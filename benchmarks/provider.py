"""A provider of both dialects that answers at once, so that what a benchmark measures is the router.

    python benchmarks/provider.py

Prints its port, then serves on loopback until it is terminated. It speaks OpenAI's chat completions and Anthropic's messages, whole and
streamed, and does as little as it can: a protocol over httptools, no framework.
"""

import asyncio
import json
from typing import Any, cast

import httptools
import uvloop

WORDS = ("alpha", " beta", " gamma", " delta")
"""The answer; the first word is how a load generator knows the first token."""

_HEAD = b"HTTP/1.1 %s\r\ncontent-type: %s\r\n%s\r\n\r\n"


class Provider(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport, self._parser = cast(asyncio.Transport, transport), httptools.HttpRequestParser(self)
        self._url, self._body = b"", b""

    def data_received(self, data: bytes) -> None:
        """Take bytes in."""
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        """Forget the request before."""
        self._url, self._body = b"", b""

    def on_url(self, url: bytes) -> None:
        """Take the path in."""
        self._url += url

    def on_body(self, body: bytes) -> None:
        """Take the body in."""
        self._body += body

    def on_message_complete(self) -> None:
        """Answer."""
        body = json.loads(self._body)
        anthropic = self._url.endswith(b"/messages")
        if body.get("stream"):
            self._transport.write(_HEAD % (b"200 OK", b"text/event-stream", b"transfer-encoding: chunked"))
            for frame in _anthropic_frames(body["model"]) if anthropic else _openai_frames(body["model"]):
                self._transport.write(b"%x\r\n%s\r\n" % (len(frame), frame))
            self._transport.write(b"0\r\n\r\n")
            return
        content = json.dumps(_message(body["model"]) if anthropic else _completion(body["model"])).encode()
        self._transport.write(_HEAD % (b"200 OK", b"application/json", b"content-length: %d" % len(content)) + content)


def _completion(model: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "".join(WORDS)}, "logprobs": None, "finish_reason": "stop"}
    usage = {"prompt_tokens": 20, "completion_tokens": 4, "total_tokens": 24}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model, "choices": [choice], "usage": usage}


def _openai_frames(model: str) -> list[bytes]:
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model}
    deltas: list[tuple[dict[str, Any], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": word}, None) for word in WORDS] + [({}, "stop")]
    chunks: list[dict[str, Any]] = [
        {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": None} for delta, finish in deltas
    ]
    chunks.append({**base, "choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": 4, "total_tokens": 24}})
    return [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks] + [b"data: [DONE]\n\n"]


def _message(model: str) -> dict[str, Any]:
    content = [{"type": "text", "text": "".join(WORDS)}]
    frame = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "stop_reason": "end_turn", "stop_sequence": None}
    return {**frame, "content": content, "usage": {"input_tokens": 20, "output_tokens": 4}}


def _anthropic_frames(model: str) -> list[bytes]:
    opened = {**_message(model), "content": [], "stop_reason": None}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": opened},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}} for word in WORDS),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 4}},
        {"type": "message_stop"},
    ]
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]


async def main() -> None:
    """Serve."""
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
