"""Where the work of training runs: joblib's backends, and nothing else.

Whatever can run side by side (chunks of texts to embed, candidates to fit) is a joblib task. Threads of this process by
default: encoders and solvers let go of the interpreter while they compute. `workers` puts the same tasks on processes, or on
a Dask or Ray cluster.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

import joblib
from joblib import Parallel, parallel_config

from learnedrouter.errors import InputError

Backend = Literal["threading", "loky", "dask", "ray"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)


@dataclass(frozen=True, slots=True)
class Workers:
    """Where tasks run.

    Parameters
    ----------
    backend
        ``threading``, ``loky`` (processes of this machine), ``dask`` (the cluster that ``DASK_SCHEDULER_ADDRESS`` names, else
        one of this machine) or ``ray`` (the cluster that ``RAY_ADDRESS`` names, else one of this machine).
    jobs
        How many run at a time; None takes a job a core, or all workers of the cluster.
    """

    backend: Backend = "threading"
    jobs: int | None = None


THREADS = Workers()
"""A thread a core."""


@contextmanager
def workers(chosen: Workers) -> Iterator[None]:
    """Let the tasks of `run` within the block run on the workers chosen.

    Raises
    ------
    InputError
        The backend's package is not installed.
    """
    jobs = chosen.jobs or joblib.cpu_count()
    with ExitStack() as stack:
        if chosen.backend in ("dask", "ray"):
            jobs = chosen.jobs or -1
            stack.enter_context(_cluster(chosen.backend))
        stack.enter_context(parallel_config(backend=chosen.backend, n_jobs=jobs))
        yield


def run(tasks: Iterable[Any]) -> Iterator[Any]:
    """Yield what joblib's delayed `tasks` return, in their order, as they are done."""
    yield from Parallel(return_as="generator")(tasks)


@contextmanager
def _cluster(backend: Literal["dask", "ray"]) -> Iterator[None]:
    try:
        if backend == "dask":
            from dask.distributed import Client

            with Client(os.environ.get("DASK_SCHEDULER_ADDRESS")):  # type: ignore[no-untyped-call]  # else a cluster of its own
                yield
        else:
            from ray.util.joblib import register_ray

            register_ray()
            yield
    except ImportError as error:
        package = "dask[distributed]" if backend == "dask" else "ray"
        raise InputError(f"--backend {backend}: needs a package that is not installed; pip install '{package}'") from error
