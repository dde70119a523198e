"""Bodies in, headers and errors out."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from learnedrouter.errors import ProviderRateLimited, ProviderRejected, ProviderTimeout, RequestError
from learnedrouter.events import RoutedCompletion
from learnedrouter.router import RoutingFailed
from learnedrouter.tiers import Decision

PREFIX = "x-learnedrouter-"


async def read_json_body(request: Request, max_bytes: int) -> bytes:
    """Return a request's body, read no further than `max_bytes`.

    Raises
    ------
    RequestError
        The content is not declared as JSON (415), or is too large (413).
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RequestError(f"content-type {kind or 'none'!r}: expected application/json", status=415)
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > max_bytes:
            raise RequestError(f"the body is larger than {max_bytes:,} bytes (max_body_bytes)", status=413)
        parts.append(part)
    return b"".join(parts)


def json_response(content: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return `content` as JSON; what is no Unicode text in it is escaped, not sent."""
    try:
        body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # a provider's answer may hold half a surrogate pair
        body = json.dumps(content, separators=(",", ":")).encode()
    return Response(body, status, dict(headers or {}), media_type="application/json")


def decision_headers(identity: str, decision: Decision) -> dict[str, str]:
    """Return the headers that say what was decided."""
    return {
        f"{PREFIX}id": identity,
        f"{PREFIX}tier": _token(decision.tier),
        f"{PREFIX}confidence": f"{decision.confidence:.4f}",
        f"{PREFIX}reason": _token(",".join(decision.reasons)),
        f"{PREFIX}artifact": _token(decision.artifact),
    }


def event_headers(event: RoutedCompletion) -> dict[str, str]:
    """Return the headers that say what was decided, and what became of it."""
    headers = decision_headers(event.id, event.decision) | {f"{PREFIX}fallbacks": str(event.fallbacks)}
    if event.model:
        headers[f"{PREFIX}model"] = _token(event.model.model)
    if event.cost_usd is not None:
        headers[f"{PREFIX}cost-usd"] = f"{event.cost_usd:f}"
    if event.baseline_usd is not None:
        headers[f"{PREFIX}baseline-usd"] = f"{event.baseline_usd:f}"
    return headers


def error_json(kind: str, message: str, **more: Any) -> dict[str, Any]:
    """Return an error in the native endpoint's shape."""
    return {"error": {"type": kind, "message": message, **{key: value for key, value in more.items() if value is not None}}}


def request_error_response(error: RequestError) -> Response:
    """Return the answer to a request that cannot be served as it stands."""
    return json_response(error_json("invalid_request", _encodable(str(error)), field=error.field), error.status)


def routing_failed_response(error: RoutingFailed, attempts: list[dict[str, Any]]) -> Response:
    """Return the answer to a request that no model answered.

    The provider's refusal of the request itself keeps its status. Everything else is the gateway's: 429 where the last
    failure was a rate limit, 504 where it was a timeout, 503 where no model was tried, 502 otherwise.
    """
    cause = error.cause.cause
    status, kind = 502, "provider_error"
    headers = event_headers(error.event)
    if isinstance(cause, ProviderRejected):
        status, kind = cause.status or 400, "rejected_by_provider"
    elif isinstance(cause, ProviderRateLimited):
        status, kind = 429, "rate_limited"
        if cause.retry_after_seconds is not None:
            headers["retry-after"] = f"{cause.retry_after_seconds:.0f}"
    elif isinstance(cause, ProviderTimeout):
        status, kind = 504, "timeout"
    elif cause is None:
        status, kind = 503, "unavailable"
    return json_response({**error_json(kind, str(error)), "id": error.event.id, "attempts": attempts}, status, headers)


def _token(value: str) -> str:
    """Header values are latin-1 without line breaks; names from the configuration may be anything."""
    return value.encode("latin-1", "replace").decode("latin-1").replace("\n", " ").replace("\r", " ")


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
