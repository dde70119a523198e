"""Field by field: what a request becomes in the other dialect."""

import pytest
from pydantic import ValidationError

from learnedrouter.chat import Dialect
from learnedrouter.dialects import anthropic_messages, openai_chat
from learnedrouter.dialects.crossing import body_for
from tests.dialects.shapes import check_request

USER = {"role": "user", "content": "Hi"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
FUNCTION = {"type": "function", "function": {"name": "f"}}
TOOL = {"name": "f", "input_schema": {"type": "object"}}
USED = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}]}
EXACT = {"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"], "additionalProperties": False}
OPEN = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "object", "properties": {"b": {"type": "null"}}}}}}
CLOSED = {
    "type": "object",
    "properties": {
        "a": {"type": "array", "items": {"type": "object", "properties": {"b": {"type": "null"}}, "additionalProperties": False}}
    },
    "additionalProperties": False,
}


def to_anthropic(**fields):
    body = {"messages": [USER], **fields}
    return body_for(openai_chat.read_request(body), Dialect.ANTHROPIC, default_output_tokens=7)


def to_openai(**fields):
    body = {"messages": [USER], "max_tokens": 9, **fields}
    return body_for(anthropic_messages.read_request(body), Dialect.OPENAI, default_output_tokens=7)


@pytest.mark.parametrize(
    ("field", "crossed"),
    [
        ({}, {}),
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"max_tokens": 5, "max_completion_tokens": 6}, {"max_tokens": 6}),
        ({"temperature": 0.5}, {"temperature": 0.5}),
        ({"temperature": 2}, {"temperature": 1}),
        ({"top_p": 0.9}, {"top_p": 0.9}),
        ({"stop": "END"}, {"stop_sequences": ["END"]}),
        ({"stop": ["a", "b"]}, {"stop_sequences": ["a", "b"]}),
        ({"stop": None}, {}),
        ({"stream": True, "stream_options": {"include_usage": True}}, {"stream": True}),
        ({"user": "u-1"}, {"metadata": {"user_id": "u-1"}}),
        ({"user": "u-1", "safety_identifier": "s-1"}, {"metadata": {"user_id": "s-1"}}),
        ({"tools": [FUNCTION]}, {"tools": [TOOL]}),
        ({"tools": [FUNCTION], "tool_choice": "auto"}, {"tools": [TOOL], "tool_choice": {"type": "auto"}}),
        ({"tools": [FUNCTION], "tool_choice": "required"}, {"tools": [TOOL], "tool_choice": {"type": "any"}}),
        ({"tools": [FUNCTION], "tool_choice": "none"}, {"tools": [TOOL], "tool_choice": {"type": "none"}}),
        ({"tools": [FUNCTION], "tool_choice": FUNCTION}, {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "f"}}),
        ({"tools": [FUNCTION], "parallel_tool_calls": True}, {"tools": [TOOL]}),
        (
            {"tools": [FUNCTION], "parallel_tool_calls": False},
            {"tools": [TOOL], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        ),
        ({"response_format": {"type": "text"}}, {}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": OPEN}}},
            {"output_config": {"format": {"type": "json_schema", "schema": CLOSED}}},
        ),
        ({"n": 1, "logprobs": False, "logit_bias": {}, "frequency_penalty": 0, "modalities": ["text"]}, {}),
        ({"seed": 1, "metadata": {"a": "b"}, "service_tier": "flex", "reasoning_effort": "low", "store": True}, {}),
    ],
)
def test_a_field_of_openai_in_anthropic(field, crossed):
    """What has a counterpart becomes it; what says only how to answer, or asks for nothing, stays behind."""
    body = to_anthropic(**field)

    check_request(body, Dialect.ANTHROPIC)
    assert body == {"max_tokens": 7, "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]} | crossed


@pytest.mark.parametrize(
    ("field", "crossed"),
    [
        ({}, {}),
        ({"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5, "top_p": 0.9}),
        ({"stop_sequences": ["a", "b"]}, {"stop": ["a", "b"]}),
        ({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
        ({"stream": False}, {"stream": False}),
        ({"metadata": {"user_id": "u-1"}}, {"user": "u-1"}),
        (
            {"tools": [TOOL | {"type": "custom"}]},
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]},
        ),
        (
            {"tools": [TOOL | {"input_schema": OPEN, "strict": True}]},
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": OPEN}}]},
        ),
        (
            {"tools": [TOOL | {"input_schema": EXACT, "strict": True}]},
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": EXACT, "strict": True}}]},
        ),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}, "service_tier": "auto", "cache_control": {"type": "ephemeral"}}, {}),
        (
            {"output_config": {"effort": "low", "format": {"type": "json_schema", "schema": CLOSED}}},
            {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": CLOSED, "strict": False}}},
        ),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {"title": "My answer", "type": "string"}}}},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "My_answer", "schema": {"title": "My answer", "type": "string"}, "strict": True},
                }
            },
        ),
    ],
)
def test_a_field_of_anthropic_in_openai(field, crossed):
    """What has a counterpart becomes it; strict is a schema whose objects are closed and require all they have."""
    body = to_openai(**field)

    check_request(body, Dialect.OPENAI)
    assert body == {"max_completion_tokens": 9, "messages": [USER]} | crossed


@pytest.mark.parametrize(
    ("choice", "crossed"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        ({"type": "tool", "name": "f"}, {"tool_choice": {"type": "function", "function": {"name": "f"}}}),
        ({"type": "auto", "disable_parallel_tool_use": True}, {"tool_choice": "auto", "parallel_tool_calls": False}),
    ],
)
def test_anthropics_tool_choices_in_openai(choice, crossed):
    """All four choices cross, and so does the wish for one call at a time."""
    body = to_openai(tools=[TOOL], tool_choice=choice)
    assert {key: body[key] for key in ("tool_choice", "parallel_tool_calls") if key in body} == crossed


def test_the_judge_of_shapes_looks_into_messages():
    """A body with a wrong part deep inside does not pass for either SDK's types."""
    with pytest.raises(ValidationError):
        check_request({"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}, Dialect.OPENAI)
    with pytest.raises(ValidationError):
        check_request({"max_tokens": 1, "messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}, Dialect.ANTHROPIC)
