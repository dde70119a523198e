"""The native endpoints."""

import asyncio
import os
from dataclasses import replace
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Query
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import Response

from learnedrouter.errors import RequestError
from learnedrouter.service import http
from learnedrouter.service.docs import ROUTE_DOCS, ROUTED
from learnedrouter.service.guard import require_key
from learnedrouter.service.options import caller_of
from learnedrouter.service.schemas import event_json, parse_route_request, plan_json, routed_json
from learnedrouter.service.state import NotReady, State
from learnedrouter.service.streaming import EventStream, native_frames, unless_disconnected
from learnedrouter.sinks.metrics import CONTENT_TYPE

router = APIRouter()


@router.post(
    "/route",
    openapi_extra=ROUTE_DOCS,
    responses=ROUTED,
    dependencies=[Depends(require_key)],
    summary="Route a request to the cheapest tier that will do",
)
async def route(request: Request, state: State) -> Response:
    """Decide which tier serves the request, call it, and account for it; with `dry_run`, decide only.

    With `stream`, the answer is server-sent events: `decision`, then `text` as it comes, then `done` (or `error`).
    """
    wanted = parse_route_request(await http.read_json_body(request, state.settings.max_body_bytes))
    chat, options = wanted.chat_request(), replace(wanted.options(request.headers), caller=caller_of(request, {}))
    state.note_prompt(chat)
    if wanted.dry_run:
        plan = await state.ready_router().plan(chat, options)
        return http.json_response(plan_json(plan), headers=http.decision_headers(plan.id, plan.decision))
    marks = {"offline": True} if state.settings.is_offline else {}
    if wanted.stream:
        stream = await unless_disconnected(request.receive, state.ready_router().stream(chat, options))
        return EventStream(native_frames(stream, marks), stream.aclose, http.stream_headers(stream))
    routed = await unless_disconnected(request.receive, state.ready_router().route(chat, options))
    return http.json_response(routed_json(routed.event, routed.completion) | marks, headers=http.event_headers(routed.event))


@router.get("/route/{identity}", responses=ROUTED, dependencies=[Depends(require_key)], summary="What became of a request, and why")
async def explain(identity: str, state: State) -> Response:
    """Tell the whole decision of a request: one of the newest, or one that the ledger keeps."""
    event = state.recent.get(identity)
    if event is None and state.ledger:
        try:
            event = await asyncio.to_thread(state.ledger.find, identity)
        except SQLAlchemyError as error:
            structlog.get_logger("learnedrouter").error("the ledger cannot be read", error=str(error.__cause__ or error))
            raise NotReady(f"request {identity!r}: the ledger cannot be read just now") from error
    if event is None:
        where = "in the ledger" if state.ledger else f"among the newest {state.settings.explained_requests:,} of this process"
        raise RequestError(f"request {identity!r}: not known; it is not {where}", field="id", status=404)
    return http.json_response(event_json(event), headers=http.event_headers(event))


@router.get("/livez", summary="Whether the process answers")
async def livez() -> dict[str, str]:
    """Answer, whatever else is going on."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "Not yet."}}, summary="Whether requests can be routed")
async def readyz(state: State, verbose: Annotated[str | None, Query(description="Also say how each model is.")] = None) -> Response:
    """Answer 503 until the artefact is loaded; with `verbose`, tell which worker this is, and each model's breaker and price."""
    if state.router is None:
        return http.json_response({"status": "loading"}, 503)
    ready = {"status": "ready", "artifact": state.router.artifact, "offline": state.settings.is_offline}
    if verbose is None:
        return http.json_response(ready)
    prices = {model.link.ref.model: model.price.source if model.price else None for model in state.router.models}
    unpriced = [model for model, source in prices.items() if source is None]
    details = {"pid": os.getpid(), "breakers": await state.router.breaker_states(), "prices": prices, "unpriced": unpriced}
    return http.json_response(ready | details)


@router.get("/metrics", response_class=Response, summary="Metrics for Prometheus")
async def metrics(state: State) -> Response:
    """Give all metrics in Prometheus' text format."""
    await state.show_breakers()
    budgets = await state.router.budgets.exposition() if state.router and state.router.budgets else b""
    exposition = await asyncio.to_thread(state.metrics.exposition)
    return Response(exposition + budgets, headers={"content-type": CONTENT_TYPE})
