"""Whole answers, as the other dialect's callers get them."""

import json
from contextlib import suppress

import pytest
from anthropic.types import Message
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion

from learnedrouter.chat import Dialect, Usage
from learnedrouter.dialects import anthropic_messages, openai_chat
from learnedrouter.dialects.crossing import answer_for
from learnedrouter.errors import ProviderUnavailable
from tests.dialects.answers import anthropic_answers, openai_answers
from tests.dialects.shapes import plain_calls
from tests.wire import chat_completion, message

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


def to_anthropic(answer):
    crossed = answer_for(answer, Dialect.OPENAI, Dialect.ANTHROPIC, model="ours", created=9)
    Message.model_validate(crossed)
    return crossed


def to_openai(answer):
    crossed = answer_for(answer, Dialect.ANTHROPIC, Dialect.OPENAI, model="ours", created=9)
    ChatCompletion.model_validate(crossed)
    return crossed


def openai_answer(finish="stop", **said):
    return chat_completion(choices=[{"index": 0, "message": {"role": "assistant", "content": None, **said}, "finish_reason": finish}])


@given(openai_answers())
def test_an_openai_answer_says_the_same_to_an_anthropic_caller(answer):
    """Text and refusal, tool calls, usage class by class: all arrive, under our name for the model."""
    crossed, said = to_anthropic(answer), answer["choices"][0]["message"]

    assert (crossed["id"], crossed["model"]) == (answer["id"], "ours")
    assert anthropic_messages.read_text(crossed) == (said["content"] or "") + (said["refusal"] or "")
    assert plain_calls(anthropic_messages.read_tool_calls(crossed)) == plain_calls(openai_chat.read_tool_calls(said))
    assert anthropic_messages.read_usage(crossed["usage"]) == openai_chat.read_usage(answer["usage"])


@given(anthropic_answers())
def test_an_anthropic_answer_says_the_same_to_an_openai_caller(answer):
    """Text, tool calls, usage class by class: all arrive, under our name for the model; thinking stays behind."""
    crossed = to_openai(answer)
    said = crossed["choices"][0]["message"]

    assert (crossed["id"], crossed["model"], crossed["created"]) == (answer["id"], "ours", 9)
    assert openai_chat.read_text(said) == anthropic_messages.read_text(answer)
    assert openai_chat.read_tool_calls(said) == anthropic_messages.read_tool_calls(answer)
    assert openai_chat.read_usage(crossed["usage"]) == anthropic_messages.read_usage(answer["usage"])


@given(anthropic_answers())
def test_the_disjoint_counts_add_up_to_what_openai_calls_the_prompt(answer):
    """Nothing is billed twice, and nothing is lost, on the way to the dialect that counts cached tokens inside."""
    usage, crossed = answer["usage"], to_openai(answer)["usage"]
    prompt = usage["input_tokens"] + usage["cache_read_input_tokens"] + usage["cache_creation_input_tokens"]
    assert (crossed["prompt_tokens"], crossed["total_tokens"]) == (prompt, prompt + usage["output_tokens"])


@pytest.mark.parametrize(
    ("finish", "said", "reason"),
    [
        ("stop", {"content": "Hi"}, "end_turn"),
        ("length", {"content": "Hi"}, "max_tokens"),
        ("tool_calls", {"tool_calls": [CALL]}, "tool_use"),
        ("stop", {"tool_calls": [CALL]}, "tool_use"),
        ("function_call", {"tool_calls": [CALL]}, "tool_use"),
        ("content_filter", {}, "refusal"),
        ("stop", {"refusal": "No."}, "refusal"),
        ("of a later day", {"content": "Hi"}, "end_turn"),
        (None, {"content": "Hi"}, "end_turn"),
    ],
)
def test_why_an_openai_answer_ended_in_anthropics_words(finish, said, reason):
    """A call of the function that the caller named ends with ``stop``, and is tool use all the same."""
    assert to_anthropic(openai_answer(finish, **said))["stop_reason"] == reason


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("of a later day", "stop"),
        (None, "stop"),
    ],
)
def test_why_an_anthropic_answer_ended_in_openais_words(reason, finish):
    """Every reason has a word that OpenAI's SDK knows."""
    assert to_openai(message(stop_reason=reason))["choices"][0]["finish_reason"] == finish


def test_what_anthropic_says_about_a_refusal_is_openais_refusal():
    """The explanation stands where OpenAI's callers look for it."""
    details = {"type": "refusal", "category": "cyber", "explanation": "Too dangerous."}
    answer = message(content=[], stop_reason="refusal", stop_details=details)
    crossed = to_openai(answer)
    assert anthropic_messages.read_text(answer) == "Too dangerous."
    assert crossed["choices"][0]["message"] == {"role": "assistant", "content": None, "refusal": "Too dangerous."}


def test_arguments_that_the_limit_cut_are_no_input():
    """The answer says that it was cut; where it was not, broken arguments are the provider's failure."""
    cut = {**CALL, "function": {"name": "f", "arguments": '{"a": '}}
    assert to_anthropic(openai_answer("length", tool_calls=[cut]))["content"][0]["input"] == {}
    with pytest.raises(ProviderUnavailable, match=r"tool_calls\[0\].function.arguments"):
        to_anthropic(openai_answer("tool_calls", tool_calls=[cut]))


def test_unknown_usage_is_left_out_for_openai_and_zero_only_where_anthropics_shape_demands_it():
    """For the bill it stays unknown; OpenAI's callers may get none, Anthropic's SDK has no word for it."""
    assert "usage" not in to_openai(message(usage=None))
    assert to_anthropic(chat_completion(usage=None))["usage"]["output_tokens"] == 0


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, Usage()),
        ({"prompt_tokens": 10, "completion_tokens": 3}, Usage(10, output_tokens=3)),
        (
            {"prompt_tokens": 10, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 5}},
            Usage(1, 4, 5, 3),
        ),
        ({"prompt_tokens": 10, "completion_tokens": 3, "prompt_cache_hit_tokens": 4}, Usage(6, 4, 0, 3)),
        (
            {"prompt_tokens": 10, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 0}},
            Usage(10, output_tokens=9, reasoning_tokens=0),
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 7}},
            Usage(10, output_tokens=9, reasoning_tokens=7),
        ),
        ({"prompt_tokens": "10", "completion_tokens": True, "prompt_tokens_details": []}, Usage()),
    ],
)
def test_openais_usage_taken_apart(usage, expected):
    """Cached and written tokens are inside the prompt's count, reasoning inside the completion's; what is no count is unknown."""
    assert openai_chat.read_usage(usage) == expected


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, Usage()),
        ({"input_tokens": 10, "output_tokens": 3}, Usage(10, output_tokens=3)),
        (
            {"input_tokens": 1, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 5, "output_tokens": 3},
            Usage(1, 4, 5, 3),
        ),
        (
            {
                "input_tokens": 1,
                "cache_creation_input_tokens": 30,
                "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
                "output_tokens": 3,
            },
            Usage(1, 0, 30, 3, cache_write_1h_tokens=20),
        ),
        (
            {"input_tokens": 1, "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}, "output_tokens": 3},
            Usage(1, 0, 30, 3, cache_write_1h_tokens=20),
        ),
        ({"input_tokens": 1, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 7}}, Usage(1, 0, 0, 9, 7)),
        ({"input_tokens": 1, "cache_creation": None, "output_tokens": None}, Usage(1)),
    ],
)
def test_anthropics_usage_taken_apart(usage, expected):
    """Its classes stand beside each other; what was written for an hour is part of what was written, told as a sum or not."""
    assert anthropic_messages.read_usage(usage) == expected


def test_in_the_same_dialect_only_the_models_name_changes():
    """Whatever else the provider said comes back, heard of or not."""
    answer = message(invented={"a": [1]})
    assert answer_for(answer, Dialect.ANTHROPIC, Dialect.ANTHROPIC, model="ours", created=9) == {**answer, "model": "ours"}


fields = st.sampled_from(["message", "content", "type", "text", "tool_calls"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["text", "tool_use", "message"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["message", "content", "type", "text", "tool_calls"]), inner)
    ),
    max_leaves=10,
)
keys = st.sampled_from(["id", "type", "content", "choices", "usage", "stop_reason", "stop_details"])


@given(st.dictionaries(keys, json_values), st.sampled_from(Dialect))
def test_a_malformed_answer_is_the_providers_failure_and_nothing_else(answer, dialect):
    """The chain falls back on it, whatever stands there."""
    other = next(other for other in Dialect if other is not dialect)
    with suppress(ProviderUnavailable):
        json.dumps(answer_for(answer, dialect, other, model="ours", created=9))


def test_what_is_written_to_the_cache_for_an_hour_is_told_apart():
    """It is billed higher than what is written for minutes, and is a part of all that was written."""
    usage = {"input_tokens": 5, "output_tokens": 7, "cache_creation_input_tokens": 100, "cache_creation": {"ephemeral_1h_input_tokens": 60}}

    assert anthropic_messages.read_usage(usage) == Usage(5, cache_write_tokens=100, output_tokens=7, cache_write_1h_tokens=60)
    assert anthropic_messages.read_usage({**usage, "cache_creation": None}).cache_write_1h_tokens == 0
