"""The OpenAI chat completions dialect: what of a request routing reads, and what of an answer is normalised.

Source: https://platform.openai.com/docs/api-reference/chat. Fields not named here are carried along unread.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args

from learnedrouter.chat import ChatRequest, Dialect, FinishReason, Needs, Role, ToolCall, Turn, Usage
from learnedrouter.dialects.reading import count, objects, one_of, optional, positive, required, section
from learnedrouter.errors import RequestError

ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}


def read_request(body: Mapping[str, Any]) -> ChatRequest:
    """Return what routing needs to know of a chat completions body.

    Raises
    ------
    RequestError
        A field that routing reads has the wrong shape; names the field.
    """
    if not required(body, "messages", list, "messages"):
        raise RequestError("messages: is empty; expected at least one message", field="messages")
    turns: list[Turn] = []
    kinds: set[str] = set()
    for field, message in objects(body["messages"], "messages"):
        role = read_role(message, field)
        turns.append(Turn(role, read_content(message.get("content"), f"{field}.content")))
        if isinstance(parts := message.get("content"), list):
            kinds |= {part["type"] for part in parts}
    if not kinds - {"text", "refusal"} and not any(turn.role in ("user", "tool") and turn.text.strip() for turn in turns):
        raise RequestError("messages: no user message holds any text", field="messages")
    optional(body, "stream", bool)
    optional(body, "stream_options", dict)
    form = optional(body, "response_format", dict) or {}
    optional(form, "json_schema", dict, "response_format.json_schema")
    needs = Needs(
        images="image_url" in kinds,
        tools=bool(optional(body, "tools", list)),
        json_schema=form.get("type") == "json_schema",
        output_tokens=positive(body, "max_completion_tokens") or positive(body, "max_tokens"),
    )
    return ChatRequest(Dialect.OPENAI, body, tuple(turns), needs)


def read_role(message: Mapping[str, Any], field: str) -> Role:
    """Return whose message it is."""
    return one_of(message, "role", ROLES, f"{field}.role")


def read_content(content: Any, field: str) -> str:
    """Return the text of a message's content, its parts on lines of their own."""
    if content is None or isinstance(content, str):
        return content or ""
    texts = []
    for place, part in objects(content, field):
        if required(part, "type", str, f"{place}.type") == "text":
            texts.append(required(part, "text", str, f"{place}.text"))
    return "\n".join(texts)


def read_text(message: Mapping[str, Any]) -> str:
    """Return what a message of an answer says to its reader, refusals included."""
    return read_content(message.get("content"), "content") or message.get("refusal") or ""


def read_tool_calls(message: Mapping[str, Any]) -> tuple[ToolCall, ...]:
    """Return the tool calls of an assistant message, in order."""
    calls: Sequence[Mapping[str, Any]] = message.get("tool_calls") or ()
    return tuple(
        ToolCall(call.get("id") or "", call["function"]["name"], call["function"].get("arguments") or "{}")
        for call in calls
        if "function" in call
    )


def read_finish_reason(reason: str | None) -> FinishReason:
    """Return why an answer ended; ``function_call`` is the old name of ``tool_calls``."""
    if reason == "function_call":
        return "tool_calls"
    return cast(FinishReason, reason) if reason in get_args(FinishReason) else "unknown"


def read_usage(usage: Mapping[str, Any] | None) -> Usage:
    """Return an answer's usage in disjoint classes: OpenAI counts cached tokens inside ``prompt_tokens``.

    DeepSeek names the cached part ``prompt_cache_hit_tokens``
    (https://api-docs.deepseek.com/api/create-chat-completion).
    """
    if not usage:
        return Usage()
    prompt, details = count(usage, "prompt_tokens"), section(usage, "prompt_tokens_details")
    cached = count(details, "cached_tokens") or count(usage, "prompt_cache_hit_tokens") or 0
    written = count(details, "cache_write_tokens") or 0
    return Usage(
        input_tokens=None if prompt is None else max(prompt - cached - written, 0),
        cache_read_tokens=cached,
        cache_write_tokens=written,
        output_tokens=count(usage, "completion_tokens"),
        reasoning_tokens=count(section(usage, "completion_tokens_details"), "reasoning_tokens"),
    )
