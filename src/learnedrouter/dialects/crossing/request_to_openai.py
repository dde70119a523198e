"""A messages body as a chat completions body.

Sources: https://platform.openai.com/docs/api-reference/chat/create, https://docs.anthropic.com/en/api/messages.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from learnedrouter.dialects.anthropic_messages import (
    THINKING,
    Block,
    blocks,
    joined_text,
    read_role,
    read_text_block,
    required_content,
    write_arguments,
)
from learnedrouter.dialects.crossing.schemas import is_strict
from learnedrouter.dialects.crossing.shared import (
    OPENING,
    TOOL_ERROR,
    ends_with_assistant,
    refuse,
    refuse_unknown,
    tool_call_id,
    tool_name,
)
from learnedrouter.dialects.reading import expect, objects, optional, positive, required
from learnedrouter.errors import RequestError

LEFT_BEHIND = frozenset(
    {
        "model",
        "thinking",
        "cache_control",
        "service_tier",
        "speed",
        "context_management",
        "diagnostics",
    }
)
"""Fields that say how to make the answer, not what is to be in it."""

CROSSES = frozenset(
    {
        "messages",
        "system",
        "max_tokens",
        "temperature",
        "top_p",
        "stop_sequences",
        "stream",
        "tools",
        "tool_choice",
        "metadata",
        "output_config",
    }
)

MOST_STOPS = 4
"""Stop sequences that OpenAI takes (API reference, ``stop``)."""

_TOOL_CHOICES: Mapping[str, str] = {"auto": "auto", "any": "required", "none": "none"}


def anthropic_to_openai(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a messages body as a chat completions body.

    Thinking stays behind. Adjacent texts of a message become one, line by line: not every endpoint that speaks OpenAI's
    dialect takes texts in parts.

    Raises
    ------
    RequestError
        A field has no counterpart, or cannot be read; names the field.
    """
    refuse_unknown(body, CROSSES | LEFT_BEHIND, "OpenAI")
    prompts = [read_text_block(block, field) for field, block in blocks(body.get("system"), "system")]
    system = [{"role": "system", "content": prompt} for prompt in prompts if prompt.strip()]
    crossed: dict[str, Any] = {"messages": [*system, *_messages(body)]}
    if (limit := positive(body, "max_tokens")) is not None:
        crossed["max_completion_tokens"] = limit
    for key in ("temperature", "top_p"):
        if (value := optional(body, key, float)) is not None:
            crossed[key] = value
    if stop := _stop(body):
        crossed["stop"] = stop
    if user := optional(optional(body, "metadata", dict) or {}, "user_id", str, "metadata.user_id"):
        crossed["user"] = user
    if (stream := optional(body, "stream", bool)) is not None:
        crossed["stream"] = stream
    if stream:
        crossed["stream_options"] = {"include_usage": True}  # Anthropic's streams always tell it
    if tools := [_tool(tool, field) for field, tool in objects(body.get("tools"), "tools")]:
        crossed["tools"] = tools
        crossed.update(_tool_choice(body))
    return crossed | _response_format(body)


def _messages(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    messages = list(objects(body.get("messages"), "messages"))
    if messages and messages[-1][1].get("role") == "assistant":
        raise ends_with_assistant(messages[-1][0])
    for place, (field, message) in enumerate(messages):
        role = read_role(message, field)
        content = [
            (where, block)
            for where, block in blocks(required_content(message, field), f"{field}.content")
            if not (_blank(block, where) or (role == "assistant" and block["type"] in THINKING))
        ]
        if role == "assistant":
            yield from _assistant(content)
        elif role == "system" and content:
            yield {"role": "system", "content": "\n".join(read_text_block(block, where) for where, block in content)}
        elif role == "user" and (place or [block.get("text") for _, block in content] != [OPENING]):
            yield from _user(content)


def _blank(block: Mapping[str, Any], field: str) -> bool:
    """Return whether a block says nothing; Anthropic's own API refuses such texts."""
    return block["type"] == "text" and not read_text_block(block, field).strip()


def _assistant(content: list[Block]) -> Iterator[dict[str, Any]]:
    """Yield one message with its tool calls; none, where all that stood there was thinking."""
    texts: list[str] = []
    calls: list[dict[str, Any]] = []
    for field, block in content:
        if block["type"] == "tool_use":
            calls.append(_tool_call(block, field))
        elif block["type"] == "text":
            texts.append(read_text_block(block, field))
        else:
            raise refuse(f"{field}.type", block["type"], "OpenAI")
    if texts or calls:
        message: dict[str, Any] = {"role": "assistant", "content": "\n".join(texts) if texts else None}
        yield {**message, "tool_calls": calls} if calls else message


def _tool_call(block: Mapping[str, Any], field: str) -> dict[str, Any]:
    name = tool_name(required(block, "name", str, f"{field}.name"), f"{field}.name")
    arguments = write_arguments(required(block, "input", dict, f"{field}.input"))
    function = {"name": name, "arguments": arguments}
    return {"id": tool_call_id(required(block, "id", str, f"{field}.id")), "type": "function", "function": function}


def _user(content: list[Block]) -> Iterator[dict[str, Any]]:
    """Yield the tools' messages, which have to follow the calls at once, then the user's own."""
    for field, block in content:
        if block["type"] == "tool_result":
            yield _tool_message(block, field)
    rest = [(field, block) for field, block in content if block["type"] != "tool_result"]
    if rest:
        yield {"role": "user", "content": _parts(rest)}


def _tool_message(block: Mapping[str, Any], field: str) -> dict[str, Any]:
    for place, inner in blocks(block.get("content"), f"{field}.content"):
        if inner["type"] != "text":
            raise refuse(f"{place}.type", inner["type"], "OpenAI")
    failed = optional(block, "is_error", bool, f"{field}.is_error")
    text = joined_text(block.get("content"), f"{field}.content")
    name = tool_call_id(required(block, "tool_use_id", str, f"{field}.tool_use_id"))
    return {"role": "tool", "tool_call_id": name, "content": TOOL_ERROR + text if failed else text}


def _parts(content: list[Block]) -> str | list[dict[str, Any]]:
    """Return the content of a user's message: a string, where there is nothing but text."""
    parts: list[dict[str, Any]] = []
    for field, block in content:
        if block["type"] == "image":
            parts.append({"type": "image_url", "image_url": {"url": _image_url(block, field)}})
            continue
        if block["type"] != "text":
            raise refuse(f"{field}.type", block["type"], "OpenAI")
        text = read_text_block(block, field)
        if parts and parts[-1]["type"] == "text":
            parts[-1]["text"] += f"\n{text}"
        else:
            parts.append({"type": "text", "text": text})
    return str(parts[0]["text"]) if len(parts) == 1 and parts[0]["type"] == "text" else parts


def _image_url(block: Mapping[str, Any], field: str) -> str:
    field = f"{field}.source"
    source = required(block, "source", dict, field)
    kind = required(source, "type", str, f"{field}.type")
    if kind == "url":
        return required(source, "url", str, f"{field}.url")
    if kind == "base64":
        media_type = required(source, "media_type", str, f"{field}.media_type")
        return f"data:{media_type};base64,{required(source, 'data', str, f'{field}.data')}"
    raise refuse(f"{field}.type", kind, "OpenAI")


def _stop(body: Mapping[str, Any]) -> list[str]:
    sequences = [expect(sequence, str, "stop_sequences") for sequence in optional(body, "stop_sequences", list) or ()]
    if len(sequences) > MOST_STOPS:
        raise RequestError(
            f"stop_sequences: {len(sequences)} are more than the {MOST_STOPS} that OpenAI models take", field="stop_sequences"
        )
    return sequences


def _tool(tool: Mapping[str, Any], field: str) -> dict[str, Any]:
    if (kind := optional(tool, "type", str, f"{field}.type")) not in (None, "custom"):
        raise refuse(f"{field}.type", kind, "OpenAI")
    function: dict[str, Any] = {"name": tool_name(required(tool, "name", str, f"{field}.name"), f"{field}.name")}
    if description := optional(tool, "description", str, f"{field}.description"):
        function["description"] = description
    function["parameters"] = required(tool, "input_schema", dict, f"{field}.input_schema")
    if optional(tool, "strict", bool, f"{field}.strict") and is_strict(function["parameters"]):
        function["strict"] = True
    return {"type": "function", "function": function}


def _tool_choice(body: Mapping[str, Any]) -> dict[str, Any]:
    choice = optional(body, "tool_choice", dict)
    if choice is None:
        return {}
    kind = required(choice, "type", str, "tool_choice.type")
    if kind == "tool":
        crossed: Any = {"type": "function", "function": {"name": required(choice, "name", str, "tool_choice.name")}}
    elif kind in _TOOL_CHOICES:
        crossed = _TOOL_CHOICES[kind]
    else:
        raise refuse("tool_choice.type", kind, "OpenAI")
    one_at_a_time = optional(choice, "disable_parallel_tool_use", bool, "tool_choice.disable_parallel_tool_use")
    return {"tool_choice": crossed} | ({"parallel_tool_calls": False} if one_at_a_time else {})


def _response_format(body: Mapping[str, Any]) -> dict[str, Any]:
    config = optional(body, "output_config", dict) or {}
    for key in config.keys() - {"format", "effort"}:
        if config[key] is not None:
            raise refuse(f"output_config.{key}", config[key], "OpenAI")
    form = optional(config, "format", dict, "output_config.format")
    if form is None:
        return {}
    if form.get("type") != "json_schema":
        raise refuse("output_config.format.type", form.get("type"), "OpenAI")
    schema = required(form, "schema", dict, "output_config.format.schema")
    name = re.sub(r"[^a-zA-Z0-9_-]", "_", str(schema.get("title") or "answer"))[:64]
    return {"response_format": {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": is_strict(schema)}}}
