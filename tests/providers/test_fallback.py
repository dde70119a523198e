import asyncio
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest

from learnedrouter.chat import ModelRef
from learnedrouter.dialects.openai_chat import read_request
from learnedrouter.errors import NoModelAnswered, ProviderDenied, ProviderRejected, ProviderUnavailable, RequestError
from learnedrouter.providers.anthropic import AnthropicProvider
from learnedrouter.providers.bodies import Link
from learnedrouter.providers.fallback import FallbackChain, Served
from learnedrouter.providers.openai import OpenAIProvider
from tests.wire import Handler, chat_completion, client, message

REQUEST = read_request({"messages": [{"role": "user", "content": "2+2?"}]})
OK = httpx2.Response(200, json=chat_completion())
_CHUNK = (
    '{"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": {"content": "four"}}]}'
)
EVENTS = httpx2.Response(200, text=f"data: {_CHUNK}\n\n" * 3 + "data: [DONE]\n\n", headers={"content-type": "text/event-stream"})


def link(model: str, provider: str = "one", timeout_seconds: float = 5.0) -> Link:
    return Link(ModelRef(provider, model), "bulk", f"upstream-{model}", 100, timeout_seconds)


def status(code: int, **headers: str) -> httpx2.Response:
    return httpx2.Response(code, json={"error": {"message": "no"}}, headers=headers)


def by_model(answers: Mapping[str, httpx2.Response | Exception], calls: list[str]) -> Handler:
    def server(request: httpx2.Request) -> httpx2.Response:
        import json

        model = json.loads(request.content)["model"].removeprefix("upstream-")
        calls.append(model)
        answer = answers[model]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return server


def run(
    links: list[Link], handler: Handler, *, deadline_seconds: float = 5.0, times: int = 1, failures: int = 5
) -> list[Served | Exception]:
    """Ask `times` times over one chain of two OpenAI-like providers, and return what came of each."""

    async def ask() -> list[Served | Exception]:
        providers = {name: OpenAIProvider("k", "https://p.test", client(handler)) for name in ("one", "two")}
        chain = FallbackChain(providers, failures=failures, recovery_seconds=0.2)
        results: list[Served | Exception] = []
        for _ in range(times):
            try:
                results.append(await chain.complete(REQUEST, links, deadline_seconds=deadline_seconds))
            except Exception as error:
                results.append(error)
        await chain.aclose()
        return results

    return asyncio.run(ask())


def outcomes(result: Served | Exception) -> list[str]:
    attempts: Any = result.attempts if isinstance(result, Served | NoModelAnswered) else ()
    return [f"{attempt.ref.model}:{attempt.outcome}" for attempt in attempts]


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (status(429), "rate_limited"),
        (status(500), "unavailable"),
        (status(503), "unavailable"),
        (status(529), "unavailable"),
        (httpx2.ConnectError("refused"), "unavailable"),
        (httpx2.ReadTimeout("slow"), "timeout"),
    ],
)
def test_a_failing_provider_is_passed_over(failure: httpx2.Response | Exception, outcome: str) -> None:
    """Timeouts, rate limits, 5xx, 529 and lost connections: the next model answers, and both attempts are told."""
    calls: list[str] = []
    (served,) = run([link("a"), link("b")], by_model({"a": failure, "b": OK}, calls))

    assert isinstance(served, Served)
    assert served.link.ref.model == "b"
    assert outcomes(served) == [f"a:{outcome}", "b:ok"]
    assert calls == ["a", "b"]


@pytest.mark.parametrize("code", [400, 413, 422])
def test_a_refused_request_stops_the_chain(code: int) -> None:
    """The caller's own mistake is told at once; no second model is asked to read it."""
    calls: list[str] = []
    (error,) = run([link("a"), link("b", "two")], by_model({"a": status(code), "b": OK}, calls))

    assert isinstance(error, NoModelAnswered)
    assert isinstance(error.cause, ProviderRejected)
    assert error.cause.status == code
    assert calls == ["a"]


@pytest.mark.parametrize("code", [401, 402, 403, 404])
def test_a_refused_key_skips_to_another_provider(code: int) -> None:
    """Our key or our model name is never the caller's fault; the same provider would only say the same again."""
    calls: list[str] = []
    (served,) = run([link("a"), link("b"), link("c", "two")], by_model({"a": status(code), "b": OK, "c": OK}, calls))

    assert outcomes(served) == ["a:denied", "b:denied_before", "c:ok"]
    assert calls == ["a", "c"]


def test_a_refused_key_with_no_other_provider_is_told() -> None:
    """Where nobody else is left, the error says which key was refused."""
    (error,) = run([link("a"), link("b")], by_model({"a": status(401), "b": OK}, []))

    assert isinstance(error, NoModelAnswered)
    assert isinstance(error.cause, ProviderDenied)
    assert "one/a: denied" in str(error)


def test_when_all_fail_the_error_names_each() -> None:
    """Every model stands in the message with what became of it."""
    (error,) = run([link("a"), link("b")], by_model({"a": status(500), "b": status(429)}, []))

    assert isinstance(error, NoModelAnswered)
    assert "one/a: unavailable" in str(error)
    assert "one/b: rate_limited" in str(error)


def test_an_empty_chain_says_so() -> None:
    """No configured model is an error of its own."""
    (error,) = run([], by_model({}, []))

    assert "none is configured" in str(error)


def test_a_hanging_model_costs_its_timeout_only() -> None:
    """A model that hangs, however it trickles, is given up after its own timeout; the next one answers."""

    async def ask() -> Served:
        async def server(request: httpx2.Request) -> httpx2.Response:
            if b"upstream-a" in request.content:
                await asyncio.sleep(30)
            return OK

        http = httpx2.AsyncClient(transport=httpx2.MockTransport(server))
        chain = FallbackChain({"one": OpenAIProvider("k", "https://p.test", http)}, failures=5, recovery_seconds=1)
        return await chain.complete(REQUEST, [link("a", timeout_seconds=0.05), link("b")], deadline_seconds=5)

    assert outcomes(asyncio.run(ask())) == ["a:timeout", "b:ok"]


def test_one_deadline_holds_for_the_whole_chain() -> None:
    """What is not tried by then is reported as not tried."""

    async def ask() -> NoModelAnswered:
        async def server(request: httpx2.Request) -> httpx2.Response:
            await asyncio.sleep(30)
            return OK

        http = httpx2.AsyncClient(transport=httpx2.MockTransport(server))
        chain = FallbackChain({"one": OpenAIProvider("k", "https://p.test", http)}, failures=5, recovery_seconds=1)
        with pytest.raises(NoModelAnswered) as caught:
            await chain.complete(REQUEST, [link("a"), link("b"), link("c")], deadline_seconds=0.1)
        return caught.value

    assert outcomes(asyncio.run(ask())) == ["a:timeout", "b:deadline", "c:deadline"]


def test_a_dead_model_is_not_asked_every_time() -> None:
    """After three failures in a row the breaker opens, and the model is passed over without a call."""
    calls: list[str] = []
    results = run([link("a"), link("b")], by_model({"a": status(500), "b": OK}, calls), times=5, failures=3)

    assert calls.count("a") == 3
    assert outcomes(results[-1]) == ["a:circuit_open", "b:ok"]


def test_a_breaker_lets_the_model_back_in() -> None:
    """Once its time is over, the model is asked again, and an answer closes the breaker."""

    async def ask() -> list[str]:
        answers: dict[str, httpx2.Response | Exception] = {"a": status(500), "b": OK}
        provider = OpenAIProvider("k", "https://p.test", client(by_model(answers, [])))
        chain = FallbackChain({"one": provider}, failures=1, recovery_seconds=0.05)
        served = []
        for pause in (0, 0, 0.1):
            await asyncio.sleep(pause)
            answers["a"] = status(500) if pause == 0 else OK
            served.append((await chain.complete(REQUEST, [link("a"), link("b")], deadline_seconds=5)).link.ref.model)
        return served

    assert asyncio.run(ask()) == ["b", "b", "a"]


def test_one_request_at_a_time_tries_a_model_that_failed() -> None:
    """A model that hangs costs one request its timeout, not all that come meanwhile; the next may try again."""
    calls: list[str] = []

    async def server(request: httpx2.Request) -> httpx2.Response:
        calls.append("a" if b"upstream-a" in request.content else "b")
        if calls[-1] == "b":
            return OK
        if len(calls) > 2:
            await asyncio.sleep(0.05)
        return status(500)

    async def ask() -> list[list[str]]:
        provider = OpenAIProvider("k", "https://p.test", client(server))
        chain = FallbackChain({"one": provider}, failures=1, recovery_seconds=0.05)
        links = [link("a"), link("b")]
        await chain.complete(REQUEST, links, deadline_seconds=5)
        await asyncio.sleep(0.1)
        crowd = await asyncio.gather(*(chain.complete(REQUEST, links, deadline_seconds=5) for _ in range(4)))
        await asyncio.sleep(0.1)
        return [outcomes(served) for served in (*crowd, await chain.complete(REQUEST, links, deadline_seconds=5))]

    *crowd, later = asyncio.run(ask())

    assert sorted(crowd) == [["a:circuit_open", "b:ok"]] * 3 + [["a:unavailable", "b:ok"]]
    assert later == ["a:unavailable", "b:ok"]


def test_a_stream_that_has_begun_lets_others_in() -> None:
    """A model that failed and now streams is well: nobody waits for the end of the stream to ask it, too."""
    answers = [status(500), EVENTS, EVENTS]

    async def ask() -> list[str]:
        provider = OpenAIProvider("k", "https://p.test", client(lambda _: answers.pop(0)))
        chain = FallbackChain({"one": provider}, failures=1, recovery_seconds=0.05)
        with pytest.raises(NoModelAnswered):
            await chain.complete(REQUEST, [link("a")], deadline_seconds=5)
        await asyncio.sleep(0.1)
        streams = [await chain.stream(REQUEST, [link("a")], deadline_seconds=5) for _ in range(2)]
        for stream in streams:
            await stream.rest.aclose()
        return [attempt.outcome for stream in streams for attempt in stream.attempts]

    assert asyncio.run(ask()) == ["ok", "ok"]


def test_callers_that_hang_up_do_not_keep_a_dead_model_alive() -> None:
    """They say nothing of its health, so they do not make its failures undone either."""

    async def ask() -> list[str]:
        async def server(request: httpx2.Request) -> httpx2.Response:
            if b"upstream-a" in request.content and b"slow" in request.content:
                await asyncio.sleep(30)
            return status(500) if b"upstream-a" in request.content else OK

        provider = OpenAIProvider("k", "https://p.test", client(server))
        chain = FallbackChain({"one": provider}, failures=2, recovery_seconds=30)
        links = [link("a"), link("b")]
        await chain.complete(REQUEST, links, deadline_seconds=5)
        slow = read_request({"messages": [{"role": "user", "content": "slow"}]})
        leaving = asyncio.create_task(chain.complete(slow, links, deadline_seconds=60))
        await asyncio.sleep(0.05)
        leaving.cancel()
        await chain.complete(REQUEST, links, deadline_seconds=5)
        return outcomes(await chain.complete(REQUEST, links, deadline_seconds=5))

    assert asyncio.run(ask()) == ["a:circuit_open", "b:ok"]


@pytest.mark.parametrize("code", [400, 401, 404])
def test_refusals_do_not_open_the_breaker(code: int) -> None:
    """A caller's broken requests must not take a healthy model away from everybody else."""
    calls: list[str] = []
    run([link("a")], by_model({"a": status(code)}, calls), times=6, failures=2)

    assert len(calls) == 6


def test_the_providers_own_name_is_sent() -> None:
    """The configured name is ours; the provider is asked for its own."""
    calls: list[str] = []
    run([link("a")], by_model({"a": OK}, calls))

    assert calls == ["a"]


def test_a_request_that_cannot_cross_goes_to_a_model_that_needs_no_crossing() -> None:
    """Where no model is left that could take it, the error names the field."""
    request = read_request({"messages": [{"role": "user", "content": "x"}], "n": 3})

    async def ask(names: list[str]) -> Any:
        providers = {
            "anthropic": AnthropicProvider("k", "https://a.test", client(lambda _: httpx2.Response(200, json=message()))),
            "openai": OpenAIProvider("k", "https://o.test", client(lambda _: OK)),
        }
        chain = FallbackChain(providers, failures=5, recovery_seconds=1)
        return await chain.complete(request, [link("m", name) for name in names], deadline_seconds=5)

    assert outcomes(asyncio.run(ask(["anthropic", "openai"]))) == ["m:cannot_cross", "m:ok"]
    with pytest.raises(RequestError, match="n: "):
        asyncio.run(ask(["anthropic"]))


def test_a_caller_that_hangs_up_cancels_the_call_and_leaves_the_breaker_alone() -> None:
    """Cancelling goes through to the provider's connection, and says nothing about the model's health."""

    async def ask() -> list[str]:
        async def server(request: httpx2.Request) -> httpx2.Response:
            if b"slow" in request.content:
                await asyncio.sleep(30)
            return OK

        http = httpx2.AsyncClient(transport=httpx2.MockTransport(server))
        chain = FallbackChain({"one": OpenAIProvider("k", "https://p.test", http)}, failures=1, recovery_seconds=60)
        slow = read_request({"messages": [{"role": "user", "content": "slow"}]})
        task = asyncio.create_task(chain.complete(slow, [link("a")], deadline_seconds=60))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return outcomes(await chain.complete(REQUEST, [link("a")], deadline_seconds=5))

    assert asyncio.run(ask()) == ["a:ok"]


def test_unavailable_is_the_only_thing_that_an_unreadable_answer_is() -> None:
    """A proxy's error page with status 200 falls back like a 5xx."""
    page = httpx2.Response(200, text="<html>")
    (served,) = run([link("a"), link("b")], by_model({"a": page, "b": OK}, []))

    assert outcomes(served) == [f"a:{ProviderUnavailable.code}", "b:ok"]
