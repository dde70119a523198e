"""Endpoints that are called many times a second."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from learnedrouter.service.guard import require_key
from learnedrouter.service.state import service_state


class DirectRoute(APIRoute):
    """A route that FastAPI describes but does not run, for its dependencies cost as much as the routing itself.

    The endpoint takes request and state, and reads its body itself; who shows no key does not come so far.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        endpoint = self.endpoint

        async def answer(request: Request) -> Response:
            await require_key(request)
            response: Response = await endpoint(request, await service_state(request))
            return response

        return answer
