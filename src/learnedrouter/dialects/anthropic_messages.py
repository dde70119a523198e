"""The Anthropic messages dialect: what of an answer is normalised.

Source: https://docs.anthropic.com/en/api/messages. Fields not named here are carried along unread.
"""

import json
from collections.abc import Mapping
from typing import Any

from learnedrouter.chat import FinishReason, ToolCall, Usage

STOP_REASONS: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def read_text(answer: Mapping[str, Any]) -> str:
    """Return an answer's text blocks, joined as they follow each other; thinking is not text."""
    return "".join(block["text"] for block in answer.get("content", ()) if block.get("type") == "text")


def read_tool_calls(answer: Mapping[str, Any]) -> tuple[ToolCall, ...]:
    """Return the tool calls of an answer, in order."""
    return tuple(
        ToolCall(block["id"], block["name"], json.dumps(block.get("input") or {}, ensure_ascii=False))
        for block in answer.get("content", ())
        if block.get("type") == "tool_use"
    )


def read_finish_reason(reason: str | None) -> FinishReason:
    """Return why an answer ended, in OpenAI's words."""
    return STOP_REASONS.get(reason or "", "unknown")


def read_usage(usage: Mapping[str, Any] | None) -> Usage:
    """Return an answer's usage; Anthropic's classes are disjoint already."""
    if not usage:
        return Usage()
    return Usage(
        input_tokens=usage.get("input_tokens"),
        cache_read_tokens=usage.get("cache_read_input_tokens") or 0,
        cache_write_tokens=usage.get("cache_creation_input_tokens") or 0,
        output_tokens=usage.get("output_tokens"),
        reasoning_tokens=(usage.get("output_tokens_details") or {}).get("thinking_tokens") or 0,
    )
