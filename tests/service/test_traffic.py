"""What only real traffic asks for: callers that hang up, crowds, providers that want a pause, keys."""

import asyncio
import json
from collections import Counter
from typing import Any

import httpx2
import openai
import pytest

from learnedrouter.config import Settings
from learnedrouter.errors import ConfigError
from learnedrouter.service.server import refuse_open_door
from tests.service.running import KEY, Running, chat, running


@pytest.mark.parametrize(("action", "model", "stream"), [("hang", "oai-1", False), ("hang", "ant-1", True), ("hang-after", "ant-1", True)])
def test_a_caller_that_hangs_up_cancels_the_provider_call(service: Running, action: str, model: str, stream: bool) -> None:
    """The provider sees its connection close, and the one event says that the caller did not wait for the end."""
    service.upstream.disconnected.clear()
    service.upstream.hanging.clear()

    async def hang_up() -> None:
        async with httpx2.AsyncClient(base_url=service.url, headers={"x-api-key": KEY}) as http:
            body = chat(f"[[{model}: {action}]]", model, stream=stream)
            if action == "hang":
                call = asyncio.create_task(http.post("/v1/chat/completions", json=body))
                assert await asyncio.to_thread(service.upstream.hanging.wait, 10)
                call.cancel()
                await asyncio.gather(call, return_exceptions=True)
            else:
                async with http.stream("POST", "/v1/chat/completions", json=body) as answer:
                    async for line in answer.aiter_lines():
                        if "alpha" in line:
                            break

    asyncio.run(hang_up())
    event = service.next_event()

    assert service.upstream.disconnected.wait(10)
    assert service.upstream.hung_up[-1] == model
    assert event.outcome == "disconnected"
    assert event.cost_usd is None


def test_the_native_stream_tells_decision_text_and_account(service: Running) -> None:
    """Decision first, then the text as it comes, then usage, cost and attempts."""
    with service.http() as http:
        answer = http.post("/route", json={"prompt": "[[ant-1: status 503]]", "tier": "structured", "stream": True})
    events = [frame.split("\ndata: ") for frame in answer.text.strip().split("\n\n")]
    names = [name.removeprefix("event: ") for name, _ in events]
    data = [json.loads(content) for _, content in events]

    assert names == ["decision", "text", "text", "text", "done"]
    assert data[0]["decision"]["tier"] == "structured"
    assert "".join(part["text"] for part in data[1:4]) == data[-1]["output"]["text"] == "alpha beta gamma"
    assert data[-1]["usage"]["output_tokens"] == 3
    assert data[-1]["cost"]["usd"] == pytest.approx((10 * 1 + 3 * 2) / 1e6)
    assert [attempt["outcome"] for attempt in data[-1]["attempts"]] == ["unavailable", "ok"]
    assert service.next_event().id == data[0]["id"]


def test_a_native_stream_that_breaks_ends_with_an_error(service: Running) -> None:
    """And what came before it is not repeated."""
    with service.http() as http:
        answer = http.post("/route", json={"prompt": "[[oai-1: cut-after]]", "tier": "bulk", "stream": True})

    assert answer.text.count("event: text") == 1
    assert answer.text.strip().split("\n\n")[-1].startswith("event: error")
    assert service.next_event().outcome == "unavailable"


def test_bytes_may_come_one_by_one(service: Running) -> None:
    """Slow networks cut frames anywhere."""
    for model in ("oai-1", "ant-1"):
        prompt: Any = [{"role": "user", "content": f"[[{model}: bytes]]"}]
        chunks = service.openai().chat.completions.create(model=model, messages=prompt, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "alpha beta gamma"
        assert service.openai().chat.completions.create(model=model, messages=prompt).choices[0].message.content == "alpha beta gamma"
        service.recorded.acquire()
        service.recorded.acquire()


def test_retry_after_is_respected_where_it_is_the_only_way_on(service: Running) -> None:
    """A provider that asks for a pause that ends before the deadline is asked again after it; a longer one is passed on."""
    with service.http() as http:
        waited = http.post("/v1/chat/completions", json=chat("[[oai-1: once]] waits", "oai-1"))
        service.next_event()
        passed_on = http.post("/v1/chat/completions", json=chat("[[oai-1: status 429 3600]]", "oai-1"))
        service.next_event()
        other = http.post("/v1/chat/completions", json=chat("[[oai-1: status 429 0.1]] has another way"))

    assert waited.status_code == 200
    assert (passed_on.status_code, passed_on.headers["retry-after"]) == (429, "3600")
    assert other.json()["model"] == "ant-2"
    assert [attempt.outcome for attempt in service.next_event().attempts] == ["rate_limited", "ok"]


def test_fallback_can_be_declined(service: Running) -> None:
    """With x-learnedrouter-fallback: off the first model's failure is the answer, in every endpoint."""
    off = {"x-learnedrouter-fallback": "off"}
    with service.http() as http:
        for path, body in (
            ("/v1/chat/completions", chat("[[oai-1: status 503]]")),
            ("/v1/messages", chat("[[oai-1: status 503]]", max_tokens=5, stream=True)),
            ("/route", {"prompt": "[[oai-1: status 503]]", "tier": "bulk"}),
        ):
            assert http.post(path, json=body, headers=off).status_code == 502
            assert len(service.next_event().attempts) == 1


def test_the_callers_bounds_hold(service: Running) -> None:
    """Tiers, threshold and cost are steered by headers, for the body is not ours."""
    with service.http() as http:

        def tier(**options: str) -> str:
            headers = {f"x-learnedrouter-{name.replace('_', '-')}": value for name, value in options.items()}
            answer = http.post("/v1/chat/completions", json=chat("hi", "auto"), headers=headers)
            return answer.headers.get("x-learnedrouter-tier", answer.json()["error"]["message"] if answer.status_code >= 400 else "")

        assert tier(min_tier="complex") == "complex"
        assert tier(max_tier="bulk", threshold="1") == "bulk"
        assert tier(threshold="0") == "bulk"
        assert "max_cost_usd" in tier(max_cost_usd="0.0000001")
        assert "huge" in tier(min_tier="huge")


def test_models_without_a_price_are_named_and_refused_where_cost_decides(settings: Settings) -> None:
    """They answer, at an unknown cost; a request that may cost only so much never goes to one."""
    with running(settings, adjust={name: {"price": None} for name in ("oai-1", "oai-2")}) as service, service.http() as http:
        ready = http.get("/readyz?verbose").json()
        plain = http.get("/readyz").json()
        capped = http.post("/route", json={"prompt": "hello", "max_cost_usd": 1.0, "dry_run": True}).json()

    assert {"oai-1", "oai-2"} <= set(ready["unpriced"])
    assert ready["prices"]["ant-2"] == "router.toml"
    assert "prices" not in plain
    assert not {model["model"] for model in capped["models"]} & set(ready["unpriced"])


def test_breakers_can_be_watched(settings: Settings) -> None:
    """A model that failed too often is not asked, and /readyz?verbose and /metrics say so."""
    breaker = settings.breaker.model_copy(update={"failures": 2, "recovery_seconds": 600.0})
    with running(settings, breaker=breaker) as service, service.http() as http:
        for _ in range(3):
            http.post("/v1/chat/completions", json=chat("[[oai-1: cut-after]]", stream=True))
        states = http.get("/readyz?verbose").json()["breakers"]
        metrics = http.get("/metrics").text
        last = http.post("/v1/chat/completions", json=chat("hello", stream=True))

    assert (states["oai-1"], states["ant-2"]) == ("opened", "closed")
    assert 'learnedrouter_breaker_state{model="oai-1"} 2.0' in metrics
    assert 'learnedrouter_streams_total{model="oai-1",status="unavailable"} 2.0' in metrics
    assert last.headers["x-learnedrouter-model"] == "ant-2"
    assert len(service.upstream.requests) == 2 + 2


def test_a_crowd_with_a_third_failing(service: Running) -> None:
    """Of 200 requests at once, half of them streamed, each gets its own right answer or its own right error."""
    kinds = (("[[oai-1: status 503]] [[ant-2: status 429]]", 429), ("[[oai-1: status 500]]", 200), ("", 200))

    async def one(http: httpx2.AsyncClient, number: int) -> tuple[int, int, str]:
        prompt, expected = kinds[number % 3]
        said = f"n{number}"
        command = prompt or f"[[oai-1: say {said}]]"
        answer = await http.post("/v1/chat/completions", json=chat(f"{command} {said}", stream=number % 2 == 0 and bool(prompt)))
        if not prompt:
            assert answer.json()["choices"][0]["message"]["content"] == said
        return answer.status_code, expected, answer.headers["x-learnedrouter-id"]

    async def crowd() -> list[tuple[int, int, str]]:
        limits = httpx2.Limits(max_connections=200)
        async with httpx2.AsyncClient(base_url=service.url, headers={"x-api-key": KEY}, timeout=60, limits=limits) as http:
            return await asyncio.gather(*(one(http, number) for number in range(200)))

    before = len(service.events)
    answers = asyncio.run(crowd())
    for _ in answers:
        assert service.recorded.acquire(timeout=10)

    assert [status for status, _, _ in answers] == [expected for _, expected, _ in answers]
    assert Counter(event.id for event in service.events[before:]) == Counter(identity for _, _, identity in answers)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": f"Basic {KEY}"}, 401),
        ({"x-api-key": KEY[:-1]}, 401),
        ({"authorization": f"Bearer {KEY}"}, 200),
        ({"authorization": f"bearer {KEY}"}, 200),
        ({"x-api-key": KEY}, 200),
        ({"x-api-key": "another"}, 200),
        ({"authorization": "Bearer wrong", "x-api-key": KEY}, 200),
    ],
)
def test_keys(service: Running, headers: dict[str, str], status: int) -> None:
    """A key is taken as either SDK sends it; without one only probes and metrics answer, and nothing is read or spent."""
    before = len(service.upstream.requests)
    for path in ("/v1/models", "/livez", "/readyz", "/metrics"):
        expected = status if path == "/v1/models" else 200
        assert httpx2.get(f"{service.url}{path}", headers=headers).status_code == expected
    for path in ("/route", "/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens"):
        answer = httpx2.post(f"{service.url}{path}", content=b"{", headers={**headers, "content-type": "application/json"})
        assert answer.status_code == (400 if status == 200 else 401)

    assert len(service.upstream.requests) == before


def test_no_key_no_open_door(settings: Settings) -> None:
    """Beyond this machine the service is not served without keys."""
    for host in ("127.0.0.1", "::1", "localhost"):
        refuse_open_door(settings.model_copy(update={"host": host, "client_keys": ()}))
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        with pytest.raises(ConfigError, match="LEARNEDROUTER_API_KEYS"):
            refuse_open_door(settings.model_copy(update={"host": host, "client_keys": ()}))


def test_a_wrong_key_is_not_repeated(service: Running) -> None:
    """Neither in the error nor anywhere else."""
    with pytest.raises(openai.AuthenticationError) as raised:
        service.openai(api_key="sk-somebody-else").chat.completions.create(**chat("hi"))

    assert "sk-somebody-else" not in raised.value.response.text
