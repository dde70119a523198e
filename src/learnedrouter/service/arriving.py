"""Around every request: its ids, before anything of it is read, and the count of its answer. Pure ASGI, and little of it."""

from collections.abc import MutableMapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from learnedrouter.arrival import Arrival, arrive
from learnedrouter.service.http import PREFIX, endpoint
from learnedrouter.sinks.meters.health import HealthMeters

_READ = frozenset({b"x-request-id", b"traceparent", b"tracestate"})
_ID, _REQUEST_ID = f"{PREFIX}id".encode(), b"x-request-id"


class Arriving:
    """Gives each request its ids, sends them with the answer, whatever it is, and counts the answer.

    Parameters
    ----------
    app
        Answers. An error that leaves it has been answered already, and is the server's to log.
    health
        Counts.
    """

    def __init__(self, app: ASGIApp, health: HealthMeters) -> None:
        self._app, self._health = app, health

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, see ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        brought = {name: value.decode("latin-1") for name, value in scope["headers"] if name in _READ}
        trace = {name.decode(): value for name, value in brought.items() if name != _REQUEST_ID}
        arrival = arrive(brought.get(_REQUEST_ID, ""), trace)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_ids(message, arrival)
                self._health.responded(endpoint(scope), message["status"])
            await send(message)

        self._health.opened()
        try:
            await self._app(scope, receive, answer)
        finally:
            self._health.closed()


def _add_ids(message: MutableMapping[str, Any], arrival: Arrival) -> None:
    headers = list(message.get("headers", ()))
    if all(name != _ID for name, _ in headers):  # `explain` answers about another request, by that one's id
        headers.append((_ID, arrival.id.encode()))
    headers.append((_REQUEST_ID, arrival.request_id.encode()))
    message["headers"] = headers
