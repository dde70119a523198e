"""Writing a request in another dialect than the caller's.

Only a crossing converts; a request that stays in its dialect goes through as it is. What has no counterpart on the
other side is refused by name, before any call.

Sources: https://docs.anthropic.com/en/api/messages, https://platform.openai.com/docs/api-reference/chat.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from learnedrouter.chat import ChatRequest, Dialect
from learnedrouter.dialects.openai_chat import ROLES
from learnedrouter.dialects.reading import shown
from learnedrouter.errors import RequestError

_SAME_NAME = ("top_p",)
_NO_COUNTERPART = ("logprobs", "top_logprobs", "logit_bias", "audio", "modalities", "prediction", "web_search_options")
_TOOL_CHOICES: Mapping[str, Mapping[str, Any]] = {"auto": {"type": "auto"}, "required": {"type": "any"}, "none": {"type": "none"}}


def body_for(request: ChatRequest, dialect: Dialect, *, default_output_tokens: int) -> dict[str, Any]:
    """Return a request's body in `dialect`.

    Parameters
    ----------
    default_output_tokens
        What Anthropic's required ``max_tokens`` is where the caller set no limit.

    Raises
    ------
    RequestError
        A field has no counterpart in `dialect`; names the field.
    """
    if request.dialect is dialect:
        return dict(request.body)
    try:
        return openai_to_anthropic(request.body, default_output_tokens)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise RequestError(f"request: not readable as a chat completions body at {error}; expected OpenAI's form") from error


def openai_to_anthropic(body: Mapping[str, Any], default_output_tokens: int) -> dict[str, Any]:
    """Return a chat completions body as a messages body."""
    _refuse_what_cannot_cross(body)
    crossed: dict[str, Any] = {key: body[key] for key in _SAME_NAME if body.get(key) is not None}
    crossed["max_tokens"] = body.get("max_completion_tokens") or body.get("max_tokens") or default_output_tokens
    messages: Sequence[Mapping[str, Any]] = body["messages"]
    if system := [block for message in messages if ROLES[message["role"]] == "system" for block in _blocks(message)]:
        crossed["system"] = system
    crossed["messages"] = [
        {"role": role, "content": [block for message in run for block in _blocks(message)]}
        for role, run in groupby((m for m in messages if ROLES[m["role"]] != "system"), key=_anthropic_role)
    ]
    if (temperature := body.get("temperature")) is not None:
        crossed["temperature"] = min(temperature, 1)  # OpenAI's scale ends at 2, Anthropic's at 1
    if (user := body.get("user")) is not None:
        crossed["metadata"] = {"user_id": user}
    if (stop := body.get("stop")) is not None:
        crossed["stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
    if tools := body.get("tools"):
        crossed["tools"] = [_tool(tool) for tool in tools]
        crossed.update(_tool_choice(body))
    form = body.get("response_format") or {}
    if form.get("type") == "json_schema":
        crossed["output_config"] = {"format": {"type": "json_schema", "schema": form["json_schema"].get("schema") or {}}}
    return crossed


def _refuse_what_cannot_cross(body: Mapping[str, Any]) -> None:
    for field in _NO_COUNTERPART:
        if body.get(field):
            raise RequestError(f"{field}: no Anthropic model takes it; leave it out or ask for an OpenAI model", field=field)
    if body.get("n") not in (None, 1):
        raise RequestError(f"n: {body['n']} answers at once; Anthropic models give one", field="n")


def _anthropic_role(message: Mapping[str, Any]) -> str:
    """Tool results belong to the user's side in Anthropic's dialect."""
    return "assistant" if message["role"] == "assistant" else "user"


def _blocks(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the content blocks of one message, and of its tool calls."""
    content = message.get("content")
    if ROLES[message["role"]] == "tool":
        yield {"type": "tool_result", "tool_use_id": message.get("tool_call_id", ""), "content": _plain(content)}
        return
    parts: Sequence[Mapping[str, Any]] = [{"type": "text", "text": content}] if isinstance(content, str) else content or ()
    for part in parts:
        if part["type"] == "text" and part["text"]:
            yield {"type": "text", "text": part["text"]}
        elif part["type"] == "image_url":
            yield {"type": "image", "source": _image_source(part["image_url"]["url"])}
        elif part["type"] != "text":
            raise RequestError(f"messages: no Anthropic model takes a {shown(part['type'])} part", field="messages")
    for call in message.get("tool_calls") or ():
        function = call["function"]
        yield {"type": "tool_use", "id": call["id"], "name": function["name"], "input": json.loads(function.get("arguments") or "{}")}


def _plain(content: Any) -> str:
    if isinstance(content, str) or content is None:
        return content or ""
    return "\n".join(part.get("text", "") for part in content)


def _image_source(url: str) -> dict[str, str]:
    """Return an image by its bytes where the URL holds them; any other URL is for the provider to fetch."""
    if not url.startswith("data:"):
        return {"type": "url", "url": url}
    media_type, _, data = url.removeprefix("data:").partition(";base64,")
    return {"type": "base64", "media_type": media_type, "data": data}


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    function = tool["function"]
    crossed = {"name": function["name"], "input_schema": function.get("parameters") or {"type": "object"}}
    if function.get("description"):
        crossed["description"] = function["description"]
    return crossed


def _tool_choice(body: Mapping[str, Any]) -> dict[str, Any]:
    choice, parallel = body.get("tool_choice"), body.get("parallel_tool_calls")
    if choice is None and parallel is None:
        return {}
    if isinstance(choice, Mapping):
        crossed: dict[str, Any] = {"type": "tool", "name": choice["function"]["name"]}
    else:
        crossed = dict(_TOOL_CHOICES[choice or "auto"])
    if parallel is False and crossed["type"] != "none":
        crossed["disable_parallel_tool_use"] = True
    return {"tool_choice": crossed}
