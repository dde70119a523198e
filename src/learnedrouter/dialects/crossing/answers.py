"""Giving a whole answer in another dialect than the provider's."""

import json
from collections.abc import Mapping
from typing import Any

from learnedrouter.chat import Dialect, FinishReason, Usage
from learnedrouter.dialects import anthropic_messages, openai_chat
from learnedrouter.dialects.reading import expect, objects, optional, provider_answer, required
from learnedrouter.errors import RequestError

STOP_REASONS: Mapping[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "unknown": "end_turn",
}


def answer_for(answer: Mapping[str, Any], written_in: Dialect, wanted: Dialect, *, model: str, created: int) -> dict[str, Any]:
    """Return a provider's answer as its caller is to see it.

    Parameters
    ----------
    answer
        As the provider gave it.
    written_in, wanted
        The provider's dialect, and the caller's; where they are the same, only the model's name changes.
    model
        The model's name, as the caller is to see it.
    created
        Unix time in seconds; OpenAI's answers carry it, Anthropic's do not.

    Raises
    ------
    ProviderUnavailable
        The answer is not what its dialect says it should be.
    """
    if written_in is wanted:
        return {**answer, "model": model}
    if wanted is Dialect.ANTHROPIC:
        with provider_answer("a chat completion"):
            return _to_anthropic(answer, model)
    with provider_answer("a message"):
        return _to_openai(answer, model, created)


def _to_anthropic(answer: Mapping[str, Any], model: str) -> dict[str, Any]:
    field, choice = next(objects(required(answer, "choices", list, "choices"), "choices"), ("choices[0]", None))
    if choice is None:
        raise RequestError("choices: is empty", field="choices")
    message = required(choice, "message", dict, f"{field}.message")
    finish = openai_chat.read_finish_reason(optional(choice, "finish_reason", str))
    refusal = optional(message, "refusal", str) or ""
    text = openai_chat.read_content(message.get("content"), f"{field}.message.content") + refusal
    content: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    for place, call in objects(message.get("tool_calls"), f"{field}.message.tool_calls"):
        content.append(_tool_use(call, place, cut=finish == "length"))
    has_calls = any(block["type"] == "tool_use" for block in content)
    return {
        "id": optional(answer, "id", str) or "",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": stop_reason(finish, calls=has_calls, refused=bool(refusal)),
        "stop_sequence": None,
        "usage": anthropic_usage(openai_chat.read_usage(optional(answer, "usage", dict))),
    }


def _tool_use(call: Mapping[str, Any], field: str, *, cut: bool) -> dict[str, Any]:
    function = required(call, "function", dict, f"{field}.function")
    arguments = optional(function, "arguments", str, f"{field}.function.arguments") or "{}"
    try:
        value = expect(json.loads(arguments), dict, f"{field}.function.arguments")
    except (ValueError, RecursionError):
        if not cut:  # cut by the limit on output, as ``stop_reason`` says, it is not the model's mistake
            raise RequestError(f"{field}.function.arguments: is no JSON", field=field) from None
        value = {}
    name = required(function, "name", str, f"{field}.function.name")
    return {"type": "tool_use", "id": optional(call, "id", str, f"{field}.id") or "", "name": name, "input": value}


def stop_reason(finish: FinishReason, *, calls: bool, refused: bool) -> str:
    """Return why an answer ended, in Anthropic's words.

    OpenAI says ``stop`` after a call of the function that ``tool_choice`` named, and after a refusal.
    """
    if finish in ("stop", "unknown"):
        return "tool_use" if calls else "refusal" if refused else "end_turn"
    return STOP_REASONS[finish]


def anthropic_usage(usage: Usage) -> dict[str, Any]:
    """Return usage as Anthropic tells it. Its clients add the counts up, so what is unknown is 0 here, and only here."""
    counts: dict[str, Any] = {
        "input_tokens": usage.input_tokens or 0,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "output_tokens": usage.output_tokens or 0,
    }
    reasoning = usage.reasoning_tokens
    return counts if reasoning is None else counts | {"output_tokens_details": {"thinking_tokens": reasoning}}


def _to_openai(answer: Mapping[str, Any], model: str, created: int) -> dict[str, Any]:
    texts: list[str] = []
    calls: list[dict[str, Any]] = []
    for field, block in anthropic_messages.blocks(required(answer, "content", list, "content"), "content"):
        if block["type"] == "text":
            texts.append(anthropic_messages.read_text_block(block, field))
        elif block["type"] == "tool_use":
            name, arguments = required(block, "name", str, f"{field}.name"), optional(block, "input", dict, f"{field}.input")
            function = {"name": name, "arguments": anthropic_messages.write_arguments(arguments)}
            calls.append({"id": required(block, "id", str, f"{field}.id"), "type": "function", "function": function})
    message: dict[str, Any] = {"role": "assistant", "content": "".join(texts) or None, "refusal": anthropic_messages.read_refusal(answer)}
    if calls:
        message["tool_calls"] = calls
    finish = finish_reason(anthropic_messages.read_finish_reason(optional(answer, "stop_reason", str)))
    crossed: dict[str, Any] = {
        "id": optional(answer, "id", str) or "",
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
    }
    usage = openai_usage(anthropic_messages.read_usage(optional(answer, "usage", dict)))
    return {**crossed, "usage": usage} if usage else crossed


def finish_reason(finish: FinishReason) -> str:
    """Return why an answer ended, in OpenAI's words, which know no unknown reason."""
    return "stop" if finish == "unknown" else finish


def openai_usage(usage: Usage) -> dict[str, Any] | None:
    """Return usage as OpenAI tells it, cached tokens inside the prompt's; None where it is unknown."""
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    prompt = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    told: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": usage.output_tokens,
        "total_tokens": prompt + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens, "cache_write_tokens": usage.cache_write_tokens},
    }
    reasoning = usage.reasoning_tokens
    return told if reasoning is None else told | {"completion_tokens_details": {"reasoning_tokens": reasoning}}
