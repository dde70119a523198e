"""What the OpenAPI description says about bodies that the endpoints read themselves."""

from typing import Any

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


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _dialect_schema(required: tuple[str, ...], **properties: dict[str, Any]) -> dict[str, Any]:
    """Return what routing reads of a body; what else stands there goes to the provider as it is."""
    message = {
        "type": "object",
        "required": ["role", "content"],
        "properties": {"role": {"enum": ["user", "assistant"]}, "content": {"type": "string", "minLength": 1}},
    }
    known = {
        "model": {"type": "string", "description": "auto, tier:NAME, or the name of a configured model", "default": "auto"},
        "messages": {"type": "array", "minItems": 1, "items": message},
        "stream": {"type": "boolean"},
        "tools": {"type": "array", "items": {"type": "object"}},
        **properties,
    }
    return {"type": "object", "required": list(required), "properties": known, "additionalProperties": True}


_LIMIT = {"type": "integer", "minimum": 1}

ROUTE_DOCS = _body(RouteRequest.model_json_schema())
CHAT_DOCS = _body(_dialect_schema(("messages",), max_completion_tokens=_LIMIT, response_format={"type": "object"}))
MESSAGES_DOCS = _body(_dialect_schema(("messages", "max_tokens"), max_tokens=_LIMIT, system={"type": "string"}))
COUNT_DOCS = _body(_dialect_schema(("messages",), system={"type": "string"}))
