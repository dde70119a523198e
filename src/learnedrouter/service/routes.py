"""The endpoints."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from learnedrouter.errors import RequestError
from learnedrouter.router import RoutingFailed
from learnedrouter.service import http
from learnedrouter.service.schemas import RouteRequest, attempts_json, parse_route_request, plan_json, routed_json
from learnedrouter.service.state import NotReady, ServiceState, service_state
from learnedrouter.sinks.metrics import CONTENT_TYPE

router = APIRouter()
State = Annotated[ServiceState, Depends(service_state)]

ROUTE_DOCS: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": RouteRequest.model_json_schema()}}},
}
_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The request cannot be read; `error.field` names what is wrong."},
    413: {"description": "The body is larger than `max_body_bytes`."},
    415: {"description": "The content type is not application/json."},
    422: {"description": "No model of the allowed tiers can serve the request."},
    429: {"description": "Every provider's rate limit is reached."},
    502: {"description": "No model answered; `attempts` says what each one said."},
    503: {"description": "The classifier is still being loaded, or every circuit breaker is open."},
    504: {"description": "No model answered in time."},
}


@router.post("/route", openapi_extra=ROUTE_DOCS, responses=_ERRORS, summary="Route a request to the cheapest tier that will do")
async def route(request: Request, state: State) -> Response:
    """Decide which tier serves the request, call it, and account for it; with `dry_run`, decide only."""
    body = await http.read_json_body(request, state.settings.max_body_bytes)
    wanted = parse_route_request(body)
    chat, options = wanted.chat_request(), wanted.options()
    if wanted.dry_run:
        plan = await state.ready_router().plan(chat, options)
        return http.json_response(plan_json(plan), headers=http.decision_headers(plan.id, plan.decision))
    routed = await state.ready_router().route(chat, options)
    marked = {"offline": True} if state.settings.is_offline else {}
    return http.json_response(routed_json(routed) | marked, headers=http.event_headers(routed.event))


@router.get("/livez", summary="Whether the process answers")
async def livez() -> dict[str, str]:
    """Answer, whatever else is going on."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "Not yet."}}, summary="Whether requests can be routed")
async def readyz(state: State) -> Response:
    """Answer 503 until the artefact is loaded."""
    if state.router is None:
        return http.json_response({"status": "loading"}, 503)
    return http.json_response({"status": "ready", "artifact": state.router.artifact, "offline": state.settings.is_offline})


@router.get("/metrics", response_class=Response, summary="Metrics for Prometheus")
async def metrics(state: State) -> Response:
    """Give all metrics in Prometheus' text format."""
    return Response(state.metrics.exposition(), headers={"content-type": CONTENT_TYPE})


async def on_request_error(request: Request, error: RequestError) -> Response:
    """Answer for `RequestError`."""
    return http.request_error_response(error)


async def on_routing_failed(request: Request, error: RoutingFailed) -> Response:
    """Answer for `RoutingFailed`."""
    return http.routing_failed_response(error, attempts_json(error.event))


async def on_not_ready(request: Request, error: NotReady) -> Response:
    """Answer for `NotReady`."""
    return http.json_response(http.error_json("not_ready", str(error)), 503, {"retry-after": "1"})


HANDLERS: dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]] = {
    RequestError: on_request_error,
    RoutingFailed: on_routing_failed,
    NotReady: on_not_ready,
}
