"""Where the work of training runs: joblib's backends, and nothing else.

Whatever can run side by side (chunks of texts to embed, candidates to fit) is a joblib task. Threads of this process by
default: encoders and solvers let go of the interpreter while they compute. `workers` puts the same tasks on processes, or on
a Dask or Ray cluster.

Workers that share no memory need share no files either: what all tasks have in common goes to them by its content, in one
array, which every backend handles well (Dask sends it to a worker once, joblib's processes map it into their memory), and a
worker unpickles it once. What it takes there is an installation of the same versions.
"""

import hashlib
import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Lock
from typing import Any, Literal, TypeVar, get_args

import joblib
import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed, parallel_config

from learnedrouter.errors import InputError

Backend = Literal["threading", "loky", "dask", "ray"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)

Shared = TypeVar("Shared")
Part = TypeVar("Part")
Result = TypeVar("Result")

_held: dict[str, Any] = {}
"""On a worker: what its tasks share just now, under its hash. One at a time, for an encoder may be large."""
_holding = Lock()


@dataclass(frozen=True, slots=True)
class Workers:
    """Where tasks run.

    Parameters
    ----------
    backend
        ``threading``, ``loky`` (processes of this machine), ``dask`` (the cluster that ``DASK_SCHEDULER_ADDRESS`` names, else
        one of this machine) or ``ray`` (the cluster that ``RAY_ADDRESS`` names, else one of this machine).
    jobs
        How many run at a time; None takes a job a core, or all workers of the cluster. A Dask cluster always takes all.
    """

    backend: Backend = "threading"
    jobs: int | None = None


THREADS = Workers()
"""A thread a core."""


@dataclass(frozen=True, slots=True)
class _Crew:
    """What `workers` has ready for `run`: joblib's, and whether its tasks see this process's memory."""

    parallel: Parallel
    shares_memory: bool


_crew: ContextVar[_Crew | None] = ContextVar("crew", default=None)


@contextmanager
def workers(chosen: Workers) -> Iterator[None]:
    """Let the tasks of `run` within the block run on the workers chosen.

    Only those tasks: what scikit-learn could run side by side takes milliseconds, and less than to send it anywhere.

    Raises
    ------
    InputError
        The backend's package is not installed, or there is no such cluster.
    """
    clustered = chosen.backend in ("dask", "ray")
    jobs = chosen.jobs or (-1 if clustered else joblib.cpu_count())
    with ExitStack() as stack:
        backend = stack.enter_context(_cluster(chosen.backend)) if clustered else chosen.backend
        how = "list" if backend == "ray" else "generator"  # Ray's backend has no other
        parallel = stack.enter_context(Parallel(jobs, backend=backend, return_as=how))
        token = _crew.set(_Crew(parallel, chosen.backend == "threading"))
        stack.callback(_crew.reset, token)
        yield


def run(function: Callable[[Shared, Part], Result], shared: Shared, parts: Iterable[Part]) -> Iterator[Result]:
    """Yield ``function(shared, part)`` for each of `parts`, in their order, as they are done; outside `workers`, one by one.

    Parameters
    ----------
    function
        To be found by its name in a module that workers can import.
    shared
        What all tasks need. It must pickle with all that it is made of: a worker may be on a machine without its files.

    Raises
    ------
    InputError
        `shared` cannot be pickled, and the workers are other processes.
    """
    crew = _crew.get()
    if crew is None:
        yield from (function(shared, part) for part in parts)
    elif crew.shares_memory:
        yield from crew.parallel(delayed(function)(shared, part) for part in parts)
    else:  # pickled here and now: where joblib's Dask backend fails to pickle a task, it waits for that task without end
        key, packed = _packed(shared)
        yield from crew.parallel(delayed(_on_worker)(function, key, packed, part) for part in parts)


def _packed(shared: object) -> tuple[str, npt.NDArray[np.uint8]]:
    """Return a hash of `shared` and its pickle."""
    try:
        content = pickle.dumps(shared, protocol=pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise InputError(
            f"{type(shared).__name__}: cannot be sent to workers that are other processes ({error}); train with --backend threading"
        ) from error
    return hashlib.blake2b(content, digest_size=16).hexdigest(), np.frombuffer(content, dtype=np.uint8)


def _on_worker(function: Callable[[Any, Part], Result], key: str, packed: npt.NDArray[np.uint8], part: Part) -> Result:
    with _holding:  # a worker's threads wait for the first of them to unpickle
        if key not in _held:
            _held.clear()
            _held[key] = pickle.loads(packed.data)
        shared = _held[key]
    with parallel_config(backend="sequential"):  # workers are busy with tasks; a task that put its own on them could wait for itself
        return function(shared, part)


@contextmanager
def _cluster(backend: Backend) -> Iterator[Any]:
    """Connect to a cluster, and yield what joblib knows it by."""
    try:
        if backend == "dask":
            from learnedrouter.training.dask_cluster import connected

            with connected() as connection:
                yield connection
        else:
            from ray.util.joblib import register_ray

            register_ray()
            yield "ray"
    except ImportError as error:
        package = "dask[distributed]" if backend == "dask" else "ray"
        raise InputError(f"--backend {backend}: needs a package that is not installed; pip install '{package}'") from error
