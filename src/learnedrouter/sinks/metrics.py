"""Prometheus metrics. Labels hold tiers and models only, so that their number is bounded by the configuration."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from learnedrouter.events import RoutedCompletion

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_DECISION_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_PROVIDER_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_COMMIT_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0)
_BREAKER_STATES = {"closed": 0, "half-opened": 1, "opened": 2}
_CONFIDENCE = tuple(step / 20 for step in range(1, 21))


class MetricsSink:
    """Counts what happened; see `learnedrouter.router.Sink`."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"learnedrouter_{name}", text, labels, registry=self._registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"learnedrouter_{name}", text, labels, buckets=buckets, registry=self._registry)

        self._requests = counter("requests", "Requests routed.", "tier", "model", "outcome")
        self._decisions = counter("decisions", "Decisions, by the reason that decided.", "tier", "reason")
        self._tokens = counter("tokens", "Tokens billed.", "model", "type")
        self._cost = counter("cost_dollars", "Cost of answered requests.", "tier", "model")
        self._baseline = counter("baseline_cost_dollars", "Cost of the same tokens at the top tier.", "tier")
        self._unpriced = counter("unpriced_requests", "Answered requests whose cost is unknown.", "model")
        self._fallbacks = counter("fallbacks", "Attempts that another model took over from.", "from_model", "outcome")
        self._decision = histogram("decision_seconds", "Time to decide.", _DECISION_SECONDS)
        self._provider = histogram("provider_seconds", "Time that providers took, all attempts together.", _PROVIDER_SECONDS, "model")
        self._breakers = Gauge(
            "learnedrouter_breaker_state", "Circuit breakers: 0 closed, 1 half-opened, 2 opened.", ("model",), registry=self._registry
        )
        self._streams = counter("streams", "Streamed answers that had begun, by how they ended.", "model", "outcome")
        self._adjusted = counter("adjusted", "Answered requests that were changed for their model.", "model", "what")
        self._unknown = counter("unknown_usage_requests", "Answered requests whose provider did not tell all of their tokens.", "model")
        self._unaccounted = counter("unaccounted_attempts", "Failed attempts that may have cost money that nobody told.", "model")
        self._rows = counter("ledger_rows", "Requests written to the ledger.")
        self._write_errors = counter("ledger_write_errors", "Transactions of the ledger that failed.")
        self._dropped = counter("ledger_dropped_rows", "Requests that the ledger will never hold.")
        self._late = counter("ledger_late_answers", "Answers that went out before their row was committed.")
        self._commit = histogram("ledger_commit_seconds", "Time that a transaction of the ledger took.", _COMMIT_SECONDS)
        self._queued = Gauge("learnedrouter_ledger_queued_rows", "Rows that wait for the ledger.", registry=self._registry)
        self._confidence = histogram("confidence", "Sufficiency of the tier chosen.", _CONFIDENCE, "tier")

    def record(self, event: RoutedCompletion) -> None:
        """See `Sink.record`."""
        decision, model = event.decision, event.model.model if event.model else "none"
        self._requests.labels(decision.tier, model, event.outcome).inc()
        self._decisions.labels(decision.tier, decision.reasons[-1]).inc()
        self._decision.observe(event.decision_seconds)
        self._confidence.labels(decision.tier).observe(decision.confidence)
        # The last attempt of an answered request is the answer: nothing took over from it, even if it broke off.
        for attempt in event.attempts[:-1] if event.model else event.attempts:
            if attempt.outcome != "ok":
                self._fallbacks.labels(attempt.ref.model, attempt.outcome).inc()
        for attempt in event.attempts[:-1] if event.model else event.attempts:
            if attempt.unaccounted:
                self._unaccounted.labels(attempt.ref.model).inc()
        if event.model is None:
            return
        if event.usage.input_tokens is None or event.usage.output_tokens is None:
            self._unknown.labels(model).inc()
        self._provider.labels(model).observe(event.provider_seconds)
        if event.streamed:
            self._streams.labels(model, event.outcome).inc()
        changed = (event.adjusted.clamped, *event.adjusted.parameters)
        for what in filter(None, changed):
            self._adjusted.labels(model, what.partition("=")[0]).inc()
        usage = event.usage
        classes = {
            "input": usage.input_tokens,
            "cache_read": usage.cache_read_tokens,
            "cache_write": usage.cache_write_tokens,
            "output": usage.output_tokens,
        }
        for kind, tokens in classes.items():
            self._tokens.labels(model, kind).inc(tokens or 0)
        if event.cost_usd is None:
            self._unpriced.labels(model).inc()
        else:
            self._cost.labels(event.served_tier, model).inc(float(event.cost_usd))
        if event.baseline_usd is not None:
            self._baseline.labels(decision.tier).inc(float(event.baseline_usd))

    def ledger_wrote(self, rows: int, seconds: float, queued: int) -> None:
        """See `learnedrouter.sinks.ledger.sink.Watch`."""
        self._rows.inc(rows)
        self._commit.observe(seconds)
        self._queued.set(queued)

    def ledger_failed(self, queued: int) -> None:
        """See `learnedrouter.sinks.ledger.sink.Watch`."""
        self._write_errors.inc()
        self._queued.set(queued)

    def ledger_dropped(self, rows: int) -> None:
        """See `learnedrouter.sinks.ledger.sink.Watch`."""
        self._dropped.inc(rows)

    def ledger_late(self) -> None:
        """See `learnedrouter.sinks.ledger.sink.Watch`."""
        self._late.inc()

    def show_breakers(self, states: Mapping[str, str]) -> None:
        """Take note of the state of each model's circuit breaker."""
        for model, state in states.items():
            self._breakers.labels(model).set(_BREAKER_STATES[state])

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)
