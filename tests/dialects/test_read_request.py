"""What routing reads of a request, and how it complains."""

import pytest

from learnedrouter.chat import Dialect, Needs, Turn
from learnedrouter.dialects import anthropic_messages, openai_chat
from learnedrouter.errors import RequestError

USER = {"role": "user", "content": "Hi"}
IMAGE = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}


def anthropic_request(*messages, **fields):
    return anthropic_messages.read_request({"messages": list(messages), "max_tokens": 9, **fields})


def test_an_anthropic_conversation_as_turns():
    """Prompts first, a turn for each tool result, thinking left out, calls without text."""
    used = [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "text", "text": "Let me see."},
        {"type": "tool_use", "id": "t1", "name": "f", "input": {}},
        {"type": "tool_use", "id": "t2", "name": "f", "input": {}},
    ]
    results = [
        {"type": "tool_result", "tool_use_id": "t1", "content": "one"},
        {"type": "tool_result", "tool_use_id": "t2", "content": [{"type": "text", "text": "two"}, IMAGE]},
        {"type": "text", "text": "And now?"},
    ]
    system = [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]
    messages = [USER, {"role": "assistant", "content": used}, {"role": "user", "content": results}, {"role": "system", "content": "C"}]

    request = anthropic_request(*messages, system=system)

    assert request.dialect is Dialect.ANTHROPIC
    assert request.needs == Needs(images=True, output_tokens=9)
    assert request.turns == (
        Turn("system", "A"),
        Turn("system", "B"),
        Turn("user", "Hi"),
        Turn("assistant", "Let me see."),
        Turn("tool", "one"),
        Turn("tool", "two"),
        Turn("user", "And now?"),
        Turn("system", "C"),
    )


@pytest.mark.parametrize(
    ("fields", "needs"),
    [
        ({}, Needs(output_tokens=9)),
        ({"tools": [{"name": "f"}]}, Needs(tools=True, output_tokens=9)),
        ({"tools": []}, Needs(output_tokens=9)),
        ({"output_config": {"format": {"type": "json_schema", "schema": {}}}}, Needs(json_schema=True, output_tokens=9)),
        ({"output_config": {"effort": "low"}}, Needs(output_tokens=9)),
        ({"max_tokens": 0}, Needs(output_tokens=0)),
    ],
)
def test_what_an_anthropic_request_needs(fields, needs):
    """Tools, a schema, output tokens; 0 of them fill the prompt cache."""
    assert anthropic_request(USER, **fields).needs == needs


@pytest.mark.parametrize("kind", ["image", "document", "search_result"])
def test_a_message_without_text_may_hold_something_else(kind):
    """An image or a document can be all that is asked about."""
    assert anthropic_request({"role": "user", "content": [{"type": kind, "source": {}}]}).turns == (Turn("user", ""),)


@pytest.mark.parametrize("part", [{"type": "image_url"}, {"type": "input_audio"}, {"type": "file"}])
def test_an_openai_message_without_text_may_hold_something_else(part):
    """So can a picture, a recording or a file."""
    assert openai_chat.read_request({"messages": [{"role": "user", "content": [part]}]}).turns == (Turn("user", ""),)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": [USER], "max_tokens": None}, "max_tokens"),
        ({"messages": [USER], "max_tokens": "9"}, "max_tokens"),
        ({"messages": [USER], "max_tokens": True}, "max_tokens"),
        ({"messages": [USER], "max_tokens": -1}, "max_tokens"),
        ({"messages": ["Hi"]}, "messages[0]"),
        ({"messages": [{"content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "developer", "content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [5]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result", "content": 5}]}]}, "messages[0].content[0].content"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages"),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, "messages"),
        ({"messages": [USER], "system": 5}, "system"),
        ({"messages": [USER], "system": [{"type": "image"}]}, "system[0].type"),
        ({"messages": [USER], "tools": {}}, "tools"),
        ({"messages": [USER], "stream": "yes"}, "stream"),
        ({"messages": [USER], "output_config": []}, "output_config"),
        ({"messages": [USER], "output_config": {"format": "json"}}, "output_config.format"),
    ],
)
def test_an_anthropic_body_that_cannot_be_read_names_the_field(body, field):
    """One field, by its path, with what was found there."""
    with pytest.raises(RequestError) as caught:
        anthropic_messages.read_request({"max_tokens": 9, **body})
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "messages"),
        ({"messages": [{"role": "boss", "content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": None}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages"),
        ({"messages": [USER], "max_tokens": 0}, "max_tokens"),
        ({"messages": [USER], "max_completion_tokens": 0}, "max_completion_tokens"),
        ({"messages": [USER], "max_completion_tokens": 1.5}, "max_completion_tokens"),
        ({"messages": [USER], "response_format": "json"}, "response_format"),
        ({"messages": [USER], "response_format": {"type": "json_schema", "json_schema": "x"}}, "response_format.json_schema"),
        ({"messages": [USER], "stream": 1}, "stream"),
        ({"messages": [USER], "stream": True, "stream_options": "yes"}, "stream_options"),
    ],
)
def test_an_openai_body_that_cannot_be_read_names_the_field(body, field):
    """One field, by its path, with what was found there."""
    with pytest.raises(RequestError) as caught:
        openai_chat.read_request(body)
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: ")


def test_only_counting_tokens_goes_without_a_limit():
    """Anthropic demands ``max_tokens`` for an answer, and has no such field where nothing is answered."""
    assert anthropic_messages.read_count_request({"messages": [USER]}).needs.output_tokens is None
    with pytest.raises(RequestError, match="max_tokens: is missing"):
        anthropic_messages.read_request({"messages": [USER]})
