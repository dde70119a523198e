"""The application: loads the router when it starts, closes it when it ends."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI

from learnedrouter.config import Settings
from learnedrouter.errors import LearnedRouterError
from learnedrouter.router import Router, Sink
from learnedrouter.service import compatible, routes
from learnedrouter.service.client_keys import ClientKeys
from learnedrouter.service.failures import HANDLERS
from learnedrouter.service.state import ServiceState
from learnedrouter.service.wiring import make_router
from learnedrouter.sinks.log import LogSink
from learnedrouter.sinks.metrics import MetricsSink
from learnedrouter.sinks.recent import RecentSink

MakeRouter = Callable[[Settings, Sequence[Sink]], Router]


def create_app(settings: Settings, on_failure: Callable[[LearnedRouterError], None], load: MakeRouter = make_router) -> FastAPI:
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

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        keys = ClientKeys(key.get_secret_value() for key in settings.client_keys)
        state = ServiceState(settings, MetricsSink(), RecentSink(settings.explained_requests), keys)
        app.state.service = state
        loading = asyncio.create_task(_load(state, on_failure, load))
        yield
        await loading  # a thread that loads cannot be interrupted
        if state.router:
            await state.router.aclose()

    app = FastAPI(title="learnedrouter", summary="The cheapest model that will do", lifespan=lifespan, exception_handlers=HANDLERS)
    app.include_router(routes.router)
    app.include_router(compatible.router)
    return app


def _settle() -> None:
    """Take what is there by now, which stays, out of every later collection of garbage: looking through it all took a tenth of the time."""
    gc.collect()
    gc.freeze()


async def _load(state: ServiceState, on_failure: Callable[[LearnedRouterError], None], load: MakeRouter) -> None:
    try:
        router = await asyncio.to_thread(load, state.settings, (state.metrics, state.recent, LogSink()))
        await asyncio.to_thread(_settle)
        state.router = router
    except LearnedRouterError as error:
        on_failure(error)
