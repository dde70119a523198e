"""The application: loads the router when it starts, closes it when it ends."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI
from starlette.types import ASGIApp

from learnedrouter.config import Settings
from learnedrouter.errors import LearnedRouterError
from learnedrouter.router import Router, Sink
from learnedrouter.service import compatible, garbage, routes
from learnedrouter.service.arriving import Arriving
from learnedrouter.service.client_keys import ClientKeys
from learnedrouter.service.failures import HANDLERS
from learnedrouter.service.state import ServiceState
from learnedrouter.service.tracing import tracing
from learnedrouter.service.wiring import make_ledger, make_router
from learnedrouter.sinks.log import LogSink
from learnedrouter.sinks.metrics import MetricsSink
from learnedrouter.sinks.recent import RecentSink

MakeRouter = Callable[[Settings, Sequence[Sink]], Router]

BREAKERS_SHOWN_SECONDS = 5.0
"""How old the metrics of a worker's breakers may be when another worker is asked: less than Prometheus' usual 15 s."""


def create_app(settings: Settings, on_failure: Callable[[LearnedRouterError], None], load: MakeRouter = make_router) -> ASGIApp:
    """Return the service's application.

    Nothing is loaded or connected before it starts; then the artefact is loaded beside the event loop, and ``/readyz``
    tells when it is done.

    Parameters
    ----------
    on_failure
        Told why the router cannot be made; the application then never becomes ready.
    load
        Makes the router; called once, on a thread.
    """
    metrics = MetricsSink()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        named = {name: key.get_secret_value() for name, key in settings.named_keys.items()}
        keys = ClientKeys((key.get_secret_value() for key in settings.client_keys), named)
        ledger = None
        try:
            ledger = make_ledger(settings.ledger, metrics.ledger)
        except LearnedRouterError as error:
            on_failure(error)
        state = ServiceState(settings, metrics, RecentSink(settings.explained_requests), keys, ledger)
        app.state.service = state
        if ledger:
            ledger.start()
        kept: tuple[Sink, ...] = (ledger,) if ledger else ()
        traces = [tracing().open_sink()] if settings.traces.enabled else []
        loading = asyncio.create_task(_load(state, (*kept, metrics, state.recent, LogSink(), *traces), on_failure, load))
        watching = asyncio.create_task(_watch(state))
        yield
        watching.cancel()
        await loading  # a thread that loads cannot be interrupted
        if state.router:
            await state.router.aclose()
        for sink in traces:
            await asyncio.to_thread(sink.close)
        if ledger:
            await asyncio.to_thread(ledger.close)

    app = FastAPI(title="learnedrouter", summary="The cheapest model that will do", lifespan=lifespan, exception_handlers=HANDLERS)
    app.include_router(routes.router)
    app.include_router(compatible.router)
    return Arriving(app, metrics.health)  # outside of all the rest, so that no answer lacks its ids or goes uncounted


async def _watch(state: ServiceState) -> None:
    """Keep what the metrics say of the breakers up to date: any worker may be asked for the metrics of all."""
    while True:
        await state.show_breakers()
        await asyncio.sleep(BREAKERS_SHOWN_SECONDS)


async def _load(state: ServiceState, sinks: Sequence[Sink], on_failure: Callable[[LearnedRouterError], None], load: MakeRouter) -> None:
    try:
        router = await asyncio.to_thread(load, state.settings, sinks)
        state.router = router
        state.metrics.health.show_build(router.artifact)
        structlog.get_logger("learnedrouter").info("ready", artifact=router.artifact, pid=os.getpid())
    except LearnedRouterError as error:
        on_failure(error)
    finally:
        garbage.collect_from_now_on()
