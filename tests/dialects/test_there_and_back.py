"""Whatever a conversation is, it is the same after crossing."""

from typing import Any

from hypothesis import given

from learnedrouter.chat import Dialect
from learnedrouter.dialects import anthropic_messages, openai_chat
from learnedrouter.dialects.crossing import body_for, cannot_cross
from tests.dialects.conversations import anthropic_bodies, openai_bodies, said_in_anthropic, said_in_openai
from tests.dialects.shapes import check_request


def to_anthropic(body: dict[str, Any]) -> dict[str, Any]:
    return body_for(openai_chat.read_request(body), Dialect.ANTHROPIC, default_output_tokens=7)


def to_openai(body: dict[str, Any]) -> dict[str, Any]:
    return body_for(anthropic_messages.read_request(body), Dialect.OPENAI, default_output_tokens=7)


@given(openai_bodies())
def test_an_openai_conversation_says_the_same_to_an_anthropic_model_and_when_it_is_back(body):
    """Every text, image, tool call and result arrives, in order; and so does every field that can cross."""
    there = to_anthropic(body)
    back = to_openai(there)

    assert without_opening(said_in_anthropic(there)) == said_in_openai(body)
    assert said_in_openai(back) == said_in_openai(body)
    assert {key: back[key] for key in body if key != "messages"} == {key: body[key] for key in body if key != "messages"}


@given(anthropic_bodies())
def test_an_anthropic_conversation_says_the_same_to_an_openai_model_and_when_it_is_back(body):
    """Thinking stays behind; everything else arrives, in order."""
    there = to_openai(body)

    assert said_in_openai(there) == said_in_anthropic(body)
    assert without_opening(said_in_anthropic(to_anthropic(there))) == said_in_anthropic(body)


@given(openai_bodies())
def test_crossing_twice_more_changes_nothing(body):
    """The first time there and back normalises; from then on the body stays as it is, to the letter."""
    back = to_openai(to_anthropic(body))
    assert to_openai(to_anthropic(back)) == back


@given(openai_bodies())
def test_what_crosses_to_anthropic_is_what_its_sdk_takes(body):
    """The body fits the SDK's own types, the sides take turns, the user begins, and no text is blank."""
    there = to_anthropic(body)

    check_request(there, Dialect.ANTHROPIC)
    roles = [message["role"] for message in there["messages"]]
    assert roles == [("user", "assistant")[place % 2] for place in range(len(roles))]
    assert all(block["text"].strip() for message in there["messages"] for block in message["content"] if block["type"] == "text")


@given(anthropic_bodies())
def test_what_crosses_to_openai_is_what_its_sdk_takes(body):
    """The body fits the SDK's own types, and each tool call's result follows it at once."""
    there = to_openai(body)

    check_request(there, Dialect.OPENAI)
    waiting: list[str] = []
    for message in there["messages"]:
        if message["role"] == "tool":
            waiting.remove(message["tool_call_id"])
        else:
            assert not waiting
            waiting = [call["id"] for call in message.get("tool_calls", ())]


@given(openai_bodies())
def test_what_a_request_needs_is_the_same_in_both_dialects(body):
    """Routing cannot tell which dialect a request came in."""
    request = openai_chat.read_request(body)
    crossed = anthropic_messages.read_request(to_anthropic(body))

    assert cannot_cross(request, Dialect.ANTHROPIC) is None
    assert (crossed.needs.images, crossed.needs.tools, crossed.needs.json_schema) == (
        request.needs.images,
        request.needs.tools,
        request.needs.json_schema,
    )
    assert crossed.needs.output_tokens == (request.needs.output_tokens or 7)


def without_opening(atoms: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    opening = ("user", "text", "(The conversation begins with the assistant's message.)")
    return [atom for atom in atoms if atom != opening]
