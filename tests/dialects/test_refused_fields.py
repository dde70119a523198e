"""What cannot cross is refused by name, and what cannot be read too."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnedrouter.chat import ChatRequest, Dialect
from learnedrouter.dialects import anthropic_messages, openai_chat
from learnedrouter.dialects.crossing import body_for, cannot_cross
from learnedrouter.errors import RequestError

USER = {"role": "user", "content": "Hi"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
FUNCTION = {"type": "function", "function": {"name": "f"}}
TOOL = {"name": "f", "input_schema": {"type": "object"}}


def part(**fields):
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}, fields]}]}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logit_bias": {"1": 2}}, "logit_bias"),
        ({"audio": {"voice": "alloy", "format": "wav"}}, "audio"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"moderation": {"model": "m"}}, "moderation"),
        ({"never_heard_of": 1}, "never_heard_of"),
        ({"response_format": {"type": "json_object"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}}, "response_format.json_schema.schema"),
        ({"stop": ["\n"]}, "stop"),
        ({"stop": [1]}, "stop"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"user": 5}, "user"),
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"function": {"name": "f"}}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
        ({"tools": ["f"]}, "tools[0]"),
        ({"tools": [FUNCTION], "tool_choice": "perhaps"}, "tool_choice"),
        ({"tools": [FUNCTION], "tool_choice": ["auto"]}, "tool_choice"),
        ({"tools": [FUNCTION], "tool_choice": {"type": "allowed_tools"}}, "tool_choice.type"),
        ({"tools": [FUNCTION], "tool_choice": {"type": "function"}}, "tool_choice.function"),
        (part(type="input_audio", input_audio={}), "messages[0].content[1].type"),
        (part(type="file", file={}), "messages[0].content[1].type"),
        (part(type="image_url"), "messages[0].content[1].image_url"),
        (part(type="image_url", image_url={"url": 1}), "messages[0].content[1].image_url.url"),
        (part(type="image_url", image_url={"url": "data:image/tiff;base64,AA=="}), "messages[0].content[1].image_url.url"),
        (part(type="image_url", image_url={"url": "data:image/png,raw"}), "messages[0].content[1].image_url.url"),
        (part(type="image_url", image_url={"url": "file:///etc/passwd"}), "messages[0].content[1].image_url.url"),
        ({"messages": [USER, {"role": "assistant", "content": "Hello"}]}, "messages[1]"),
        ({"messages": [USER, {"role": "function", "name": "f", "content": "1"}]}, "messages[1].role"),
        ({"messages": [USER, {"role": "assistant", "function_call": {"name": "f", "arguments": ""}}, USER]}, "messages[1].function_call"),
        ({"messages": [USER, {"role": "assistant", "audio": {"id": "a"}}, USER]}, "messages[1].audio"),
        ({"messages": [USER, CALLED, {"role": "tool", "content": "1"}]}, "messages[2].tool_call_id"),
        (
            {"messages": [USER, CALLED, {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "image_url"}]}]},
            "messages[2].content[0].type",
        ),
        ({"messages": [USER, {"role": "assistant", "tool_calls": [{"id": "c"}]}, USER]}, "messages[1].tool_calls[0].function"),
        (
            {"messages": [USER, {"role": "assistant", "tool_calls": [CALL | {"function": {"name": "f", "arguments": "{"}}]}, USER]},
            "messages[1].tool_calls[0].function.arguments",
        ),
        (
            {"messages": [USER, {"role": "assistant", "tool_calls": [CALL | {"function": {"name": "f", "arguments": "[]"}}]}, USER]},
            "messages[1].tool_calls[0].function.arguments",
        ),
        (
            {"messages": [USER, {"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {}}]}, USER]},
            "messages[1].tool_calls[0].type",
        ),
    ],
)
def test_what_cannot_cross_to_anthropic_is_refused_by_name(body, field):
    """The same request stays as it is for an OpenAI model; for an Anthropic model the error names the field."""
    request = openai_chat.read_request({"messages": [USER], **body})

    assert body_for(request, Dialect.OPENAI, default_output_tokens=7) == request.body
    assert cannot_cross(request, Dialect.ANTHROPIC) == field
    with pytest.raises(RequestError) as caught:
        body_for(request, Dialect.ANTHROPIC, default_output_tokens=7)
    assert field in str(caught.value)


def block(**fields):
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}, fields]}]}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"top_k": 5}, "top_k"),
        ({"container": "c"}, "container"),
        ({"mcp_servers": []}, "mcp_servers"),
        ({"inference_geo": "eu"}, "inference_geo"),
        ({"never_heard_of": 1}, "never_heard_of"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop_sequences": ["a", "b", "c", "d", "e"]}, "stop_sequences"),
        ({"metadata": {"user_id": 5}}, "metadata.user_id"),
        ({"output_config": {"task_budget": {}}}, "output_config.task_budget"),
        ({"output_config": {"format": {"type": "grammar"}}}, "output_config.format.type"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
        ({"tools": [TOOL | {"name": "f" * 65}]}, "tools[0].name"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"tools": [TOOL], "tool_choice": {"type": "perhaps"}}, "tool_choice.type"),
        ({"system": [{"type": "text", "text": "Be."}], "tools": [TOOL], "tool_choice": "auto"}, "tool_choice"),
        (block(type="document", source={}), "messages[0].content[1].type"),
        (block(type="search_result"), "messages[0].content[1].type"),
        (block(type="thinking", thinking="", signature=""), "messages[0].content[1].type"),
        (block(type="image", source={"type": "file", "file_id": "f"}), "messages[0].content[1].source.type"),
        (block(type="image", source={"type": "base64", "data": "AA=="}), "messages[0].content[1].source.media_type"),
        (block(type="image"), "messages[0].content[1].source"),
        (block(type="tool_result", content="1"), "messages[0].content[1].tool_use_id"),
        (
            block(type="tool_result", tool_use_id="t1", content=[{"type": "image", "source": {}}]),
            "messages[0].content[1].content[0].type",
        ),
        ({"messages": [USER, {"role": "assistant", "content": "It is"}]}, "messages[1]"),
        ({"messages": [USER, {"role": "assistant", "content": [{"type": "server_tool_use"}]}, USER]}, "messages[1].content[0].type"),
        (
            {"messages": [USER, {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": "x"}]}, USER]},
            "messages[1].content[0].input",
        ),
    ],
)
def test_what_cannot_cross_to_openai_is_refused_by_name(body, field):
    """The same request stays as it is for an Anthropic model; for an OpenAI model the error names the field."""
    request = anthropic_messages.read_request({"messages": [USER], "max_tokens": 9, **body})

    assert body_for(request, Dialect.ANTHROPIC, default_output_tokens=7) == request.body
    assert cannot_cross(request, Dialect.OPENAI) == field
    with pytest.raises(RequestError) as caught:
        body_for(request, Dialect.OPENAI, default_output_tokens=7)
    assert field in str(caught.value)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["text", "user", "assistant", "tool", "image_url"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "content", "type", "text", "id", "function"]), inner)
    ),
    max_leaves=12,
)
keys = st.sampled_from(
    [
        "messages",
        "system",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "stop",
        "tools",
        "tool_choice",
        "response_format",
        "stream",
        "metadata",
        "output_config",
        "user",
        "parallel_tool_calls",
        "n",
        "stop_sequences",
        "thinking",
    ]
)


@given(st.dictionaries(keys, json_values), st.sampled_from(Dialect))
def test_no_body_is_answered_with_anything_but_a_request_error(body, dialect):
    """Reading and crossing validate all that they touch: no KeyError, no TypeError, whatever stands there."""
    try:
        request = read(body, dialect)
    except RequestError:
        request = ChatRequest(dialect, body, ())  # as malformed as it is: crossing must not rely on the reading
    for other in Dialect:
        if other is not dialect:
            cannot_cross(request, other)


def read(body, dialect):
    return openai_chat.read_request(body) if dialect is Dialect.OPENAI else anthropic_messages.read_request(body)
