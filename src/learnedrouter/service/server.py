"""Running the application under uvicorn, in one process or in several."""

import socket
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from ipaddress import ip_address

import structlog
import uvicorn
from starlette.types import ASGIApp

from learnedrouter.config import CLIENT_KEYS_ENV, Settings, warnings
from learnedrouter.errors import ConfigError, LearnedRouterError
from learnedrouter.service.app import create_app
from learnedrouter.service.logs import configure_logging
from learnedrouter.service.tracing import tracing
from learnedrouter.service.workers import serve_workers, shared_folder, worker_app

BACKLOG = 2_048
"""Connections that may wait to be taken: uvicorn's own default, for a socket that is not its own."""


def run(settings: Settings) -> None:
    """Serve until told to stop.

    Raises
    ------
    LearnedRouterError
        The artefact or the configuration cannot be used.
    """
    refuse_open_door(settings)
    if settings.traces.enabled:
        tracing().check_environment()
    configure_logging(settings)
    _announce(settings)
    with bound(settings.host, settings.port) as listening:
        host, port = listening.getsockname()[:2]
        structlog.get_logger("learnedrouter").info(
            "serving", host=host, port=port, workers=settings.workers, version=version("learnedrouter")
        )
        if settings.workers == 1:
            _serve_alone(settings, listening)
        else:
            with shared_folder() as folder:
                serve_workers(_uvicorn_config(partial(worker_app, settings, folder), settings, factory=True), listening, folder)


def _serve_alone(settings: Settings, listening: socket.socket) -> None:
    failures: list[LearnedRouterError] = []

    def stop(error: LearnedRouterError) -> None:
        failures.append(error)
        server.should_exit = True

    server = uvicorn.Server(_uvicorn_config(create_app(settings, stop), settings, factory=False))
    server.run(sockets=[listening])
    if failures:
        raise failures[0]


def _uvicorn_config(app: ASGIApp | Callable[[], ASGIApp], settings: Settings, *, factory: bool) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        factory=factory,
        workers=settings.workers,
        log_config=None,
        access_log=False,
        loop="uvloop",
        timeout_graceful_shutdown=settings.shutdown_seconds,
        timeout_worker_healthcheck=30,  # a worker that loads its artefact on a busy machine is not hung
    )


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that listens at `host` and `port`; workers share it.

    Raises
    ------
    ConfigError
        Nothing can listen there.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}:{port}: {error.strerror}; expected an address of this machine and a free port"
        ) from error
    listening.set_inheritable(True)
    return listening


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


def _announce(settings: Settings) -> None:
    """Say once, however many workers there are, what is odd about the configuration."""
    log = structlog.get_logger("learnedrouter")
    if settings.is_offline:
        log.warning(
            "OFFLINE: no provider is called, a built-in one answers, and every answer says so", keys_missing=_missing_keys(settings)
        )
    elif missing := _missing_keys(settings):
        log.warning("providers without a key are left out", keys_missing=missing)
    for warning in warnings(settings):
        log.warning(warning)


def _missing_keys(settings: Settings) -> list[str]:
    return sorted(provider.api_key_env for name, provider in settings.providers.items() if name not in settings.provider_keys)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
