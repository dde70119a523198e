"""Running the application under uvicorn."""

import logging
import sys
from ipaddress import ip_address

import structlog
import uvicorn

from learnedrouter.config import CLIENT_KEYS_ENV, Settings, warnings
from learnedrouter.errors import ConfigError, LearnedRouterError
from learnedrouter.service.app import create_app


def run(settings: Settings) -> None:
    """Serve until told to stop.

    Raises
    ------
    LearnedRouterError
        The artefact or the configuration cannot be used.
    """
    refuse_open_door(settings)
    configure_logging()
    log = structlog.get_logger("learnedrouter")
    if settings.is_offline:
        log.warning(
            "OFFLINE: no provider is called, a built-in one answers, and every answer says so", keys_missing=_missing_keys(settings)
        )
    elif missing := _missing_keys(settings):
        log.warning("providers without a key are left out", keys_missing=missing)
    for warning in warnings(settings):
        log.warning(warning)
    failures: list[LearnedRouterError] = []

    def stop(error: LearnedRouterError) -> None:
        failures.append(error)
        server.should_exit = True

    app = create_app(settings, stop)
    server = uvicorn.Server(uvicorn.Config(app, host=settings.host, port=settings.port, log_config=None, access_log=False, loop="uvloop"))
    server.run()
    if failures:
        raise failures[0]


def refuse_open_door(settings: Settings) -> None:
    """Refuse to serve more than this machine without keys: whoever reaches the service spends the providers' money.

    Raises
    ------
    ConfigError
        The host is no loopback address, and callers need no key; or a named key has no value.
    """
    if missing := [name for name in settings.keys if name not in settings.named_keys]:
        raise ConfigError(f"keys.{missing[0]}: {settings.keys[missing[0]].key_env} is not set; expected the key in the environment or .env")
    if not settings.client_keys and not _is_loopback(settings.host):
        raise ConfigError(f"host {settings.host}: not a loopback address; set {CLIENT_KEYS_ENV} to the keys that callers must show")


def configure_logging() -> None:
    """Log to standard error: in colours on a terminal, else one JSON object a line."""
    terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")


def _missing_keys(settings: Settings) -> list[str]:
    return sorted(provider.api_key_env for name, provider in settings.providers.items() if name not in settings.provider_keys)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
