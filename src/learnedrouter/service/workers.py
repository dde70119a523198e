"""Several processes behind one socket.

The parent binds the socket, starts the workers, replaces those that die, and answers nothing itself. Each worker loads the
artefact and has its own breakers, its own memory of conversations, and its own connections to the providers. What they
measure comes together in a folder of this run, so that any of them can tell the metrics of all; what a dead worker had
counted stays counted.
"""

import multiprocessing
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import structlog
import uvicorn
from prometheus_client.multiprocess import mark_process_dead
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from learnedrouter.config import Settings
from learnedrouter.errors import ConfigError, LearnedRouterError
from learnedrouter.service import garbage
from learnedrouter.service.app import create_app
from learnedrouter.service.logs import configure_logging
from learnedrouter.sinks.meters.base import SHARED_FOLDER_ENV

_FAILURE = "failure.txt"
"""Where a worker that cannot serve says why."""


@contextmanager
def shared_folder() -> Iterator[Path]:
    """Give a fresh folder for the metrics of the workers that are started in it, and remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="learnedrouter-metrics-") as name:
        before = os.environ.get(SHARED_FOLDER_ENV)
        os.environ[SHARED_FOLDER_ENV] = name  # workers are spawned: prometheus-client reads it when they import it
        try:
            yield Path(name)
        finally:
            if before is None:
                del os.environ[SHARED_FOLDER_ENV]
            else:
                os.environ[SHARED_FOLDER_ENV] = before


def serve_workers(config: uvicorn.Config, listening: socket.socket, folder: Path) -> None:
    """Serve with `config.workers` processes until told to stop.

    Raises
    ------
    LearnedRouterError
        The workers cannot use the artefact or the configuration.
    """
    _Supervisor(config, sockets=[listening]).run()
    if (failure := folder / _FAILURE).exists():
        raise ConfigError(failure.read_text(encoding="utf-8"))


def worker_app(settings: Settings, folder: Path) -> ASGIApp:
    """Return the application of one worker; called in its process."""
    garbage.collect_nothing_yet()
    configure_logging(settings)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()

    def stop(error: LearnedRouterError) -> NoReturn:
        (folder / _FAILURE).write_text(str(error), encoding="utf-8")
        os._exit(STARTUP_FAILURE)  # by which the supervisor knows that another worker would fail alike

    return create_app(settings, stop)


class _Supervisor(Multiprocess):
    """uvicorn's, which also says who died, and takes what only a living worker can measure out of the metrics."""

    def keep_subprocess_alive(self) -> None:
        """See `Multiprocess`."""
        before = {process.pid for process in self.processes}
        super().keep_subprocess_alive()
        for pid in before - {process.pid for process in self.processes}:
            structlog.get_logger("learnedrouter").warning("a worker died and is replaced", pid=pid)
            mark_process_dead(pid)  # type: ignore[no-untyped-call]  # prometheus-client has no types there


def _end_with_the_parent() -> None:
    """Stop this worker once the parent is gone, killed without a chance to say so: it would go on holding the port."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
