"""What a running service holds; made in the lifespan, handed to the endpoints."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from learnedrouter.chat import ChatRequest
from learnedrouter.config import Settings
from learnedrouter.errors import LearnedRouterError
from learnedrouter.router import Router
from learnedrouter.service.client_keys import ClientKeys
from learnedrouter.service.logs import log_prompt
from learnedrouter.sinks.ledger.sink import Ledger
from learnedrouter.sinks.metrics import MetricsSink
from learnedrouter.sinks.recent import RecentSink


class NotReady(LearnedRouterError):
    """The artefact is still being loaded, or a part that an answer needs does not work just now."""


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
    ledger
        Where requests are kept; None where they are not.
    router
        None until the artefact is loaded.
    """

    settings: Settings
    metrics: MetricsSink
    recent: RecentSink
    keys: ClientKeys
    ledger: Ledger | None = None
    router: Router | None = None

    async def show_breakers(self) -> None:
        """Let the metrics know how each model is."""
        if self.router:
            self.metrics.health.show_breakers(await self.router.breaker_states())

    def note_prompt(self, request: ChatRequest) -> None:
        """Log what is asked, where the configuration wants that."""
        if self.settings.logging.prompts:
            log_prompt(request)

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
