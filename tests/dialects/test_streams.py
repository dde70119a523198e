"""Streams: what they amount to, and what the other dialect's callers get of them."""

import json
from contextlib import suppress
from typing import Any

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk
from pydantic import TypeAdapter

from learnedrouter.chat import Chunk, Dialect, ToolCall, Usage
from learnedrouter.dialects import anthropic_messages, openai_chat
from learnedrouter.dialects.crossing import answer_for, stream_for
from learnedrouter.dialects.streams import StreamReader, carries_content, streaming_body, wants_usage
from learnedrouter.errors import ProviderUnavailable
from tests.dialects.answers import anthropic_streams, openai_streams
from tests.dialects.shapes import crossed, plain_calls

EVENT: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)


def as_openais_sdk_adds_it_up(chunks: list[Chunk]) -> dict[str, Any]:
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for chunk in chunks:
        assert chunk.event is None
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk.data))
    return state.current_completion_snapshot.to_dict()


def as_anthropics_sdk_adds_it_up(chunks: list[Chunk]) -> dict[str, Any]:
    whole, buffers = None, {}
    for chunk in chunks:
        assert chunk.event == chunk.data["type"]
        whole = accumulate_event(event=EVENT.validate_python(chunk.data), current_snapshot=whole, json_bufs=buffers)
    assert whole is not None
    return whole.to_dict()


@given(openai_streams())
def test_an_openai_stream_crossed_adds_up_to_the_whole_answer_crossed(case):
    """Anthropic's SDK makes of the events what it would have got at once; blocks are opened and closed in order."""
    answer, chunks = case
    events = crossed(chunks, Dialect.OPENAI, Dialect.ANTHROPIC)
    whole = answer_for(answer, Dialect.OPENAI, Dialect.ANTHROPIC, model="ours", created=9)

    summed = as_anthropics_sdk_adds_it_up(events)
    assert {key: summed[key] for key in whole} == whole
    assert [event.data["index"] for event in events if event.event in ("content_block_start", "content_block_stop")] == [
        index for index in range(len(whole["content"])) for _ in range(2)
    ]
    assert (events[0].event, events[-1].event) == ("message_start", "message_stop")


@given(anthropic_streams())
def test_an_anthropic_stream_crossed_adds_up_to_the_whole_answer_crossed(case):
    """OpenAI's SDK makes of the chunks what it would have got at once, the usage last."""
    answer, events = case
    chunks = crossed(events, Dialect.ANTHROPIC, Dialect.OPENAI)
    whole = answer_for(answer, Dialect.ANTHROPIC, Dialect.OPENAI, model="ours", created=9)

    summed = as_openais_sdk_adds_it_up(chunks)
    said, expected = summed["choices"][0]["message"], whole["choices"][0]["message"]
    assert (said.get("content") or None, said.get("refusal")) == (expected["content"], expected["refusal"])
    assert plain_calls(openai_chat.read_tool_calls(said)) == plain_calls(openai_chat.read_tool_calls(expected))
    assert summed["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert {key: summed[key] for key in ("id", "model", "created", "usage")} == {
        key: whole[key] for key in ("id", "model", "created", "usage")
    }
    assert chunks[-1].data["choices"] == []


@given(openai_streams() | anthropic_streams())
def test_what_a_stream_amounts_to_is_what_the_whole_answer_says(case):
    """Text, calls, reason and usage are the same for the bill, streamed or not."""
    answer, chunks = case
    dialect = Dialect.OPENAI if "choices" in answer else Dialect.ANTHROPIC
    reader = StreamReader(dialect)
    for chunk in chunks:
        reader.feed(chunk)

    said = answer["choices"][0] if dialect is Dialect.OPENAI else answer
    module, text = (openai_chat, said["message"]) if dialect is Dialect.OPENAI else (anthropic_messages, said)
    completion = reader.completion()
    assert reader.complete
    assert (completion.text, plain_calls(completion.tool_calls)) == (module.read_text(text), plain_calls(module.read_tool_calls(text)))
    assert completion.finish_reason == module.read_finish_reason(said.get("finish_reason") or said.get("stop_reason"))
    assert completion.usage == module.read_usage(answer["usage"])


@given(openai_streams() | anthropic_streams(), st.data())
def test_a_stream_that_is_cut_is_never_taken_for_whole(case, data):
    """It has to say that it is done; what its end would have told of usage stays unknown."""
    answer, chunks = case
    written_in = Dialect.OPENAI if "choices" in answer else Dialect.ANTHROPIC
    end = 2 if written_in is Dialect.OPENAI else 1
    kept = chunks[: data.draw(st.integers(0, len(chunks) - end - 1))]
    for wanted in Dialect:
        crossing = stream_for(written_in, wanted, model="ours", created=9, include_usage=True)
        for chunk in kept:
            crossing.feed(chunk)
        with pytest.raises(ProviderUnavailable, match="ended before"):
            crossing.finish()
        assert crossing.reader.usage.output_tokens is None


@pytest.mark.parametrize("include_usage", [True, False])
def test_usage_ends_a_stream_only_for_the_openai_caller_who_asked(include_usage):
    """It is always asked for upstream, for the bill; the caller sees what it asked for, in both cases."""
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    chunks = [delta({"content": "Hi"}), delta({}, "stop"), Chunk(None, {"id": "c", "choices": [], "usage": usage})]

    same = crossed(chunks, Dialect.OPENAI, Dialect.OPENAI, include_usage=include_usage)

    assert [chunk.data["model"] for chunk in same] == ["ours"] * (2 + include_usage)
    assert ("usage" in same[-1].data) is include_usage


def test_in_the_same_dialect_a_stream_passes_through_whatever_it_holds():
    """Fields and events never heard of arrive; only the model is called by the caller's name for it."""
    start = {"type": "message_start", "message": {"id": "m", "model": "upstream", "usage": {}, "invented": 1}}
    events = [
        Chunk("message_start", start),
        Chunk("invented", {"type": "invented", "x": 1}),
        Chunk("message_stop", {"type": "message_stop"}),
    ]
    renamed = Chunk("message_start", {**start, "message": {**start["message"], "model": "ours"}})
    assert crossed(events, Dialect.ANTHROPIC, Dialect.ANTHROPIC) == [renamed, *events[1:]]

    odd = Chunk(None, {"id": "c", "choices": [{"index": 0, "delta": {"invented": 1}, "finish_reason": "stop"}], "invented": [2]})
    assert crossed([odd], Dialect.OPENAI, Dialect.OPENAI) == [Chunk(None, {**odd.data, "model": "ours"})]


def delta(said: dict[str, Any], finish: str | None = None, **choice: Any) -> Chunk:
    return Chunk(None, {"id": "c", "choices": [{"index": 0, "delta": said, "finish_reason": finish, **choice}]})


def event(kind: str, **fields: Any) -> Chunk:
    return Chunk(kind, {"type": kind, **fields})


@pytest.mark.parametrize(
    ("chunk", "dialect", "content"),
    [
        (delta({"role": "assistant", "content": ""}), Dialect.OPENAI, False),
        (delta({"role": "assistant", "content": None, "refusal": None}), Dialect.OPENAI, False),
        (delta({}, "stop"), Dialect.OPENAI, False),
        (Chunk(None, {"choices": [], "usage": {}}), Dialect.OPENAI, False),
        (Chunk(None, {"choices": [], "prompt_filter_results": [{}]}), Dialect.OPENAI, False),
        (delta({"content": " "}), Dialect.OPENAI, True),
        (delta({"refusal": "No"}), Dialect.OPENAI, True),
        (delta({"reasoning_content": "Hm"}), Dialect.OPENAI, True),
        (delta({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}]}), Dialect.OPENAI, True),
        (event("message_start", message={}), Dialect.ANTHROPIC, False),
        (event("ping"), Dialect.ANTHROPIC, False),
        (event("content_block_start", index=0, content_block={"type": "text", "text": ""}), Dialect.ANTHROPIC, False),
        (event("content_block_start", index=0, content_block={"type": "text", "text": "Hi"}), Dialect.ANTHROPIC, True),
        (event("content_block_start", index=0, content_block={"type": "thinking", "thinking": ""}), Dialect.ANTHROPIC, False),
        (event("content_block_start", index=0, content_block={"type": "tool_use", "name": "f"}), Dialect.ANTHROPIC, True),
        (event("content_block_start", index=0, content_block={"type": "server_tool_use"}), Dialect.ANTHROPIC, True),
        (event("content_block_delta", index=0, delta={"type": "text_delta", "text": ""}), Dialect.ANTHROPIC, False),
        (event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hi"}), Dialect.ANTHROPIC, True),
        (event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "Hm"}), Dialect.ANTHROPIC, True),
        (event("content_block_delta", index=0, delta={"type": "signature_delta", "signature": "s"}), Dialect.ANTHROPIC, False),
        (event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": "{"}), Dialect.ANTHROPIC, True),
        (event("content_block_delta", index=0, delta={"type": "citations_delta", "citation": {}}), Dialect.ANTHROPIC, True),
        (event("content_block_stop", index=0), Dialect.ANTHROPIC, False),
        (event("message_delta", delta={}, usage={}), Dialect.ANTHROPIC, False),
        (event("message_stop"), Dialect.ANTHROPIC, False),
        (event("invented"), Dialect.ANTHROPIC, True),
    ],
)
def test_only_frames_can_be_held_back(chunk, dialect, content):
    """Until the answer itself begins another model can take over; what is not known to be a frame is the answer."""
    assert carries_content(chunk, dialect) is content


@pytest.mark.parametrize(
    "fragments",
    [
        [{"index": 0, "id": "a"}, {"index": 0}, {"index": 1, "id": "b"}, {"index": 1}],
        [{"id": "a"}, {}, {"id": "b"}, {}],
        [{"index": 0, "id": "a"}, {"index": 0}, {"index": 0, "id": "b"}, {"index": 0}],
        [{"index": 0, "id": "a"}, {"index": 0, "id": "a"}, {"index": 1, "id": "b"}, {"index": 1, "id": "b"}],
    ],
    ids=["by index", "without index", "one index for all", "id repeated"],
)
def test_tool_calls_are_told_apart_however_an_endpoint_counts_them(fragments):
    """Endpoints that speak OpenAI's dialect differ in it; a new id is a new call."""
    functions = [{"name": "f", "arguments": ""}, {"arguments": "[1]"}, {"name": "g", "arguments": ""}, {"arguments": "[2]"}]
    reader = StreamReader(Dialect.OPENAI)
    for fragment, function in zip(fragments, functions, strict=True):
        reader.feed(delta({"tool_calls": [{**fragment, "function": function}]}))
    assert reader.tool_calls == (ToolCall("a", "f", "[1]"), ToolCall("b", "g", "[2]"))


def test_a_stream_of_several_choices_is_whole_when_all_of_them_are():
    """The first choice's end is not the end."""
    reader = StreamReader(Dialect.OPENAI)
    for chunk in (delta({"content": "A"}), delta({"content": "B"}, index=1), delta({}, "stop")):
        reader.feed(chunk)
    assert not reader.complete
    reader.feed(delta({}, "stop", index=1))
    assert reader.complete
    assert reader.text == "A"


def test_anthropics_usage_grows_and_its_first_output_count_is_no_count():
    """What ``message_start`` says of the output is from the first instant; the cumulative counts of the end win."""
    reader = StreamReader(Dialect.ANTHROPIC)
    reader.feed(event("message_start", message={"id": "m", "usage": {"input_tokens": 5, "cache_read_input_tokens": 3, "output_tokens": 1}}))
    assert reader.usage == Usage(5, 3, 0, None)
    told = {"input_tokens": 6, "cache_read_input_tokens": None, "output_tokens": 9}
    reader.feed(event("message_delta", delta={"stop_reason": "end_turn"}, usage=told))
    assert reader.usage == Usage(6, 3, 0, 9)


def test_a_call_whose_input_came_at_once_still_has_its_arguments():
    """Some endpoints send the whole input with the block's start, and no deltas."""
    crossing = stream_for(Dialect.ANTHROPIC, Dialect.OPENAI, model="ours", created=9, include_usage=False)
    block = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}
    begun = crossing.feed(event("content_block_start", index=0, content_block=block))
    ended = crossing.feed(event("content_block_stop", index=0))
    assert [chunk.data["choices"][0]["delta"]["tool_calls"][0]["function"] for chunk in begun + ended] == [
        {"name": "f", "arguments": ""},
        {"arguments": '{"a": 1}'},
    ]


def test_arguments_that_come_too_late_for_anthropics_order_end_the_stream():
    """A closed block cannot be written to; dropping the rest of a call silently would be worse."""
    crossing = stream_for(Dialect.OPENAI, Dialect.ANTHROPIC, model="ours", created=9, include_usage=False)
    for index, name in enumerate("fg"):
        crossing.feed(delta({"tool_calls": [{"index": index, "id": name, "function": {"name": name, "arguments": ""}}]}))
    with pytest.raises(ProviderUnavailable, match="tool call 0"):
        crossing.feed(delta({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}))


fields = st.sampled_from(["delta", "type", "index", "tool_calls", "function", "usage"])
json_values = st.recursive(
    st.none() | st.integers(-1, 2) | st.text(max_size=5) | st.sampled_from(["text_delta", "tool_use", "text"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(fields, inner),
    max_leaves=10,
)
chunk_fields = st.sampled_from(["choices", "delta", "index", "message", "content_block", "usage", "id"])
starts = ["message_start", "content_block_start"]
kinds = st.sampled_from([*starts, "content_block_delta", "content_block_stop", "message_delta", "message_stop"])


@given(
    st.lists(st.dictionaries(chunk_fields, json_values), max_size=4),
    kinds,
    st.sampled_from(Dialect),
    st.sampled_from(Dialect),
)
def test_a_malformed_stream_is_the_providers_failure_and_nothing_else(chunks, kind, written_in, wanted):
    """Whatever stands in a chunk: the chain falls back, or the caller gets the dialect's error event."""
    crossing = stream_for(written_in, wanted, model="ours", created=9, include_usage=True)
    with suppress(ProviderUnavailable):
        for data in chunks:
            chunk = Chunk(kind, {"type": kind, **data})
            carries_content(chunk, written_in)
            json.dumps([out.data for out in crossing.feed(chunk)])
        crossing.finish()


def test_a_stream_is_asked_for_with_its_usage():
    """For the bill, whatever the caller said; what else it wants of the stream stays."""
    body = {"messages": [{"role": "user", "content": "Hi"}], "stream_options": {"include_obfuscation": False}}
    asked = streaming_body(body, Dialect.OPENAI)
    assert asked == {**body, "stream": True, "stream_options": {"include_obfuscation": False, "include_usage": True}}
    assert streaming_body(body, Dialect.ANTHROPIC) == {**body, "stream": True}
    assert wants_usage(openai_chat.read_request(asked))
    assert not wants_usage(openai_chat.read_request(body))
