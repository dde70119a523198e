import asyncio
import gzip
import json
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from learnedrouter import errors
from learnedrouter.chat import ToolCall, Usage
from learnedrouter.providers import anthropic as ours_anthropic
from learnedrouter.providers import openai as ours_openai
from learnedrouter.providers.anthropic import AnthropicProvider
from learnedrouter.providers.openai import OpenAIProvider
from tests.wire import Handler, chat_completion, client, message

KEY = "sk-very-secret-0123456789"
PROVIDERS = {"openai": OpenAIProvider, "anthropic": AnthropicProvider}
UNREADABLE: dict[str, Any] = (
    chat_completion() | {"choices": [{"message": {"content": 5}}]} | {"type": "message", "content": [{"type": "text"}]}
)
BODIES = {"openai": chat_completion(), "anthropic": message()}


def complete(name: str, handler: Handler, body: dict[str, Any] | None = None) -> Any:
    async def call() -> Any:
        provider = PROVIDERS[name](KEY, "https://provider.test", client(handler))
        try:
            return await provider.complete(body or {"model": "m", "messages": [], "max_tokens": 5}, timeout_seconds=5)
        finally:
            await provider.aclose()

    return asyncio.run(call())


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_body_arrives_as_it_was_written(name: str) -> None:
    """Fields that no SDK has heard of reach the provider, and the key goes where that provider looks for it."""
    seen: list[httpx2.Request] = []

    def server(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, json=BODIES[name])

    body = {"model": "m", "messages": [{"role": "user", "content": "2+2", "x_mark": 1}], "max_tokens": 5, "x_invented": {"deep": [1]}}
    complete(name, server, body)

    assert json.loads(seen[0].content) == body
    assert KEY in (seen[0].headers.get("authorization", "") + seen[0].headers.get("x-api-key", ""))
    assert len(seen) == 1


@pytest.mark.parametrize("name", PROVIDERS)
def test_an_answer_is_normalised(name: str) -> None:
    """Text, reason and usage come out the same from both dialects; the answer itself stays whole beside them."""
    completion = complete(name, lambda request: httpx2.Response(200, json={**BODIES[name], "x_extra": 1}))

    assert (completion.text, completion.finish_reason, completion.tool_calls) == ("four", "stop", ())
    assert completion.usage == Usage(input_tokens=10, output_tokens=3)
    assert completion.body["x_extra"] == 1


def test_openai_usage_is_taken_apart() -> None:
    """OpenAI counts cached tokens inside the prompt tokens; ours are disjoint."""
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 30,
        "prompt_tokens_details": {"cached_tokens": 80},
        "completion_tokens_details": {"reasoning_tokens": 20},
    }

    completion = complete("openai", lambda request: httpx2.Response(200, json=chat_completion(usage=usage)))

    assert completion.usage == Usage(20, cache_read_tokens=80, output_tokens=30, reasoning_tokens=20)


def test_deepseek_names_its_cached_tokens_otherwise() -> None:
    """A compatible endpoint's own field is read too."""
    usage = {"prompt_tokens": 100, "completion_tokens": 1, "prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36}

    completion = complete("openai", lambda request: httpx2.Response(200, json=chat_completion(usage=usage)))

    assert completion.usage == Usage(36, cache_read_tokens=64, output_tokens=1)


def test_anthropic_usage_is_disjoint_already() -> None:
    """Cache reads and writes stand beside the input tokens."""
    usage = {"input_tokens": 5, "cache_read_input_tokens": 80, "cache_creation_input_tokens": 15, "output_tokens": 7}

    completion = complete("anthropic", lambda request: httpx2.Response(200, json=message(usage=usage)))

    assert completion.usage == Usage(5, cache_read_tokens=80, cache_write_tokens=15, output_tokens=7)


@pytest.mark.parametrize("name", PROVIDERS)
def test_an_answer_without_usage_has_an_unknown_one(name: str) -> None:
    """What was not said is not 0."""
    completion = complete(name, lambda request: httpx2.Response(200, json={**BODIES[name], "usage": None}))

    assert (completion.usage.input_tokens, completion.usage.output_tokens) == (None, None)


def test_tool_calls_have_one_shape() -> None:
    """The arguments are JSON text, whichever dialect they came in."""
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    choice = {"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}
    block = {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Oslo"}}
    answers = {"openai": chat_completion(choices=[choice]), "anthropic": message(content=[block], stop_reason="tool_use")}

    for name, answer in answers.items():
        completion = complete(name, lambda request, answer=answer: httpx2.Response(200, json=answer))  # type: ignore[misc]

        assert completion.tool_calls == (ToolCall("c1", "weather", '{"city": "Oslo"}'),)
        assert (completion.finish_reason, completion.text) == ("tool_calls", "")


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.ProviderRejected),
        (401, errors.ProviderDenied),
        (403, errors.ProviderDenied),
        (404, errors.ProviderDenied),
        (408, errors.ProviderUnavailable),
        (413, errors.ProviderRejected),
        (422, errors.ProviderRejected),
        (429, errors.ProviderRateLimited),
        (500, errors.ProviderUnavailable),
        (503, errors.ProviderUnavailable),
        (529, errors.ProviderUnavailable),
    ],
)
def test_every_status_has_its_error(name: str, status: int, kind: type[errors.ProviderError]) -> None:
    """One call, no retries of the SDK's own; the status and the wait are kept, and the key is not."""
    calls: list[int] = []

    def server(request: httpx2.Request) -> httpx2.Response:
        calls.append(1)
        return httpx2.Response(status, json={"error": {"message": f"no: {KEY}"}}, headers={"retry-after": "7"})

    with pytest.raises(kind) as caught:
        complete(name, server)

    assert caught.value.status == status
    assert caught.value.retry_after_seconds == (7 if status in (408, 429) or status >= 500 else None)
    assert KEY not in str(caught.value)
    assert len(calls) == 1


def raised(error: Exception) -> Handler:
    def server(request: httpx2.Request) -> httpx2.Response:
        raise error

    return server


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize(
    ("server", "kind"),
    [
        (raised(httpx2.ConnectError("refused")), errors.ProviderUnavailable),
        (raised(httpx2.ReadTimeout("slow")), errors.ProviderTimeout),
        (raised(httpx2.RemoteProtocolError("cut")), errors.ProviderUnavailable),
        (lambda request: httpx2.Response(200, text="<html>proxy error</html>"), errors.ProviderUnavailable),
        (lambda request: httpx2.Response(200, text=""), errors.ProviderUnavailable),
        (lambda request: httpx2.Response(200, json={}), errors.ProviderUnavailable),
        (lambda request: httpx2.Response(200, json=[]), errors.ProviderUnavailable),
        (lambda request: httpx2.Response(200, json={"type": "message", "choices": [], "content": 5}), errors.ProviderUnavailable),
        (lambda request: httpx2.Response(200, json=UNREADABLE), errors.ProviderUnavailable),
    ],
)
def test_what_is_no_answer_is_unavailable(name: str, server: Handler, kind: type[errors.ProviderError]) -> None:
    """Broken connections and unreadable answers are the provider's failure, so another model may take over."""
    with pytest.raises(kind):
        complete(name, server)


@pytest.mark.parametrize("name", PROVIDERS)
def test_no_repr_shows_the_key(name: str) -> None:
    """Neither the provider nor what it holds prints its key."""
    provider = PROVIDERS[name](KEY)

    assert KEY not in repr(provider)
    assert KEY not in repr(provider._client)


def errors_of(module: Any, root: type[Exception]) -> list[type[Exception]]:
    found, waiting = [], [root]
    while waiting:
        kind = waiting.pop()
        found.append(kind)
        waiting.extend(kind.__subclasses__())
    return sorted(found, key=lambda kind: kind.__name__)


RESPONSE = httpx2.Response(400, request=httpx2.Request("POST", "https://provider.test"))
RECIPES: tuple[dict[str, Any], ...] = (
    {"message": "m", "response": RESPONSE, "body": None},
    {"message": "m", "request": RESPONSE.request, "body": None},
    {"message": "m", "request": RESPONSE.request},
    {"request": RESPONSE.request},
    {"response": RESPONSE, "body": None},
    {"message": "m"},
)


@pytest.mark.parametrize(
    ("ours", "kind"),
    [(ours_openai, kind) for kind in errors_of(openai, openai.OpenAIError)]
    + [(ours_anthropic, kind) for kind in errors_of(anthropic, anthropic.AnthropicError)],
)
def test_every_error_of_the_sdk_is_mapped(ours: Any, kind: type[Exception]) -> None:
    """Whatever an SDK can raise becomes a provider error, even what it will only raise in its next version."""
    error = kind.__new__(kind)
    for recipe in RECIPES:
        try:
            error = kind(**recipe)
        except TypeError:
            continue
        break

    assert isinstance(ours.map_error(error, KEY), errors.ProviderError)


async def over_loopback(name: str, answer: bytes | None, timeout_seconds: float = 5) -> Any:
    """Ask a provider on a real connection, which is closed after `answer`; None leaves it open and says nothing."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    provider = PROVIDERS[name](KEY, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        return await provider.complete({"model": "m", "messages": [], "max_tokens": 5}, timeout_seconds=timeout_seconds)
    finally:
        await provider.aclose()
        server.close()


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", errors.ProviderUnavailable),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{", errors.ProviderUnavailable),
        (b"no HTTP at all\r\n\r\n", errors.ProviderUnavailable),
        (None, errors.ProviderTimeout),
    ],
)
def test_a_lost_connection_is_no_timeout(name: str, answer: bytes | None, kind: type[errors.ProviderError]) -> None:
    """Over a real connection too: what breaks is unavailable, and only what takes too long is a timeout."""
    with pytest.raises(kind):
        asyncio.run(over_loopback(name, answer, timeout_seconds=0.1 if answer is None else 5))


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_compressed_answer_is_read(name: str) -> None:
    """Providers compress what they send."""
    content = gzip.compress(json.dumps(BODIES[name]).encode())
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(content)}\r\n\r\n"
    assert asyncio.run(over_loopback(name, head.encode() + content)).text == "four"
