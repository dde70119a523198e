"""What a running service holds; made in the lifespan, handed to the endpoints."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from learnedrouter.config import Settings
from learnedrouter.errors import LearnedRouterError
from learnedrouter.router import Router
from learnedrouter.service.client_keys import ClientKeys
from learnedrouter.sinks.metrics import MetricsSink
from learnedrouter.sinks.recent import RecentSink


class NotReady(LearnedRouterError):
    """The artefact is still being loaded."""


@dataclass
class ServiceState:
    """The parts of a running service.

    Parameters
    ----------
    settings
        As they were read at start.
    metrics
        The metrics sink.
    recent
        The newest requests.
    keys
        Who may call.
    router
        None until the artefact is loaded.
    """

    settings: Settings
    metrics: MetricsSink
    recent: RecentSink
    keys: ClientKeys
    router: Router | None = None

    def ready_router(self) -> Router:
        """Return the router.

        Raises
        ------
        NotReady
            The artefact is still being loaded.
        """
        if self.router is None:
            raise NotReady("the classifier is still being loaded; try again in a moment")
        return self.router


async def service_state(request: Request) -> ServiceState:
    """Return the state of the service that `request` came to. A coroutine, for what is none FastAPI runs on a thread."""
    state: ServiceState = request.app.state.service
    return state


State = Annotated[ServiceState, Depends(service_state)]
