"""Unchanged clients: the official SDKs, and the fields that no SDK knows."""

from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from learnedrouter.config import Settings
from tests.service.running import KEY, Running, running

ASK: Any = [{"role": "user", "content": "what is 2+2?"}]
HEADERS = ("id", "tier", "model", "confidence", "reason", "cost-usd", "baseline-usd", "fallbacks", "artifact")


@pytest.fixture(scope="module")
def service(settings: Settings) -> Iterator[Running]:
    params = {"temperature": "drop", "top_p": 0.5, "seed": "refuse"}
    with running(settings, adjust={"oai-1": {"params": params, "max_output_tokens": 100}}) as service:
        yield service


@pytest.mark.parametrize("model", ["oai-1", "ant-1"])
def test_openai_plain_and_streamed(service: Running, model: str) -> None:
    """The OpenAI SDK gets the same text from models of either dialect, and usage at the end of a stream that asked for it."""
    client = service.openai()

    plain = client.chat.completions.create(model=model, messages=ASK)
    options: Any = {"include_usage": True}
    chunks = list(client.chat.completions.create(model=model, messages=ASK, stream=True, stream_options=options))

    assert (plain.model, plain.choices[0].message.content) == (model, "alpha beta gamma")
    assert plain.usage is not None
    assert plain.usage.total_tokens == 13
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == "alpha beta gamma"
    assert {chunk.model for chunk in chunks} == {model}
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3


@pytest.mark.parametrize("model", ["oai-1", "ant-1"])
def test_anthropic_plain_and_streamed(service: Running, model: str) -> None:
    """The Anthropic SDK likewise."""
    client = service.anthropic()

    plain = client.messages.create(model=model, messages=ASK, max_tokens=50)
    with client.messages.stream(model=model, messages=ASK, max_tokens=50) as stream:
        final = stream.get_final_message()

    for message in (plain, final):
        assert message.model == model
        assert [block.text for block in message.content if block.type == "text"] == ["alpha beta gamma"]
        assert message.stop_reason == "end_turn"
        assert message.usage.output_tokens == 3


def test_what_nobody_heard_of_goes_through(service: Running) -> None:
    """Same dialect in and out: invented fields arrive at the provider and come back, streamed and not; keys do not."""
    deep = {"x_new": {"deep": [1, None, "é"]}, "seed": 7, "logprobs": True, "n": 1, "service_tier": "flex", "metadata": {"a": "b"}}
    for path, model, more in (("/v1/chat/completions", "oai-2", deep), ("/v1/messages", "ant-1", {"max_tokens": 9, **deep})):
        body = {"model": model, "messages": [{"role": "user", "content": "hi", "cache_control": {"type": "ephemeral"}}], **more}
        headers = {"anthropic-beta": "invented-2030"}
        with service.http() as http:
            answer = http.post(path, json=body, headers=headers)
            arrived = service.upstream.requests[-1]
            streamed = http.post(path, json={**body, "stream": True})

        assert arrived["body"] == body
        assert answer.json()["x_invented"] == {"deep": [1, None, "é"]}
        assert "x_invented" in streamed.text
        assert KEY not in str(arrived["headers"])
        assert arrived["headers"].get("anthropic-beta") == ("invented-2030" if "ant" in model else None)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("path", "more"), [("/v1/chat/completions", {}), ("/v1/messages", {"max_tokens": 9})])
def test_headers_tell_what_happened(service: Running, path: str, more: dict[str, Any], stream: bool) -> None:
    """All headers of the contract stand on answers, on streams and on failures."""
    with service.http() as http:
        fine = http.post(path, json={"model": "tier:bulk", "messages": ASK, "stream": stream, **more})
        failed_ask = [{"role": "user", "content": "[[oai-1: status 503]]"}]
        options = {"x-learnedrouter-fallback": "off"}
        failed = http.post(path, json={"model": "tier:bulk", "messages": failed_ask, "stream": stream, **more}, headers=options)

    assert (fine.status_code, failed.status_code) == (200, 502)
    for answer in (fine, failed):
        assert [name for name in HEADERS if f"x-learnedrouter-{name}" not in answer.headers] == []
    assert fine.headers["x-learnedrouter-model"] == "oai-1"
    assert failed.headers["x-learnedrouter-model"] == "none"
    if stream:
        assert ": x-learnedrouter-cost-usd=0.000016" in fine.text
    else:
        assert fine.headers["x-learnedrouter-cost-usd"] == "0.000016"


def test_model_steers(service: Running) -> None:
    """Auto and no model route, tier:NAME forces a tier, a name calls that model alone and is still accounted for."""
    with service.http() as http:

        def ask(**body: Any) -> Any:
            return http.post("/v1/chat/completions", json={"messages": ASK, **body})

        named = ask(model="ant-3")
        assert named.headers["x-learnedrouter-reason"].endswith("forced_model")
        assert named.headers["x-learnedrouter-tier"] == "standard"
        assert float(named.headers["x-learnedrouter-cost-usd"]) > 0
        assert ask(model="tier:complex").headers["x-learnedrouter-tier"] == "complex"
        assert ask(model="auto").json()["model"] == ask().json()["model"]
        lone = [{"role": "user", "content": "[[ant-3: status 500]]"}]
        assert ask(model="ant-3", messages=lone).status_code == 502


def test_each_sdk_raises_its_own_error(service: Running) -> None:
    """Unknown model, wrong key, unreadable body: the exception that users of that SDK catch."""
    client, messages = service.openai(), service.anthropic()
    with pytest.raises(openai.NotFoundError, match="gpt-12"):
        client.chat.completions.create(model="gpt-12", messages=ASK)
    with pytest.raises(openai.AuthenticationError):
        service.openai(api_key="wrong").chat.completions.create(model="auto", messages=ASK)
    with pytest.raises(openai.BadRequestError, match="messages"):
        client.chat.completions.create(model="auto", messages=[])
    with pytest.raises(openai.BadRequestError, match="tier"):
        client.chat.completions.create(model="tier:huge", messages=ASK)
    with pytest.raises(openai.BadRequestError, match="threshold"):
        client.chat.completions.create(model="auto", messages=ASK, extra_headers={"x-learnedrouter-threshold": "high"})
    with pytest.raises(anthropic.NotFoundError, match="claude-12"):
        messages.messages.create(model="claude-12", messages=ASK, max_tokens=5)
    with pytest.raises(anthropic.AuthenticationError):
        service.anthropic(api_key="wrong").messages.create(model="auto", messages=ASK, max_tokens=5)
    with pytest.raises(anthropic.BadRequestError, match="messages"):
        messages.messages.create(model="auto", messages=[], max_tokens=5)


def test_too_large_a_body_is_refused_in_the_callers_dialect(settings: Settings) -> None:
    """413, as both SDKs expect it."""
    long: Any = [{"role": "user", "content": "x" * 3_000}]
    with running(settings, max_body_bytes=2_000) as service:
        with pytest.raises(openai.APIStatusError) as one:
            service.openai().chat.completions.create(model="auto", messages=long)
        with pytest.raises(anthropic.RequestTooLargeError) as other:
            service.anthropic().messages.create(model="auto", messages=long, max_tokens=5)

    assert one.value.status_code == other.value.status_code == 413


def test_both_sdks_list_the_models(service: Running) -> None:
    """auto, the tiers and the models."""
    ours = [model.id for model in service.openai().models.list()]
    theirs = [model.id for model in service.anthropic().models.list()]

    assert ours == theirs
    assert ours[:2] == ["auto", "tier:bulk"]
    assert "ant-hasty" in ours


def test_tokens_are_counted_by_a_provider_or_estimated(service: Running) -> None:
    """A model of the caller's dialect is asked; for others an estimate is given, and said to be one."""
    counted = service.anthropic().messages.count_tokens(model="auto", messages=ASK)
    estimated = service.anthropic().messages.with_raw_response.count_tokens(model="oai-2", messages=ASK)

    assert counted.input_tokens == 4711
    assert estimated.headers["x-learnedrouter-counted"] == "estimate"
    assert 0 < estimated.parse().input_tokens < 50


def test_what_a_model_cannot_take_is_adjusted_and_said(service: Running) -> None:
    """A limit above the ceiling is clamped; parameters are dropped or replaced by the model's policy."""
    with service.http() as http:
        body = {"model": "oai-1", "messages": ASK, "max_tokens": 5_000, "temperature": 0.3, "top_p": 0.9}
        answer = http.post("/v1/chat/completions", json=body)
        arrived = service.upstream.requests[-1]["body"]
        passed_over = http.post("/v1/chat/completions", json={"model": "tier:bulk", "messages": ASK, "seed": 1})
        refused = http.post("/v1/chat/completions", json={"model": "oai-1", "messages": ASK, "seed": 1})

    assert answer.headers["x-learnedrouter-clamped"] == "max_tokens=100"
    assert answer.headers["x-learnedrouter-params"] == "temperature=drop,top_p=0.5"
    assert (arrived["max_tokens"], arrived["top_p"], "temperature" in arrived) == (100, 0.5, False)
    assert passed_over.json()["model"] == "ant-2"
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "seed")


def test_what_cannot_cross_is_told(service: Running) -> None:
    """What cannot cross (n > 1) leaves only models of the caller's dialect; where there are none, the error names the field."""
    with service.http() as http:
        fine = http.post("/v1/chat/completions", json={"model": "tier:standard", "messages": ASK, "n": 2})
        refused = http.post("/v1/chat/completions", json={"model": "ant-1", "messages": ASK, "n": 2})

    assert fine.json()["model"] == "oai-hasty"
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "n"


def test_tools_images_and_schemas_cross(service: Running) -> None:
    """A request with all three goes to a model of the other dialect, and comes back readable by the SDK."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
    content: Any = [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}]
    tool: Any = {"type": "function", "function": {"name": "look", "parameters": schema}}
    form: Any = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}

    answer = service.openai().chat.completions.create(
        model="ant-2", messages=[{"role": "user", "content": content}], tools=[tool], response_format=form
    )
    arrived = service.upstream.requests[-1]["body"]

    assert answer.choices[0].message.content
    assert arrived["tools"][0]["name"] == "look"
    assert [block["type"] for block in arrived["messages"][0]["content"]] == ["text", "image"]


def test_paths_that_do_not_exist_answer_in_the_dialect(service: Running) -> None:
    """An SDK that calls an endpoint that is not there raises its NotFoundError."""
    with pytest.raises(openai.NotFoundError):
        service.openai().embeddings.create(model="x", input="y")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"a": NaN}', b'{"messages": "\\ud800"}', b"\xff", b"[" * 100_000])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens"])
def test_what_is_no_json_object_is_refused(service: Running, path: str, body: bytes) -> None:
    """With a 400 in the dialect."""
    with service.http() as http:
        answer = http.post(path, content=body, headers={"content-type": "application/json"})

    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["message"]
