"""The OpenAI chat completions dialect: what of a request routing reads, and what of an answer is normalised.

Source: https://platform.openai.com/docs/api-reference/chat. Fields not named here are carried along unread.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args

from learnedrouter.chat import ChatRequest, Dialect, FinishReason, Needs, Role, ToolCall, Turn, Usage
from learnedrouter.dialects.reading import expect, optional, required, shown
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
    messages = required(body, "messages", list, "messages")
    if not messages:
        raise RequestError("messages: is empty; expected at least one message", field="messages")
    turns, images = [], False
    for place, message in enumerate(messages):
        field = f"messages[{place}]"
        role = ROLES.get(required(expect(message, dict, field), "role", str, f"{field}.role"))
        if role is None:
            raise RequestError(f"{field}.role: {shown(message['role'])} is not one of {', '.join(ROLES)}", field=f"{field}.role")
        text, pictured = _read_content(message.get("content"), f"{field}.content")
        turns.append(Turn(role, text))
        images |= pictured
    if not any(turn.role in ("user", "tool") and turn.text.strip() for turn in turns) and not images:
        raise RequestError("messages: no user message holds any text", field="messages")
    form = optional(body, "response_format", dict) or {}
    limit = optional(body, "max_completion_tokens", int) or optional(body, "max_tokens", int)
    if limit is not None and limit < 1:
        raise RequestError(f"max_tokens: {limit} is not a positive integer", field="max_tokens")
    needs = Needs(
        images=images,
        tools=bool(optional(body, "tools", list)),
        json_schema=form.get("type") == "json_schema",
        output_tokens=limit,
    )
    return ChatRequest(Dialect.OPENAI, body, tuple(turns), needs)


def _read_content(content: Any, field: str) -> tuple[str, bool]:
    """Return the text of a message's content, and whether there is an image in it."""
    if content is None or isinstance(content, str):
        return content or "", False
    texts, images = [], False
    for place, part in enumerate(expect(content, list, field)):
        kind = required(expect(part, dict, f"{field}[{place}]"), "type", str, f"{field}[{place}].type")
        if kind == "text":
            texts.append(required(part, "text", str, f"{field}[{place}].text"))
        images |= kind == "image_url"
    return "\n".join(texts), images


def read_text(message: Mapping[str, Any]) -> str:
    """Return what a message of an answer says to its reader, refusals included."""
    return _read_content(message.get("content"), "content")[0] or message.get("refusal") or ""


def read_tool_calls(message: Mapping[str, Any]) -> tuple[ToolCall, ...]:
    """Return the tool calls of an assistant message, in order."""
    calls: Sequence[Mapping[str, Any]] = message.get("tool_calls") or ()
    return tuple(
        ToolCall(call.get("id", ""), call["function"]["name"], call["function"].get("arguments") or "{}")
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
    prompt, output = usage.get("prompt_tokens"), usage.get("completion_tokens")
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or 0
    reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    return Usage(
        input_tokens=None if prompt is None else max(prompt - cached, 0),
        cache_read_tokens=cached,
        output_tokens=output,
        reasoning_tokens=reasoning,
    )
