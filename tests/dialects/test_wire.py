"""What the official SDKs, as clients, make of the bytes: streams, errors, errors in streams."""

import json

import anthropic
import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnedrouter.chat import Chunk, Dialect
from learnedrouter.dialects import sse
from learnedrouter.dialects.crossing import stream_for
from learnedrouter.dialects.error_shapes import error_body, error_chunk, read_error
from learnedrouter.dialects.streams import StreamReader
from learnedrouter.errors import ProviderUnavailable
from tests.dialects.shapes import crossed

HI = {"role": "user", "content": "Hi"}
CHUNKS = [
    Chunk(None, {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, "usage": usage})
    for choices, usage in [
        ([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}], None),
        ([{"index": 0, "delta": {"content": "Grüße,\n"}, "finish_reason": None}], None),
        ([{"index": 0, "delta": {"content": "日本"}, "finish_reason": None}], None),
        ([{"index": 0, "delta": {}, "finish_reason": "stop"}], None),
        ([], {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}),
    ]
]


def openai_client(status: int, content: bytes, kind: str = "application/json") -> openai.OpenAI:
    transport = httpx2.MockTransport(lambda _: httpx2.Response(status, content=content, headers={"content-type": kind}))
    return openai.OpenAI(api_key="k", base_url="http://ours.test/v1", max_retries=0, http_client=httpx2.Client(transport=transport))


def anthropic_client(status: int, content: bytes, kind: str = "application/json") -> anthropic.Anthropic:
    transport = httpx2.MockTransport(lambda _: httpx2.Response(status, content=content, headers={"content-type": kind}))
    return anthropic.Anthropic(api_key="k", base_url="http://ours.test", max_retries=0, http_client=httpx2.Client(transport=transport))


def wire(chunks: list[Chunk], dialect: Dialect) -> bytes:
    return b"".join(map(sse.encode, chunks)) + sse.END[dialect]


def test_openais_sdk_reads_the_stream():
    """Text, reason and usage arrive, and the stream ends."""
    client = openai_client(200, wire(crossed(CHUNKS, Dialect.OPENAI, Dialect.OPENAI), Dialect.OPENAI), "text/event-stream")
    chunks = list(client.chat.completions.create(model="auto", messages=[HI], stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Grüße,\n日本"
    assert chunks[-1].usage.total_tokens == 10


def test_anthropics_sdk_reads_the_stream():
    """Its own helper adds the events up to the message."""
    client = anthropic_client(200, wire(crossed(CHUNKS, Dialect.OPENAI, Dialect.ANTHROPIC), Dialect.ANTHROPIC), "text/event-stream")
    with client.messages.stream(model="auto", max_tokens=9, messages=[HI]) as stream:
        message = stream.get_final_message()
    assert (message.model, message.content[0].text, message.stop_reason) == ("ours", "Grüße,\n日本", "end_turn")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (7, 3)


STATUSES = [
    (400, "BadRequestError", "invalid_request_error", "invalid_request_error"),
    (401, "AuthenticationError", "authentication_error", "authentication_error"),
    (403, "PermissionDeniedError", "permission_error", "permission_error"),
    (404, "NotFoundError", "not_found_error", "not_found_error"),
    (413, "APIStatusError", "invalid_request_error", "request_too_large"),
    (422, "UnprocessableEntityError", "invalid_request_error", "invalid_request_error"),
    (429, "RateLimitError", "rate_limit_error", "rate_limit_error"),
    (502, "InternalServerError", "server_error", "api_error"),
    (503, "InternalServerError", "server_error", "api_error"),
    (504, "InternalServerError", "server_error", "timeout_error"),
]


@pytest.mark.parametrize(("status", "exception", "openai_type", "anthropic_type"), STATUSES)
def test_each_sdk_raises_its_own_exception(status, exception, openai_type, anthropic_type):
    """The caller catches what it always caught, and reads our message, our code and the field."""
    body = error_body(Dialect.OPENAI, status, "our_code", "what went wrong", field="messages[0]")
    with pytest.raises(getattr(openai, exception)) as of_openai:
        openai_client(status, json.dumps(body).encode()).chat.completions.create(model="auto", messages=[HI])
    error = of_openai.value
    assert (error.type, error.code, error.param) == (openai_type, "our_code", "messages[0]")
    assert "what went wrong" in str(error)

    body = error_body(Dialect.ANTHROPIC, status, "our_code", "what went wrong", field="messages[0]")
    with pytest.raises(getattr(anthropic, exception)) as of_anthropic:
        anthropic_client(status, json.dumps(body).encode()).messages.create(model="auto", max_tokens=9, messages=[HI])
    error = of_anthropic.value
    assert (error.type, error.error_code, error.api_message) == (anthropic_type, "our_code", "what went wrong")


def test_openais_sdk_raises_on_an_error_in_the_stream():
    """What came before it has arrived; then it is an ``APIError`` that says what we said."""
    error = error_chunk(Dialect.OPENAI, 504, "timeout", "no more came")
    client = openai_client(200, wire([CHUNKS[1], error], Dialect.OPENAI), "text/event-stream")
    stream = client.chat.completions.create(model="auto", messages=[HI], stream=True)
    assert next(stream).choices[0].delta.content == "Grüße,\n"
    with pytest.raises(openai.APIError, match="no more came") as caught:
        next(stream)
    assert caught.value.code == "timeout"


def test_anthropics_sdk_raises_on_an_error_in_the_stream():
    """What came before it has arrived; then it is an ``APIStatusError`` of the dialect's own type."""
    error = error_chunk(Dialect.ANTHROPIC, 504, "timeout", "no more came")
    start = stream_for(Dialect.OPENAI, Dialect.ANTHROPIC, model="ours", created=9, include_usage=False).feed(CHUNKS[1])
    client = anthropic_client(200, wire([*start, error], Dialect.ANTHROPIC), "text/event-stream")
    stream = client.messages.create(model="auto", max_tokens=9, messages=[HI], stream=True)
    assert next(stream).type == "message_start"
    with pytest.raises(anthropic.APIStatusError, match="no more came") as caught:
        list(stream)
    assert caught.value.type == "timeout_error"


@pytest.mark.parametrize(
    ("chunk", "dialect", "error"),
    [
        (Chunk("error", {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}), Dialect.ANTHROPIC, (529, "busy")),
        (Chunk("error", {"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}}), Dialect.ANTHROPIC, (429, "slow")),
        (Chunk("error", {"type": "error", "error": {"type": "of a later day", "message": "x"}}), Dialect.ANTHROPIC, (500, "x")),
        (Chunk("error", {}), Dialect.ANTHROPIC, (500, "the provider ended the stream with an error that says nothing")),
        (Chunk("ping", {"type": "ping"}), Dialect.ANTHROPIC, None),
        (Chunk(None, {"error": {"message": "busy", "type": "server_error", "code": None}}), Dialect.OPENAI, (500, "busy")),
        (Chunk(None, {"error": {"message": "slow", "code": "rate_limit_exceeded"}}), Dialect.OPENAI, (429, "slow")),
        (Chunk(None, {"error": {"message": "down", "code": 503}}), Dialect.OPENAI, (503, "down")),
        (Chunk(None, {"error": "down"}), Dialect.OPENAI, (500, "down")),
        (CHUNKS[0], Dialect.OPENAI, None),
    ],
)
def test_a_providers_error_in_a_stream_amounts_to_a_status(chunk, dialect, error):
    """So that it falls back as the same error would have before the stream; the reader raises it."""
    assert read_error(chunk, dialect) == error
    if error:
        with pytest.raises(ProviderUnavailable) as caught:
            StreamReader(dialect).feed(chunk)
        assert caught.value.status == error[0]


@given(st.dictionaries(st.text(), st.text(st.characters(exclude_categories=())) | st.integers() | st.none(), min_size=1), st.booleans())
def test_what_is_encoded_is_what_is_read(data, named):
    """Line breaks, every alphabet, half a surrogate pair: one event is one event."""
    lines = sse.encode(Chunk("delta" if named else None, data)).decode().split("\n")
    assert lines[-3].startswith("data: ")
    assert lines[-2:] == ["", ""]
    assert lines[:-3] == (["event: delta"] if named else [])
    assert sse.parse("delta", lines[-3].removeprefix("data: ")) == Chunk("delta", data)


@pytest.mark.parametrize("data", ["{", "[]", "1", '"text"', "null", "<html>"])
def test_a_malformed_chunk_is_the_providers_failure(data):
    """The chain can fall back on it."""
    with pytest.raises(ProviderUnavailable, match="chunk of the stream"):
        sse.parse(None, data)


@pytest.mark.parametrize("data", ["[DONE]", ""])
def test_the_end_is_no_chunk(data):
    """Neither OpenAI's mark nor an event without data says anything."""
    assert sse.parse(None, data) is None
