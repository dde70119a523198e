"""OpenTelemetry traces: a span for the request, and in it one for the decision and one for each call to a provider.

The spans are made of the event, when the request is over, with the times that it tells. Names are those of the conventions
for generative AI (https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/); what they do not name is
``learnedrouter.*``. What was asked and answered is never in a span, nor is what providers say in their errors, which may
quote it. Usage stands at the calls alone, for whoever adds up the spans of a trace would count it twice.

Needs the extra ``learnedrouter[otel]``. Where traces go is OpenTelemetry's own to configure: ``OTEL_EXPORTER_OTLP_ENDPOINT``,
``OTEL_EXPORTER_OTLP_HEADERS``, ``OTEL_SERVICE_NAME``, ``OTEL_RESOURCE_ATTRIBUTES``, ``OTEL_TRACES_SAMPLER``, ``OTEL_BSP_*``,
``OTEL_SDK_DISABLED``.
"""

import os
from collections.abc import Mapping
from importlib.metadata import version

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import extract
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from learnedrouter.arrival import CURRENT
from learnedrouter.errors import ConfigError
from learnedrouter.events import RoutedCompletion
from learnedrouter.providers.trying import Attempt
from learnedrouter.recording import OK

PROTOCOL = "http/protobuf"
PROTOCOL_ENVS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_NANOSECONDS = 1_000_000_000

Attributes = Mapping[str, AttributeValue | None]


def otlp_provider() -> TracerProvider:
    """Return a provider that exports over OTLP/HTTP, as the ``OTEL_*`` variables have it."""
    own = Resource.create({"service.name": "learnedrouter", "service.version": version("learnedrouter")})
    provider = TracerProvider(resource=own.merge(OTELResourceDetector().detect()))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def check_environment() -> None:
    """Refuse what the ``OTEL_*`` variables ask for and is not there.

    Raises
    ------
    ConfigError
        They ask for a protocol other than OTLP/HTTP.
    """
    asked = next((value for name in PROTOCOL_ENVS if (value := os.environ.get(name))), PROTOCOL)
    if asked != PROTOCOL:
        raise ConfigError(f"OTEL_EXPORTER_OTLP_PROTOCOL: {asked!r}; expected {PROTOCOL}, which is the one that is installed")


def open_sink() -> "TraceSink":
    """Return a sink over `otlp_provider`."""
    return TraceSink(otlp_provider())


class TraceSink:
    """Makes each event a trace; see `learnedrouter.router.Sink`.

    Parameters
    ----------
    provider
        Takes the spans.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("learnedrouter", version("learnedrouter"))

    def record(self, event: RoutedCompletion) -> None:
        """See `Sink.record`."""
        arrival = CURRENT.get()
        began = event.at.timestamp()
        request = self._span("route", SpanKind.SERVER, began, extract(arrival.trace if arrival else {}))
        if request.is_recording():
            self._fill(request, event, began)
        request.end(_nanoseconds(began + event.total_seconds))

    def close(self) -> None:
        """Send what is left; may take seconds where nobody takes it."""
        self._provider.shutdown()

    def _fill(self, request: Span, event: RoutedCompletion, began: float) -> None:
        _describe(request, _request_attributes(event), None if event.outcome == OK else event.outcome)
        within = trace.set_span_in_context(request, Context())
        decision = self._span("decide", SpanKind.INTERNAL, began, within)
        _describe(decision, _decision_attributes(event), None)
        decision.end(_nanoseconds(began + event.decision_seconds))
        for number, attempt in enumerate(event.attempts, 1):
            if attempt.asked_at is None:
                told = {"learnedrouter.model": attempt.ref.model, "learnedrouter.outcome": attempt.outcome}
                request.add_event("learnedrouter.not_asked", told)
                continue
            call = self._span(f"chat {attempt.ref.model}", SpanKind.CLIENT, attempt.asked_at, within)
            is_answer = event.model is not None and number == len(event.attempts)
            answered = _answer_attributes(event, attempt.asked_at - began) if is_answer else {}
            described = {**_call_attributes(attempt), **answered, "learnedrouter.attempt": number}
            _describe(call, described, None if attempt.outcome == OK else attempt.outcome)
            call.end(_nanoseconds(attempt.asked_at + attempt.duration_ms / 1000))

    def _span(self, name: str, kind: SpanKind, began: float, context: Context) -> Span:
        return self._tracer.start_span(name, context, kind, start_time=_nanoseconds(began))


def _request_attributes(event: RoutedCompletion) -> Attributes:
    return {
        "gen_ai.conversation.id": event.conversation,
        "learnedrouter.id": event.id,
        "learnedrouter.tier": event.decision.tier,
        "learnedrouter.model": event.model.model if event.model else None,
        "learnedrouter.served_tier": event.served_tier or None,
        "learnedrouter.fallbacks": event.fallbacks,
        "learnedrouter.streamed": event.streamed,
        "learnedrouter.dialect": event.dialect,
        "learnedrouter.cost_usd": None if event.cost_usd is None else float(event.cost_usd),
        "learnedrouter.baseline_usd": None if event.baseline_usd is None else float(event.baseline_usd),
        "learnedrouter.unaccounted_attempts": event.unaccounted_attempts or None,
    }


def _decision_attributes(event: RoutedCompletion) -> Attributes:
    decision = event.decision
    return {
        "learnedrouter.tier": decision.tier,
        "learnedrouter.predicted_tier": decision.predicted_tier,
        "learnedrouter.confidence": decision.confidence,
        "learnedrouter.threshold": decision.threshold,
        "learnedrouter.reasons": decision.reasons,
        "learnedrouter.escalated": decision.escalated,
        "learnedrouter.artifact": decision.artifact,
        "learnedrouter.ask_tokens": decision.ask_tokens,
        "learnedrouter.truncated": decision.truncated,
        **{f"learnedrouter.sufficiency.{tier}": value for tier, value in decision.sufficiency.items()},
    }


def _call_attributes(attempt: Attempt) -> Attributes:
    common: dict[str, AttributeValue | None] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": attempt.ref.provider,
        "gen_ai.request.model": attempt.ref.model,
        "http.response.status_code": attempt.status,
        "learnedrouter.tier": attempt.tier,
        "learnedrouter.cost_usd": None if attempt.cost_usd is None else float(attempt.cost_usd),
    }
    if (usage := attempt.usage) is None or usage.input_tokens is None:
        return common
    return {
        **common,
        "gen_ai.usage.input_tokens": usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read_tokens,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
    }


def _answer_attributes(event: RoutedCompletion, asked_after_seconds: float) -> Attributes:
    first = event.first_token_seconds
    return {
        "gen_ai.response.model": event.model.model if event.model else None,
        "gen_ai.conversation.id": event.conversation,
        "gen_ai.request.stream": event.streamed or None,
        "gen_ai.response.time_to_first_chunk": None if first is None else max(first - asked_after_seconds, 0.0),
    }


def _describe(span: Span, attributes: Attributes, error: str | None) -> None:
    span.set_attributes({name: value for name, value in attributes.items() if value is not None})
    if error is not None:
        span.set_attribute("error.type", error)
        span.set_status(Status(StatusCode.ERROR))


def _nanoseconds(seconds: float) -> int:
    return int(seconds * _NANOSECONDS)
