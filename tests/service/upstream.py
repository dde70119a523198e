"""A provider of both dialects over real HTTP, which does what the prompt tells it.

``[[MODEL: ACTION]]`` anywhere in a prompt tells MODEL what to do; without it, it answers ``alpha beta gamma``.
"""

import asyncio
import json
import re
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

WORDS = ("alpha", " beta", " gamma")
_COMMAND = re.compile(r"\[\[(\S+): ([^\]]+)\]\]")
_INVENTED = {"x_invented": {"deep": [1, None, "é"]}}


@contextmanager
def serving(app: Any, **options: Any) -> Iterator[str]:
    """Serve `app` on loopback in a thread; gives its address."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", access_log=False, timeout_graceful_shutdown=1, **options))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)


class Upstream:
    """The provider: an ASGI application, and what it has seen."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.hung_up: list[str] = []
        self.disconnected = threading.Event()
        self.hanging = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        raw, more = b"", True
        while more:
            message = await receive()
            raw, more = raw + message.get("body", b""), message.get("more_body", False)
        body = json.loads(raw)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.requests.append({"path": scope["path"], "headers": headers, "body": body})
        actions = dict(_COMMAND.findall(json.dumps(body["messages"])))
        await _Answer(self, scope["path"], body, actions.get(body["model"], "answer"), receive, send).give()


class _Answer:
    def __init__(self, upstream: Upstream, path: str, body: dict[str, Any], action: str, receive: Any, send: Any) -> None:
        self.upstream, self.path, self.body, self.action = upstream, path, body, action
        self.receive, self.send = receive, send
        self.anthropic = "/messages" in path

    async def give(self) -> None:
        kind, *arguments = self.action.split()
        if kind == "status":
            headers = [(b"retry-after", arguments[1].encode())] if len(arguments) > 1 else []
            await self.whole(
                {"type": "error", "error": {"type": "e", "message": f"told to say {arguments[0]}"}}, int(arguments[0]), headers
            )
        elif kind == "once" and len([r for r in self.upstream.requests if r["body"] == self.body]) == 1:
            await self.whole({"error": {"message": "not yet"}}, 429, [(b"retry-after", b"0.2")])
        elif kind == "hang":
            await self.hang()
        elif kind == "garbage":
            await self.start(200, b"text/html")
            await self.part(b"<html>a proxy's page</html>", last=True)
        elif self.path.endswith("count_tokens"):
            await self.whole({"input_tokens": 4711})
        elif self.body.get("stream"):
            await self.stream(kind)
        else:
            await self.answer(kind, " ".join(arguments))

    async def answer(self, kind: str, text: str) -> None:
        content = json.dumps(self.completion(text if kind == "say" else "".join(WORDS), "max_tokens" if kind == "truncate" else "end_turn"))
        await self.start(200, b"application/json")
        if kind == "cut":
            await self.part(content[:20].encode())
        elif kind == "bytes":
            for byte in content.encode():
                await self.part(bytes([byte]))
                await asyncio.sleep(0)
            await self.part(b"", last=True)
        else:
            await self.part(content.encode(), last=True)

    async def stream(self, kind: str) -> None:
        """Failures named ``-before`` come before the first content, ``-after`` after the first word."""
        failure, _, place = kind.partition("-")
        await self.start(200, b"text/event-stream")
        async for name, frame in self.frames():
            if name == ("content 0" if place == "before" else "content 1") and failure in ("cut", "malformed", "error", "hang"):
                await self.fail(failure)
                return
            for part in [bytes([byte]) for byte in frame] if kind == "bytes" else [frame]:
                await self.part(part)
        await self.part(b"", last=True)

    async def fail(self, failure: str) -> None:
        if failure == "hang":
            await self.hang()
        elif failure == "malformed":
            await self.part(b"event: content_block_delta\ndata: {not json\n\n", last=True)
        elif failure == "error":
            error = {"type": "error", "error": {"type": "overloaded_error", "message": "told to fail"}}
            await self.part(b"event: error\ndata: " + json.dumps(error).encode() + b"\n\n", last=True)

    async def hang(self) -> None:
        self.upstream.hanging.set()
        while (await self.receive())["type"] != "http.disconnect":
            pass
        self.upstream.hung_up.append(self.body["model"])
        self.upstream.disconnected.set()

    async def frames(self) -> AsyncIterator[tuple[str, bytes]]:
        for name, data in self.anthropic_events() if self.anthropic else self.openai_events():
            event = f"event: {data['type']}\n" if self.anthropic else ""
            yield name, f"{event}data: {json.dumps(data)}\n\n".encode()
        if not self.anthropic:
            yield "end", b"data: [DONE]\n\n"

    def anthropic_events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        message = {**self.completion("", None), "content": [], **_INVENTED}
        yield "start", {"type": "message_start", "message": message}
        yield "block", {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        yield "ping", {"type": "ping"}
        for place, word in enumerate(WORDS):
            yield f"content {place}", {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
        yield "stop", {"type": "content_block_stop", "index": 0}
        delta = {"stop_reason": "end_turn", "stop_sequence": None}
        yield "end", {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 3}}
        yield "end", {"type": "message_stop"}

    def openai_events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        base = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": self.body["model"], **_INVENTED}

        def delta(content: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
            return {**base, "choices": [{"index": 0, "delta": content, "finish_reason": finish}]}

        yield "start", delta({"role": "assistant", "content": ""})
        for place, word in enumerate(WORDS):
            yield f"content {place}", delta({"content": word})
        yield "stop", delta({}, "stop")
        if (self.body.get("stream_options") or {}).get("include_usage"):
            yield "end", {**base, "choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}}

    def completion(self, text: str, stop: str | None) -> dict[str, Any]:
        model = self.body["model"]
        if self.anthropic:
            content = [{"type": "text", "text": text}]
            usage = {"input_tokens": 10, "output_tokens": 3}
            frame = {"id": "m", "type": "message", "role": "assistant", "model": model, "stop_sequence": None}
            return {**frame, "content": content, "stop_reason": stop, "usage": usage, **_INVENTED}
        finish = "length" if stop == "max_tokens" else "stop"
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish, "logprobs": None}
        usage = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}
        return {"id": "c", "object": "chat.completion", "created": 1, "model": model, "choices": [choice], "usage": usage, **_INVENTED}

    async def whole(self, content: dict[str, Any], status: int = 200, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        await self.start(status, b"application/json", headers or [])
        await self.part(json.dumps(content).encode(), last=True)

    async def start(self, status: int, kind: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        await self.send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind), *(headers or [])]})

    async def part(self, body: bytes, *, last: bool = False) -> None:
        await self.send({"type": "http.response.body", "body": body, "more_body": not last})
