"""Tokens and money. What is unknown is counted as unknown, never as 0."""

from learnedrouter.events import RoutedCompletion
from learnedrouter.sinks.meters.base import Meters, model_of


class MoneyMeters:
    """Measures what requests cost."""

    def __init__(self, meters: Meters) -> None:
        self._tokens = meters.counter("tokens", "Tokens billed, in disjoint classes; reasoning is a part of output.", "model", "type")
        self._cost = meters.counter("cost_dollars", "Cost of requests.", "tier", "model")
        self._partial = meters.counter("partial_cost_dollars", "What is certain of costs that are not known whole.", "tier", "model")
        self._baseline = meters.counter("baseline_cost_dollars", "What those whose cost is known had cost at the top tier.", "tier")
        self._unknown = meters.counter(
            "unknown_usage_requests", "Answered requests whose provider did not tell all of their tokens.", "model"
        )
        self._unpriced = meters.counter("unpriced_requests", "Answered requests whose cost is unknown.", "model")

        self._unaccounted = meters.counter("unaccounted_attempts", "Failed attempts that may have cost money that nobody told.", "model")

    def record(self, event: RoutedCompletion) -> None:
        """Measure what `event` cost."""
        model, usage = model_of(event), event.usage
        classes = {
            "input": usage.input_tokens,
            "cache_read": usage.cache_read_tokens,
            "cache_write": usage.cache_write_tokens,
            "output": usage.output_tokens,
            "reasoning": usage.reasoning_tokens,
        }
        for kind, tokens in classes.items():
            if tokens:
                self._tokens(model, kind).inc(tokens)
        if event.model and (usage.input_tokens is None or usage.output_tokens is None):
            self._unknown(model).inc()
        for attempt in event.attempts[:-1] if event.model else event.attempts:
            if attempt.unaccounted:
                self._unaccounted(attempt.ref.model).inc()
        tier = event.served_tier or event.decision.tier
        if event.cost_usd is not None:
            self._cost(tier, model).inc(float(event.cost_usd))
            if event.baseline_usd is not None:
                self._baseline(event.decision.tier).inc(float(event.baseline_usd))
            return
        if event.known_usd:
            self._partial(tier, model).inc(float(event.known_usd))
        if event.model:
            self._unpriced(model).inc()
