"""What the OpenAPI description says about bodies and headers that the endpoints read and write themselves."""

from typing import Any

from learnedrouter.service.http import PREFIX
from learnedrouter.service.schemas import RouteRequest

ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The request cannot be read or served; the error names the field."},
    401: {"description": "No key shown, or a wrong one."},
    404: {"description": "`model` names nothing that is configured."},
    413: {"description": "The body is larger than `max_body_bytes`."},
    415: {"description": "The content type is not application/json."},
    422: {"description": "No model of the allowed tiers can serve the request."},
    429: {"description": "Every provider's rate limit is reached, or a budget does not cover the request."},
    502: {"description": "No model answered."},
    503: {"description": "The classifier is being loaded or has too much to do, every circuit breaker is open, or the database is away."},
    504: {"description": "No model answered in time."},
}


_DECIDED = {
    "id": "The request, as `GET /route/{id}` knows it.",
    "tier": "The tier that was chosen.",
    "confidence": "The probability that its answer will be accepted.",
    "reason": "Codes of why, the first reason first.",
    "artifact": "The classifier, by name and version.",
}
_BECAME = {
    "fallbacks": "How many attempts came before the answer.",
    "model": "The model that answered.",
    "cost-usd": "What all attempts cost together; unknown, too, while an answer is streamed.",
    "baseline-usd": "What the answer's tokens would have cost at the top tier.",
    "clamped": "The limit on output that the model's own took the place of.",
    "params": "What of the request's parameters was changed or left out for the model.",
}


def _headers(meanings: dict[str, str]) -> dict[str, Any]:
    return {f"{PREFIX}{name}": {"description": meaning, "schema": {"type": "string"}} for name, meaning in meanings.items()}


ROUTED: dict[int | str, dict[str, Any]] = {
    200: {"description": "The answer; its headers say what was decided.", "headers": _headers(_DECIDED | _BECAME)},
    **ERRORS,
}

_ON_EVERY: dict[str, dict[str, Any]] = {
    "fallback": {"enum": ["on", "off"], "description": "Whether another model may take over."},
    "conversation-id": {"type": "string", "description": "What the caller calls the conversation."},
    "tags": {"type": "string", "description": "For the ledger and reports: `team=search,feature=titles`."},
}
_IN_DIALECTS: dict[str, dict[str, Any]] = {
    "min-tier": {"type": "string", "description": "No cheaper tier."},
    "max-tier": {"type": "string", "description": "No dearer tier."},
    "threshold": {"type": "number", "minimum": 0, "maximum": 1, "description": "In place of the artefact's."},
    "max-cost-usd": {"type": "number", "exclusiveMinimum": 0, "description": "What the answer may be estimated at."},
}


def _request(body: dict[str, Any], headers: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return what is said of a request, from the schemas of its body and its headers."""
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "parameters": [{"name": f"{PREFIX}{name}", "in": "header", "schema": schema} for name, schema in headers.items()],
    }


def _dialect_schema(required: tuple[str, ...], roles: tuple[str, ...], **properties: dict[str, Any]) -> dict[str, Any]:
    """Return what routing reads of a body; what else stands there goes to the provider as it is."""
    content = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}, {"type": "null"}]}
    message = {"type": "object", "required": ["role"], "properties": {"role": {"enum": list(roles)}, "content": content}}
    known = {
        "model": {"type": "string", "description": "auto, tier:NAME, or the name of a configured model", "default": "auto"},
        "messages": {"type": "array", "minItems": 1, "items": message},
        "stream": {"type": "boolean"},
        "tools": {"type": "array", "items": {"type": "object"}},
        **properties,
    }
    return {"type": "object", "required": list(required), "properties": known, "additionalProperties": True}


_LIMIT = {"type": "integer", "minimum": 1}
_SYSTEM = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}]}
_OPENAI_ROLES, _ANTHROPIC_ROLES = ("system", "developer", "user", "assistant", "tool"), ("user", "assistant")

_CHAT = _dialect_schema(("messages",), _OPENAI_ROLES, max_completion_tokens=_LIMIT, response_format={"type": "object"})
_MESSAGES = _dialect_schema(("messages", "max_tokens"), _ANTHROPIC_ROLES, max_tokens=_LIMIT, system=_SYSTEM)
_COUNT = _dialect_schema(("messages",), _ANTHROPIC_ROLES, system=_SYSTEM)

ROUTE_DOCS = _request(RouteRequest.model_json_schema(), _ON_EVERY)
CHAT_DOCS, MESSAGES_DOCS, COUNT_DOCS = (_request(body, _ON_EVERY | _IN_DIALECTS) for body in (_CHAT, _MESSAGES, _COUNT))
