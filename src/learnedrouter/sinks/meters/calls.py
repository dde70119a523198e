"""Calls to providers, and who took over from whom.

What OpenTelemetry names is named as it does: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/, with
the buckets that stand there.
"""

from learnedrouter.events import RoutedCompletion
from learnedrouter.providers.trying import DISCONNECTED
from learnedrouter.sinks.meters.base import NOBODY, Meters

CHAT = "chat"
"""``gen_ai.operation.name`` of everything that is routed."""

_SECONDS = tuple(0.01 * 2**step for step in range(14))
_TOKENS = tuple(float(4**step) for step in range(14))
_CALL = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")


class CallMeters:
    """Measures calls to providers."""

    def __init__(self, meters: Meters) -> None:
        self._seconds = meters.standard_histogram(
            "gen_ai_client_operation_duration_seconds", "Time that one call took.", _SECONDS, *_CALL, "error_type"
        )
        self._tokens = meters.standard_histogram(
            "gen_ai_client_token_usage", "Tokens of one answer; input with what was cached of it.", _TOKENS, *_CALL, "gen_ai_token_type"
        )
        self._fallbacks = meters.counter("fallbacks", "Attempts that another model took over from, or nobody.", "from", "to", "reason")

    def record(self, event: RoutedCompletion) -> None:
        """Measure every attempt of `event`."""
        for attempt in event.attempts:
            if attempt.asked:
                error = "" if attempt.outcome == "ok" else attempt.outcome
                call = self._seconds(CHAT, attempt.ref.provider, attempt.ref.model, error)
                call.observe(attempt.duration_ms / 1000)
        successors = [attempt.ref.model for attempt in event.attempts[1:]]
        # The last attempt of an answered request is the answer: nothing took over from it, even if it broke off.
        for attempt, successor in zip(event.attempts, successors if event.model else [*successors, NOBODY], strict=False):
            if attempt.outcome != DISCONNECTED:  # not the model's failure: nobody waited for it
                self._fallbacks(attempt.ref.model, successor, attempt.outcome).inc()
        if event.model is None:
            return
        call_labels = (CHAT, event.model.provider, event.model.model)
        usage = event.usage
        if usage.input_tokens is not None:
            read = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
            self._tokens(*call_labels, "input").observe(read)
        if usage.output_tokens is not None:
            self._tokens(*call_labels, "output").observe(usage.output_tokens)
