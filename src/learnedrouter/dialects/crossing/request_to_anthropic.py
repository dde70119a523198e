"""A chat completions body as a messages body.

Sources: https://docs.anthropic.com/en/api/messages, https://platform.openai.com/docs/api-reference/chat/create.
"""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from learnedrouter.dialects.crossing.schemas import close
from learnedrouter.dialects.crossing.shared import (
    OPENING,
    TOOL_ERROR,
    ends_with_assistant,
    refuse,
    refuse_unknown,
    tool_call_id,
    tool_name,
)
from learnedrouter.dialects.openai_chat import read_content, read_role
from learnedrouter.dialects.reading import expect, objects, optional, positive, required, shown
from learnedrouter.errors import RequestError

LEFT_BEHIND = frozenset(
    {
        "model",
        "metadata",
        "store",
        "seed",
        "service_tier",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "prediction",
        "reasoning_effort",
        "verbosity",
        "stream_options",
    }
)
"""Fields that say how to make the answer, not what is to be in it; ``metadata`` and ``store`` are for OpenAI's dashboard."""

CROSSES = frozenset(
    {
        "messages",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "stop",
        "stream",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "user",
        "safety_identifier",
    }
)

WITHOUT_EFFECT: Mapping[str, Any] = {
    "n": 1,
    "logprobs": False,
    "top_logprobs": 0,
    "logit_bias": {},
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "modalities": ["text"],
    "functions": [],
}
"""Fields without a counterpart, which ask for nothing at these values."""

IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_DATA_URL = re.compile(r"data:([^;,]+)(?:;[^;,]+)*;base64,", re.IGNORECASE)
_TOOL_CHOICES: Mapping[str, Mapping[str, Any]] = {"auto": {"type": "auto"}, "required": {"type": "any"}, "none": {"type": "none"}}

Tagged = tuple[str, dict[str, Any]]
"""A content block, after the role in whose message it stands."""


def openai_to_anthropic(body: Mapping[str, Any], default_output_tokens: int) -> dict[str, Any]:
    """Return a chat completions body as a messages body.

    System messages move to the head, wherever they stood; an adjacent message of the same side becomes one with its
    neighbour, as Anthropic's own API does it.

    Raises
    ------
    RequestError
        A field has no counterpart, or cannot be read; names the field.
    """
    asking = {key: value for key, value in body.items() if key not in WITHOUT_EFFECT or value != WITHOUT_EFFECT[key]}
    refuse_unknown(asking, CROSSES | LEFT_BEHIND, "Anthropic")
    limit = positive(body, "max_completion_tokens") or positive(body, "max_tokens") or default_output_tokens
    crossed: dict[str, Any] = {"max_tokens": limit, "messages": _messages(body)}
    if system := [{"type": "text", "text": text} for text in _system(body)]:
        crossed["system"] = system
    if (temperature := optional(body, "temperature", float)) is not None:
        crossed["temperature"] = min(temperature, 1)  # OpenAI's scale ends at 2, Anthropic's at 1
    if (top_p := optional(body, "top_p", float)) is not None:
        crossed["top_p"] = top_p
    if user := optional(body, "safety_identifier", str) or optional(body, "user", str):
        crossed["metadata"] = {"user_id": user}
    if (stream := optional(body, "stream", bool)) is not None:
        crossed["stream"] = stream
    if stop := _stop(body.get("stop")):
        crossed["stop_sequences"] = stop
    if tools := [_tool(tool, field) for field, tool in objects(body.get("tools"), "tools")]:
        crossed["tools"] = tools
        crossed.update(_tool_choice(body))
    return crossed | _output_config(body)


def _system(body: Mapping[str, Any]) -> Iterator[str]:
    for field, message in objects(body.get("messages"), "messages"):
        if read_role(message, field) == "system":
            for place, part in _parts(message.get("content"), f"{field}.content"):
                if part["type"] != "text":
                    raise refuse(f"{place}.type", part["type"], "Anthropic")
                if part["text"].strip():
                    yield part["text"]


def _messages(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the messages that are no system prompts, the two sides taking turns."""
    tagged = [
        item
        for field, message in objects(body.get("messages"), "messages")
        if read_role(message, field) != "system"
        for item in _tagged(message, field)
    ]
    messages: list[dict[str, Any]] = [
        {"role": role, "content": [block for _, block in run]} for role, run in groupby(tagged, key=lambda item: item[0])
    ]
    if not messages:
        raise RequestError("messages: no message holds anything for an Anthropic model", field="messages")
    if messages[-1]["role"] == "assistant":
        raise ends_with_assistant(f"messages[{len(body['messages']) - 1}]")
    if messages[0]["role"] == "assistant":
        messages.insert(0, {"role": "user", "content": [{"type": "text", "text": OPENING}]})
    return messages


def _tagged(message: Mapping[str, Any], field: str) -> Iterator[Tagged]:
    """Yield the content blocks of one message, and of its tool calls."""
    role = read_role(message, field)
    for unheard in ("audio", "function_call"):
        if message.get(unheard) is not None:
            raise refuse(f"{field}.{unheard}", message[unheard], "Anthropic")
    if role == "tool":
        yield "user", _tool_result(message, field)
        return
    for place, part in _parts(message.get("content"), f"{field}.content"):
        if part["type"] == "image_url" and role == "user":
            yield role, {"type": "image", "source": _image_source(part, place)}
        elif part["type"] != "text":
            raise refuse(f"{place}.type", part["type"], "Anthropic")
        elif part["text"].strip():  # Anthropic refuses a text without any letters in it
            yield role, {"type": "text", "text": part["text"]}
    if refusal := optional(message, "refusal", str, f"{field}.refusal"):
        yield role, {"type": "text", "text": refusal}
    for place, call in objects(message.get("tool_calls"), f"{field}.tool_calls"):
        yield role, _tool_use(call, place)


def _parts(content: Any, field: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the parts of a content, refusals as the texts that they are."""
    if isinstance(content, str):
        yield field, {"type": "text", "text": content}
        return
    for place, part in objects(content, field):
        kind = required(part, "type", str, f"{place}.type")
        if kind in ("text", "refusal"):
            yield place, {"type": "text", "text": required(part, kind, str, f"{place}.{kind}")}
        else:
            yield place, part


def _tool_use(call: Mapping[str, Any], field: str) -> dict[str, Any]:
    if call.get("type", "function") != "function":
        raise refuse(f"{field}.type", call["type"], "Anthropic")
    function = required(call, "function", dict, f"{field}.function")
    arguments = optional(function, "arguments", str, f"{field}.function.arguments")
    try:
        value = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise RequestError(f"{field}.function.arguments: {shown(arguments)} is no JSON object", field=f"{field}.function.arguments")
    return {
        "type": "tool_use",
        "id": tool_call_id(required(call, "id", str, f"{field}.id")),
        "name": tool_name(required(function, "name", str, f"{field}.function.name"), f"{field}.function.name"),
        "input": value,
    }


def _tool_result(message: Mapping[str, Any], field: str) -> dict[str, Any]:
    if message["role"] == "function":
        raise refuse(f"{field}.role", "function", "Anthropic")
    for place, part in _parts(message.get("content"), f"{field}.content"):
        if part["type"] != "text":
            raise refuse(f"{place}.type", part["type"], "Anthropic")
    text = read_content(message.get("content"), f"{field}.content")
    result: dict[str, Any] = {
        "type": "tool_result",
        "tool_use_id": tool_call_id(required(message, "tool_call_id", str, f"{field}.tool_call_id")),
        "content": text.removeprefix(TOOL_ERROR),
    }
    return {**result, "is_error": True} if text.startswith(TOOL_ERROR) else result


def _image_source(part: Mapping[str, Any], field: str) -> dict[str, str]:
    """Return an image by its bytes where the URL holds them; any other URL is for the provider to fetch."""
    field = f"{field}.image_url.url"
    url = required(required(part, "image_url", dict, field.removesuffix(".url")), "url", str, field)
    if url[:8].lower().startswith(("http://", "https://")):
        return {"type": "url", "url": url}
    found = _DATA_URL.match(url)
    kind = found[1].lower().replace("image/jpg", "image/jpeg") if found else None
    if not found or kind not in IMAGE_TYPES:
        expected = f"an http(s) URL or data:<one of {', '.join(IMAGE_TYPES)}>;base64,..."
        raise RequestError(f"{field}: {shown(url)} is not {expected}", field=field)
    return {"type": "base64", "media_type": kind, "data": url[found.end() :]}


def _stop(stop: Any) -> list[str]:
    sequences = [stop] if isinstance(stop, str) else expect(stop or [], list, "stop")
    for sequence in sequences:
        if not expect(sequence, str, "stop").strip():
            raise RequestError(f"stop: {shown(sequence)} is blank; Anthropic models stop at visible text only", field="stop")
    return sequences


def _tool(tool: Mapping[str, Any], field: str) -> dict[str, Any]:
    if required(tool, "type", str, f"{field}.type") != "function":
        raise refuse(f"{field}.type", tool["type"], "Anthropic")
    function = required(tool, "function", dict, f"{field}.function")
    parameters = optional(function, "parameters", dict, f"{field}.function.parameters") or {}
    crossed: dict[str, Any] = {
        "name": tool_name(required(function, "name", str, f"{field}.function.name"), f"{field}.function.name"),
        "input_schema": {"type": "object", **parameters},
    }
    if description := optional(function, "description", str, f"{field}.function.description"):
        crossed["description"] = description
    if optional(function, "strict", bool, f"{field}.function.strict"):
        crossed["strict"] = True
    return crossed


def _tool_choice(body: Mapping[str, Any]) -> dict[str, Any]:
    choice, one_at_a_time = body.get("tool_choice"), optional(body, "parallel_tool_calls", bool) is False
    if choice is None and not one_at_a_time:
        return {}
    if isinstance(choice, Mapping):
        if choice.get("type") != "function":
            raise refuse("tool_choice.type", choice.get("type"), "Anthropic")
        function = required(choice, "function", dict, "tool_choice.function")
        crossed: dict[str, Any] = {"type": "tool", "name": required(function, "name", str, "tool_choice.function.name")}
    elif choice is None:
        crossed = {"type": "auto"}
    elif isinstance(choice, str) and choice in _TOOL_CHOICES:
        crossed = dict(_TOOL_CHOICES[choice])
    else:
        raise RequestError(f"tool_choice: {shown(choice)} is not one of {', '.join(_TOOL_CHOICES)}, or a function", field="tool_choice")
    if one_at_a_time and crossed["type"] != "none":
        crossed["disable_parallel_tool_use"] = True
    return {"tool_choice": crossed}


def _output_config(body: Mapping[str, Any]) -> dict[str, Any]:
    form = optional(body, "response_format", dict) or {"type": "text"}
    if form.get("type") == "text":
        return {}
    if form.get("type") != "json_schema":
        raise refuse("response_format.type", form.get("type"), "Anthropic")
    wanted = required(form, "json_schema", dict, "response_format.json_schema")
    schema = required(wanted, "schema", dict, "response_format.json_schema.schema")
    return {"output_config": {"format": {"type": "json_schema", "schema": close(schema)}}}
