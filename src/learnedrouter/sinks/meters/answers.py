"""What became of requests: who answered, how it ended, and how long it took, with the providers and without them."""

from learnedrouter.events import RoutedCompletion
from learnedrouter.sinks.meters.base import Meters, model_of

_OVERHEAD_SECONDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_REQUEST_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class AnswerMeters:
    """Measures requests that were routed, answered or not."""

    def __init__(self, meters: Meters) -> None:
        self._requests = meters.counter("requests", "Requests routed.", "tier", "model", "status")
        self._streams = meters.counter("streams", "Streamed answers that had begun, by how they ended.", "model", "status")
        self._adjusted = meters.counter("adjusted", "Answered requests that were changed for their model.", "model", "what")
        self._seconds = meters.histogram("request_seconds", "Time from a request to the end of its answer.", _REQUEST_SECONDS, "tier")
        self._overhead = meters.histogram(
            "overhead_seconds",
            "Time that a request took beside its providers; where one said when to come back, that pause, too.",
            _OVERHEAD_SECONDS,
        )
        self._first = meters.histogram(
            "time_to_first_token_seconds", "Time from a request to the first content of its streamed answer.", _REQUEST_SECONDS, "model"
        )

    def record(self, event: RoutedCompletion) -> None:
        """Measure what became of `event`."""
        model = model_of(event)
        self._requests(event.decision.tier, model, event.outcome).inc()
        self._seconds(event.decision.tier).observe(event.total_seconds)
        if event.attempts:  # of a caller that hung up while a provider was asked, nobody knows how long that took
            self._overhead().observe(max(event.total_seconds - event.provider_seconds, 0.0))
        if event.model is None:
            return
        if event.streamed:
            self._streams(model, event.outcome).inc()
        if event.first_token_seconds is not None:
            self._first(model).observe(event.first_token_seconds)
        for what in filter(None, (event.adjusted.clamped, *event.adjusted.parameters)):
            self._adjusted(model, what.partition("=")[0]).inc()
