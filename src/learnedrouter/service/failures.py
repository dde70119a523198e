"""Errors as answers, in the shape of the endpoint that was called, so that every client raises its own exception."""

import math
from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from learnedrouter.chat import Dialect
from learnedrouter.dialects.error_shapes import INSUFFICIENT_QUOTA, error_body
from learnedrouter.errors import (
    BudgetError,
    BudgetExceeded,
    Overloaded,
    ProviderError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    RequestError,
)
from learnedrouter.events import RoutedCompletion
from learnedrouter.router import RoutingFailed
from learnedrouter.service import http
from learnedrouter.service.schemas import attempts_json
from learnedrouter.service.state import NotReady

LONGEST_RETRY_SECONDS = 60.0
"""Past it, older releases of both SDKs try again within seconds, whatever ``Retry-After`` says (``_base_client.py``)."""


def dialect_of(request: Request) -> Dialect | None:
    """Return the dialect that a request's endpoint speaks; None for the native ones."""
    path = request.url.path
    if path.startswith("/v1/messages") or (path.startswith("/v1/") and "anthropic-version" in request.headers):
        return Dialect.ANTHROPIC
    return Dialect.OPENAI if path.startswith("/v1/") else None


def error_json(kind: str, message: str, **more: Any) -> dict[str, Any]:
    """Return an error in the native endpoint's shape."""
    return {"error": {"type": kind, "message": message, **{key: value for key, value in more.items() if value is not None}}}


def meaning(error: ProviderError | None) -> tuple[int, str]:
    """Return status and code for a request that failed at its models.

    The provider's refusal of the request itself keeps its status. Everything else is the gateway's: 429 where the last
    failure was a rate limit, 504 where it was a timeout, 503 where no model was tried, 502 otherwise.
    """
    if isinstance(error, ProviderRejected):
        return error.status or 400, "rejected_by_provider"
    if isinstance(error, ProviderRateLimited):
        return 429, "rate_limited"
    if isinstance(error, ProviderTimeout):
        return 504, "timeout"
    return (503, "unavailable") if error is None else (502, "provider_error")


def _response(
    request: Request, status: int, kind: str, message: str, field: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    message = message.encode("utf-8", "replace").decode()
    dialect = dialect_of(request)
    body = error_body(dialect, status, kind, message, field=field) if dialect else error_json(kind, message, field=field)
    return http.json_response(body, status, headers)


def _refuse(
    request: Request, status: int, kind: str, message: str, field: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer where nothing was decided, so that no event will tell; `message` may quote the caller, and is not logged."""
    told = {"status": status, "kind": kind, "field": field, "method": request.method, "path": http.endpoint(request.scope)}
    structlog.get_logger("learnedrouter").info("refused", **told)
    return _response(request, status, kind, message, field, headers)


async def on_request_error(request: Request, error: RequestError) -> Response:
    """Answer for `RequestError`."""
    headers = {"www-authenticate": "Bearer"} if error.status == HTTPStatus.UNAUTHORIZED else None
    return _refuse(request, error.status, "invalid_request", str(error), error.field, headers)


async def on_routing_failed(request: Request, error: RoutingFailed) -> Response:
    """Answer for `RoutingFailed`."""
    headers = http.event_headers(error.event)
    if isinstance(error.cause, BudgetError):
        return _over_budget(request, error.event, error.cause, headers)
    cause = error.cause.cause
    status, kind = meaning(cause)
    if isinstance(cause, ProviderRateLimited) and cause.retry_after_seconds is not None:
        headers["retry-after"] = f"{cause.retry_after_seconds:.0f}"
    if dialect_of(request):
        return _response(request, status, kind, str(error), headers=headers)
    body = {**error_json(kind, str(error)), "id": error.event.id, "attempts": attempts_json(error.event)}
    return http.json_response(body, status, headers)


def _over_budget(request: Request, event: RoutedCompletion, error: BudgetError, headers: dict[str, str]) -> Response:
    """Answer for a request that no provider was asked for the sake of a budget."""
    exceeded = isinstance(error, BudgetExceeded)
    status, kind = (429, INSUFFICIENT_QUOTA) if exceeded else (503, error.code)
    headers["retry-after"] = f"{math.ceil(error.retry_after_seconds)}"
    if error.retry_after_seconds > LONGEST_RETRY_SECONDS:
        headers["x-should-retry"] = "false"
    if dialect_of(request):
        return _response(request, status, kind, str(error), headers=headers)
    told = {"budget": error.budget, "resets_at": error.resets_at.isoformat()} if isinstance(error, BudgetExceeded) else {}
    return http.json_response({**error_json(kind, str(error), **told), "id": event.id, "attempts": []}, status, headers)


async def on_not_ready(request: Request, error: NotReady) -> Response:
    """Answer for `NotReady`."""
    return _refuse(request, 503, "not_ready", str(error), headers={"retry-after": "1"})


async def on_overloaded(request: Request, error: Overloaded) -> Response:
    """Answer for `Overloaded`."""
    return _refuse(request, 503, "overloaded", str(error), headers={"retry-after": "1"})


async def on_http_error(request: Request, error: HTTPException) -> Response:
    """Answer for what the framework refuses: unknown paths and methods."""
    kind = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    return _refuse(request, error.status_code, kind, f"{request.method} {request.url.path}: {error.detail}", headers=error.headers)


async def on_disconnect(request: Request, error: ClientDisconnect) -> Response:
    """Answer for a caller that hung up; nobody reads it (499 is what nginx logs for such a request)."""
    return Response(status_code=499)


async def on_bug(request: Request, error: Exception) -> Response:
    """Answer for what should not have happened; the log has the traceback, the caller gets none of it."""
    return _response(request, 500, "internal_error", "learnedrouter failed; its log says how")


HANDLERS: dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]] = {
    RequestError: on_request_error,
    RoutingFailed: on_routing_failed,
    NotReady: on_not_ready,
    Overloaded: on_overloaded,
    HTTPException: on_http_error,
    ClientDisconnect: on_disconnect,
    Exception: on_bug,
}
