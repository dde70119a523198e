"""Switching traces on: the one place that knows that OpenTelemetry may not be installed."""

from types import ModuleType

from learnedrouter.errors import ConfigError


def tracing() -> ModuleType:
    """Return `learnedrouter.sinks.trace`.

    Raises
    ------
    ConfigError
        OpenTelemetry is not installed.
    """
    try:
        from learnedrouter.sinks import trace
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        raise ConfigError("traces.enabled: OpenTelemetry is not installed; expected: pip install 'learnedrouter[otel]'") from error
    return trace
