"""The Anthropic messages dialect: what of a request routing reads, and what of an answer is normalised.

Source: https://docs.anthropic.com/en/api/messages. Fields not named here are carried along unread.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from learnedrouter.chat import ChatRequest, Dialect, FinishReason, Needs, Role, ToolCall, Turn, Usage
from learnedrouter.dialects.reading import count, objects, one_of, optional, required, section, shown
from learnedrouter.errors import RequestError

ROLES: Mapping[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
"""A system prompt in the middle of a conversation is a message; the one at its head is the field ``system``."""

THINKING = frozenset({"thinking", "redacted_thinking"})

STOP_REASONS: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}

Block = tuple[str, dict[str, Any]]
"""A content block, after its field path."""


def read_request(body: Mapping[str, Any]) -> ChatRequest:
    """Return what routing needs to know of a messages body.

    Raises
    ------
    RequestError
        A field that routing reads has the wrong shape; names the field.
    """
    required(body, "max_tokens", int, "max_tokens")
    return read_count_request(body)


def read_count_request(body: Mapping[str, Any]) -> ChatRequest:
    """Return what routing needs to know of a body whose tokens are to be counted: `max_tokens` may be missing.

    Raises
    ------
    RequestError
        See `read_request`.
    """
    if not required(body, "messages", list, "messages"):
        raise RequestError("messages: is empty; expected at least one message", field="messages")
    turns = [Turn("system", read_text_block(block, field)) for field, block in blocks(body.get("system"), "system")]
    kinds: set[str] = set()
    for field, message in objects(body["messages"], "messages"):
        role, content = read_role(message, field), list(blocks(required_content(message, field), f"{field}.content"))
        turns.extend(_turns(role, content))
        kinds.update(_kinds(content))
    if kinds <= {"text", "tool_use", "tool_result", *THINKING} and not any(
        turn.role in ("user", "tool") and turn.text.strip() for turn in turns
    ):
        raise RequestError("messages: no user message holds any text", field="messages")
    optional(body, "stream", bool)
    limit = optional(body, "max_tokens", int)
    if limit is not None and limit < 0:  # 0 fills the prompt cache and generates nothing
        raise RequestError(f"max_tokens: {limit} is negative", field="max_tokens")
    form = optional(optional(body, "output_config", dict) or {}, "format", dict, "output_config.format") or {}
    needs = Needs("image" in kinds, bool(optional(body, "tools", list)), form.get("type") == "json_schema", limit)
    return ChatRequest(Dialect.ANTHROPIC, body, tuple(turns), needs)


def read_role(message: Mapping[str, Any], field: str) -> Role:
    """Return whose message it is; tool results are in the user's."""
    return one_of(message, "role", ROLES, f"{field}.role")


def required_content(message: Mapping[str, Any], field: str) -> Any:
    """Return a message's content, whatever it is."""
    if message.get("content") is None:
        raise RequestError(f"{field}.content: is missing", field=f"{field}.content")
    return message["content"]


def blocks(content: Any, field: str) -> Iterator[Block]:
    """Yield the blocks of a content, each of which names its type; a string is one block of text, null is none."""
    if isinstance(content, str):
        yield field, {"type": "text", "text": content}
        return
    for place, block in objects(content, field):
        required(block, "type", str, f"{place}.type")
        yield place, block


def read_text_block(block: Mapping[str, Any], field: str) -> str:
    """Return the text of a block that can be nothing but text."""
    if block["type"] != "text":
        raise RequestError(f"{field}.type: {shown(block['type'])} is not 'text'", field=f"{field}.type")
    return _text(block, field)


def _text(block: Mapping[str, Any], field: str) -> str:
    """Return a text block's text."""
    return required(block, "text", str, f"{field}.text")


def joined_text(content: Any, field: str) -> str:
    """Return the text blocks of a content, each on lines of its own."""
    return "\n".join(_text(block, place) for place, block in blocks(content, field) if block["type"] == "text")


def _turns(role: Role, content: list[Block]) -> Iterator[Turn]:
    """Yield a turn for each tool result of a message, and one for the rest of it, if there is any."""
    results = [(field, block) for field, block in content if block["type"] == "tool_result"]
    for field, block in results:
        yield Turn("tool", joined_text(block.get("content"), f"{field}.content"))
    if len(results) < len(content) or not content:
        yield Turn(role, "\n".join(_text(block, field) for field, block in content if block["type"] == "text"))


def _kinds(content: list[Block]) -> Iterator[str]:
    """Yield the types of a message's blocks, and of those inside its tool results."""
    for field, block in content:
        yield block["type"]
        if block["type"] == "tool_result":
            yield from (inner["type"] for _, inner in blocks(block.get("content"), f"{field}.content"))


def read_text(answer: Mapping[str, Any]) -> str:
    """Return an answer's text blocks, joined as they follow each other, or why it was refused; thinking is not text."""
    text = "".join(block["text"] for block in answer.get("content") or () if block.get("type") == "text")
    return text or read_refusal(answer) or ""


def read_refusal(answer: Mapping[str, Any]) -> str | None:
    """Return what is said about a refusal in an answer or in the end of a stream; None where it is none, or says nothing."""
    return optional(optional(answer, "stop_details", dict) or {}, "explanation", str, "stop_details.explanation")


def read_tool_calls(answer: Mapping[str, Any]) -> tuple[ToolCall, ...]:
    """Return the tool calls of an answer, in order."""
    return tuple(
        ToolCall(block["id"], block["name"], write_arguments(block.get("input")))
        for block in answer.get("content") or ()
        if block.get("type") == "tool_use"
    )


def write_arguments(arguments: Any) -> str:
    """Return a tool call's input as the JSON text that OpenAI's dialect carries."""
    return json.dumps(arguments or {}, ensure_ascii=False)


def read_finish_reason(reason: str | None) -> FinishReason:
    """Return why an answer ended, in OpenAI's words."""
    return STOP_REASONS.get(reason or "", "unknown")


def read_usage(usage: Mapping[str, Any] | None) -> Usage:
    """Return an answer's usage; Anthropic's classes are disjoint already.

    What was written to the cache is told as a sum, and by how long it is kept
    (https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching#1-hour-cache-duration).
    """
    if not usage:
        return Usage()
    kept = section(usage, "cache_creation")
    hour = count(kept, "ephemeral_1h_input_tokens") or 0
    written = count(usage, "cache_creation_input_tokens") or 0
    return Usage(
        input_tokens=count(usage, "input_tokens"),
        cache_read_tokens=count(usage, "cache_read_input_tokens") or 0,
        cache_write_tokens=max(written, (count(kept, "ephemeral_5m_input_tokens") or 0) + hour),
        output_tokens=count(usage, "output_tokens"),
        reasoning_tokens=count(section(usage, "output_tokens_details"), "thinking_tokens"),
        cache_write_1h_tokens=hour,
    )


def strip_thinking(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body without its thinking blocks, which no other model than their author accepts.

    In the middle of a tool loop a model that is told to think in the manual way (``thinking.type`` ``enabled``) demands
    its own thinking before the tool calls; with that gone, thinking is left off until the loop ends
    (https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking#extended-thinking-with-tool-use).
    """
    messages = []
    stripped_last = False
    for message in body["messages"]:
        kept = message["content"]
        if message["role"] == "assistant" and isinstance(kept, list):
            kept = [block for block in kept if block.get("type") not in THINKING]
            stripped_last = len(kept) < len(message["content"])
        if kept or kept == message["content"]:
            messages.append({**message, "content": kept})
    stripped = {**body, "messages": messages}
    last = messages[-1]["content"] if messages else ()
    in_loop = isinstance(last, list) and any(block.get("type") == "tool_result" for block in last)
    if in_loop and stripped_last and section(body, "thinking").get("type") == "enabled":
        del stripped["thinking"]
    return stripped
