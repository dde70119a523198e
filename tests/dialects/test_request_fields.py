"""Field by field: what a request becomes in the other dialect, and what is refused, by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from learnedrouter.chat import ChatRequest, Dialect
from learnedrouter.dialects import anthropic_messages, openai_chat
from learnedrouter.dialects.crossing import body_for, cannot_cross, strip_thinking
from learnedrouter.errors import RequestError
from tests.dialects.shapes import check_request

USER = {"role": "user", "content": "Hi"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
FUNCTION = {"type": "function", "function": {"name": "f"}}
TOOL = {"name": "f", "input_schema": {"type": "object"}}
USED = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}]}
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


def test_parallel_results_reach_anthropic_in_one_message_and_keep_their_failures():
    """Both results stand before the user's text, in the message after the calls."""
    calls = [CALL, CALL | {"id": "call_2"}]
    results = [
        {"role": "tool", "tool_call_id": "call_1", "content": "1"},
        {"role": "tool", "tool_call_id": "call_2", "content": "[tool error] no such file"},
    ]
    crossed = to_anthropic(messages=[USER, {**CALLED, "tool_calls": calls}, *results, {"role": "user", "content": "And?"}])

    assert crossed["messages"][2] == {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "call_1", "content": "1"},
            {"type": "tool_result", "tool_use_id": "call_2", "content": "no such file", "is_error": True},
            {"type": "text", "text": "And?"},
        ],
    }


def test_a_failed_tool_says_so_to_an_openai_model():
    """OpenAI's dialect has no field for it, so the text says it."""
    result = {"type": "tool_result", "tool_use_id": "t1", "is_error": True, "content": [{"type": "text", "text": "no such file"}]}
    crossed = to_openai(messages=[USER, USED, {"role": "user", "content": [result]}])
    assert crossed["messages"][-1] == {"role": "tool", "tool_call_id": "t1", "content": "[tool error] no such file"}


def test_system_prompts_go_to_the_head_whoever_sent_them_and_wherever():
    """System and developer messages are one system prompt for Anthropic, in their order."""
    crossed = to_anthropic(messages=[{"role": "system", "content": "A"}, USER, {"role": "developer", "content": "B"}, USER])
    assert crossed["system"] == [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]


def test_a_refusal_in_the_history_is_what_the_assistant_said():
    """Both of OpenAI's ways to write it down cross as text."""
    refusals = [{"role": "assistant", "refusal": "No."}, {"role": "assistant", "content": [{"type": "refusal", "refusal": "Never."}]}]
    assert to_anthropic(messages=[USER, *refusals, USER])["messages"][1]["content"] == [
        {"type": "text", "text": "No."},
        {"type": "text", "text": "Never."},
    ]


def test_ids_that_other_endpoints_give_their_calls_are_rewritten_alike_for_call_and_result():
    """Anthropic takes letters, digits, '_' and '-' only, OpenAI at most 40 of them."""
    odd = "functions.f:0 " + "x" * 60
    result = {"role": "tool", "tool_call_id": odd, "content": "1"}
    crossed = to_anthropic(messages=[USER, {**CALLED, "tool_calls": [CALL | {"id": odd}]}, result])

    rewritten = crossed["messages"][1]["content"][0]["id"]
    assert crossed["messages"][2]["content"][0]["tool_use_id"] == rewritten
    assert len(rewritten) == 40
    assert rewritten.replace("_", "").isalnum()


def test_thinking_of_another_model_is_stripped_and_nothing_else():
    """A message that was all thinking goes; the caller's body is left as it was."""
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    said = [thinking, {"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral"}}]
    body = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "messages": [USER, {"role": "assistant", "content": said}, USER]}
    alone = {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "eA=="}]}

    stripped = strip_thinking({**body, "messages": [alone, *body["messages"]]})

    assert stripped == {**body, "messages": [USER, {"role": "assistant", "content": said[1:]}, USER]}
    assert thinking in body["messages"][1]["content"]


def test_stripped_in_the_middle_of_a_tool_loop_thinking_rests_until_its_end():
    """Manual thinking demands thinking before the last tool calls, which has just been stripped."""
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    used = {"role": "assistant", "content": [thinking, *USED["content"]]}
    answered = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "1"}]}
    stripped = strip_thinking({"thinking": {"type": "enabled", "budget_tokens": 1024}, "messages": [USER, used, answered]})
    assert stripped == {"messages": [USER, USED, answered]}


def test_the_judge_of_shapes_looks_into_messages():
    """A body with a wrong part deep inside does not pass for either SDK's types."""
    with pytest.raises(ValidationError):
        check_request({"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}, Dialect.OPENAI)
    with pytest.raises(ValidationError):
        check_request({"max_tokens": 1, "messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}, Dialect.ANTHROPIC)


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
    "messages system max_tokens max_completion_tokens temperature stop tools tool_choice response_format stream metadata "
    "output_config user parallel_tool_calls n stop_sequences thinking".split()
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
