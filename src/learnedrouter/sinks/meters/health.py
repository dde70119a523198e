"""How the service itself is: what runs, what it answers, which models it leaves alone."""

from collections.abc import Mapping
from importlib.metadata import version

from learnedrouter.sinks.meters.base import Meters

_BREAKER_STATES = {"closed": 0, "half-opened": 1, "opened": 2}


class HealthMeters:
    """Measures the service."""

    def __init__(self, meters: Meters) -> None:
        self._build = meters.gauge("build_info", "1, with what is running.", "livemax", "version", "artifact")
        self._breakers = meters.gauge("breaker_state", "Circuit breakers: 0 closed, 1 half-opened, 2 opened.", "livemax", "model")
        self._open = meters.gauge("open_requests", "Requests that are being served.", "livesum")
        self._responses = meters.counter(
            "http_responses", "Responses of every endpoint, by its path as the description has it.", "path", "status"
        )

    def show_build(self, artifact: str) -> None:
        """Say which classifier is loaded."""
        self._build(version("learnedrouter"), artifact).set(1)

    def show_breakers(self, states: Mapping[str, str]) -> None:
        """Take note of the state of each model's circuit breaker."""
        for model, state in states.items():
            self._breakers(model).set(_BREAKER_STATES[state])

    def opened(self) -> None:
        """Count a request in."""
        self._open().inc()

    def closed(self) -> None:
        """Count a request out."""
        self._open().dec()

    def responded(self, path: str, status: int) -> None:
        """Count a response; `path` is the endpoint's, not the caller's."""
        self._responses(path, status).inc()
