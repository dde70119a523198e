"""One structured log line a request. What was asked and answered is never in it."""

import structlog

from learnedrouter.events import RoutedCompletion


class LogSink:
    """Logs what happened; see `learnedrouter.router.Sink`."""

    def __init__(self) -> None:
        self._log = structlog.get_logger("learnedrouter")

    def record(self, event: RoutedCompletion) -> None:
        """See `Sink.record`."""
        decision, usage = event.decision, event.usage
        self._log.info(
            "routed",
            id=event.id,
            outcome=event.outcome,
            tier=decision.tier,
            predicted_tier=decision.predicted_tier,
            confidence=round(decision.confidence, 4),
            reasons=list(decision.reasons),
            model=event.model.model if event.model else None,
            attempts=[f"{attempt.ref.model}: {attempt.outcome}" for attempt in event.attempts],
            streamed=event.streamed,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cost_usd=None if event.cost_usd is None else str(event.cost_usd),
            decision_ms=round(event.decision_seconds * 1000, 2),
            provider_ms=round(event.provider_seconds * 1000, 2),
            total_ms=round(event.total_seconds * 1000, 2),
        )
