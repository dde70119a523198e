"""Traces, made of the events of real requests."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from learnedrouter.config import Settings
from learnedrouter.errors import ConfigError
from learnedrouter.sinks.trace import TraceSink, check_environment, otlp_provider
from tests.service.running import KEY, TIERS, Running, chat, running

TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture(scope="module")
def service(settings: Settings, exporter: InMemorySpanExporter) -> Iterator[Running]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with running(settings, TraceSink(provider)) as service:
        yield service


def spans_of(service: Running, exporter: InMemorySpanExporter, body: dict[str, Any], flags: str = "01") -> list[ReadableSpan]:
    """The spans of one request to /v1/chat/completions, in order of their start."""
    exporter.clear()
    with service.http() as http:
        headers = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-{flags}", "x-request-id": "order-66"}
        http.post("/v1/chat/completions", json=body, headers=headers)
    service.next_event()
    return sorted(exporter.get_finished_spans(), key=lambda span: (span.start_time or 0, span.kind is not SpanKind.SERVER))


@pytest.mark.parametrize("streamed", [False, True])
def test_a_request_is_a_trace(service: Running, exporter: InMemorySpanExporter, streamed: bool) -> None:
    """It goes on with its caller's trace; decision and calls are its children, each in its own time, with what it used."""
    request, decision, failed, answered = spans_of(service, exporter, chat("[[oai-1: status 503]] swordfish", stream=streamed))

    assert (request.name, decision.name, failed.name, answered.name) == ("route", "decide", "chat oai-1", "chat ant-2")
    assert request.parent is not None
    assert (f"{request.parent.trace_id:032x}", f"{request.parent.span_id:016x}") == (TRACE_ID, PARENT_ID)
    for child in (decision, failed, answered):
        assert child.parent is not None
        assert child.parent.span_id == request.context.span_id
        assert (request.start_time or 0) <= (child.start_time or 0) <= (child.end_time or 0) <= (request.end_time or 0) + 1_000_000
    assert (decision.end_time or 0) <= (failed.start_time or 0) + 1_000_000
    assert (failed.end_time or 0) <= (answered.start_time or 0) + 1_000_000

    event = service.events[-1]
    assert request.attributes is not None
    assert request.attributes["learnedrouter.id"] == event.id
    assert request.attributes["gen_ai.conversation.id"] == event.conversation
    assert request.status.status_code is StatusCode.UNSET
    assert decision.attributes is not None
    assert decision.attributes["learnedrouter.reasons"] == event.decision.reasons
    assert failed.attributes is not None
    assert (failed.attributes["error.type"], failed.attributes["http.response.status_code"]) == ("unavailable", 503)
    assert failed.status.status_code is StatusCode.ERROR
    wanted = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "ant",
        "gen_ai.request.model": "ant-2",
        "gen_ai.response.model": "ant-2",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 3,
        "learnedrouter.attempt": 2,
    }
    assert wanted.items() <= dict(answered.attributes or {}).items()
    assert ("gen_ai.response.time_to_first_chunk" in (answered.attributes or {})) is streamed
    assert "swordfish" not in "".join(span.to_json() for span in (request, decision, failed, answered))


def test_a_request_that_nobody_answers_is_an_error(service: Running, exporter: InMemorySpanExporter) -> None:
    """With the code that its caller got, and without what the provider said, which may quote the prompt."""
    request, _, call = spans_of(service, exporter, chat("[[oai-1: status 422]]", "oai-1"))

    for span in (request, call):
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description is None
        assert (span.attributes or {})["error.type"] == "rejected"
    assert "told to say" not in request.to_json() + call.to_json()


def test_models_that_are_not_asked_are_events(service: Running, exporter: InMemorySpanExporter) -> None:
    """A call that never was has no span of its own: the same provider's other models, after our key was refused."""
    prompt = " ".join(f"[[{name}: status {401 if name.startswith('oai') else 503}]]" for names in TIERS.values() for name in names)
    request, *rest = spans_of(service, exporter, chat(prompt, "auto"))

    assert len([span for span in rest if span.name.startswith("chat oai")]) == 1
    assert [dict(event.attributes or {})["learnedrouter.outcome"] for event in request.events] == ["denied_before"] * 3


def test_a_caller_that_samples_out_is_obeyed(service: Running, exporter: InMemorySpanExporter) -> None:
    """No span is made for a trace that nobody keeps."""
    assert spans_of(service, exporter, chat("hello"), flags="00") == []


def test_spans_arrive_at_a_collector(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over OTLP/HTTP, where the standard variables say, under the name that they give, before the service ends."""
    received: list[tuple[str, str, ExportTraceServiceRequest]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append((self.path, self.headers["x-tenant"], ExportTraceServiceRequest.FromString(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    collector = HTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=search")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=our-router,deployment.environment=test")

    with running(settings, traces=settings.traces.model_copy(update={"enabled": True})) as service, service.http() as http:
        http.post("/v1/chat/completions", json=chat("hello"), headers={"authorization": f"Bearer {KEY}"})
    collector.shutdown()
    collector.server_close()

    path, tenant, request = received[0]
    [resource] = request.resource_spans
    attributes = {entry.key: entry.value.string_value for entry in resource.resource.attributes}
    assert (path, tenant, attributes["service.name"], attributes["deployment.environment"]) == (
        "/v1/traces",
        "search",
        "our-router",
        "test",
    )
    assert {span.name for scope in resource.scope_spans for span in scope.spans} == {"route", "decide", "chat oai-1"}


def test_another_protocol_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start, with the variable's name."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(ConfigError, match=r"OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc'; expected http/protobuf"):
        check_environment()


def test_a_disabled_sdk_makes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """OTEL_SDK_DISABLED is OpenTelemetry's own switch, and holds."""
    recording = []
    for disabled in ("false", "true"):
        monkeypatch.setenv("OTEL_SDK_DISABLED", disabled)
        provider = otlp_provider()
        recording.append(provider.get_tracer("test").start_span("never ended").is_recording())
        provider.shutdown()

    assert recording == [True, False]


def test_without_the_extra_the_error_says_what_to_install(tmp_path: Path) -> None:
    """Switched on where OpenTelemetry's SDK is missing, the service says so in one line and does not start."""
    program = """
import sys
sys.modules["opentelemetry.sdk"] = None  # as if it were not installed
from learnedrouter.service.tracing import tracing
tracing()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)

    assert (
        done.stderr.strip()
        .splitlines()[-1]
        .endswith("traces.enabled: OpenTelemetry is not installed; expected: pip install 'learnedrouter[otel]'")
    )
