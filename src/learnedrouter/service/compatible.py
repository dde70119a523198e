"""The endpoints that unchanged OpenAI and Anthropic clients call."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from learnedrouter.chat import ChatRequest
from learnedrouter.dialects import anthropic_messages, openai_chat
from learnedrouter.service import http
from learnedrouter.service.direct import DirectRoute
from learnedrouter.service.docs import CHAT_DOCS, COUNT_DOCS, ERRORS, MESSAGES_DOCS, ROUTED
from learnedrouter.service.options import AUTO, TIER, caller_of, options_for
from learnedrouter.service.state import ServiceState, State
from learnedrouter.service.streaming import EventStream, dialect_frames, unless_disconnected

router = APIRouter(prefix="/v1", route_class=DirectRoute, responses=ERRORS)

_LISTED = {"object": "model", "type": "model", "created": 0, "created_at": "1970-01-01T00:00:00Z"}
"""What both SDKs demand of a listed model and nobody here knows: when it was made."""

_KEPT_HEADERS = ("anthropic-beta",)
"""What a request may need beside its body; see `carried_headers`."""


@router.post("/chat/completions", openapi_extra=CHAT_DOCS, responses=ROUTED, summary="OpenAI's chat completions, routed")
async def chat_completions(request: Request, state: State) -> Response:
    """Answer in OpenAI's dialect; `model` is auto, tier:NAME, or the name of a configured model."""
    return await _answer(request, state, openai_chat.read_request)


@router.post("/messages", openapi_extra=MESSAGES_DOCS, responses=ROUTED, summary="Anthropic's messages, routed")
async def messages(request: Request, state: State) -> Response:
    """Answer in Anthropic's dialect; `model` is auto, tier:NAME, or the name of a configured model."""
    return await _answer(request, state, anthropic_messages.read_request)


@router.post("/messages/count_tokens", openapi_extra=COUNT_DOCS, summary="Tokens of input that a request is")
async def count_tokens(request: Request, state: State) -> Response:
    """Let a provider count; where none can, estimate, and say so in the header `x-learnedrouter-counted`."""
    chat = await _read(request, state, anthropic_messages.read_count_request)
    options = options_for(chat.body, request.headers)
    count = await unless_disconnected(request.receive, state.ready_router().count_tokens(chat, options))
    counted = "estimate" if count is None else "provider"
    tokens = chat.input_tokens_estimate if count is None else count
    return http.json_response({"input_tokens": tokens}, headers={f"{http.PREFIX}counted": counted})


@router.get("/models", summary="The models that `model` may name")
async def models(request: Request, state: State) -> Response:
    """List auto, the tiers and the configured models, in both dialects' shape at once."""
    routed = state.ready_router().models
    tiers = dict.fromkeys(f"{TIER}{model.link.tier}" for model in routed)
    owners = {AUTO: "learnedrouter", **dict.fromkeys(tiers, "learnedrouter")}
    owners |= {model.link.ref.model: model.link.ref.provider for model in routed}
    data = [{"id": name, "display_name": name, "owned_by": owner, **_LISTED} for name, owner in owners.items()]
    return http.json_response({"object": "list", "data": data, "has_more": False, "first_id": data[0]["id"], "last_id": data[-1]["id"]})


async def _read(request: Request, state: ServiceState, read: Callable[[Mapping[str, Any]], ChatRequest]) -> ChatRequest:
    body = http.parse_object(await http.read_json_body(request, state.settings.max_body_bytes))
    chat = read(body)
    headers = {name: value for name in _KEPT_HEADERS if (value := request.headers.get(name))}
    return replace(chat, headers=headers)


async def _answer(request: Request, state: ServiceState, read: Callable[[Mapping[str, Any]], ChatRequest]) -> Response:
    chat = await _read(request, state, read)
    state.note_prompt(chat)
    options = replace(options_for(chat.body, request.headers), caller=caller_of(request, chat.body))
    if chat.body.get("stream"):
        stream = await unless_disconnected(request.receive, state.ready_router().stream(chat, options))
        return EventStream(dialect_frames(stream, chat.dialect), stream.aclose, http.stream_headers(stream))
    routed = await unless_disconnected(request.receive, state.ready_router().route(chat, options))
    return http.json_response(routed.completion.body, headers=http.event_headers(routed.event))
