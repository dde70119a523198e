"""A Dask cluster as joblib's workers.

joblib's own backend for Dask waits without end for a task that fails on the cluster itself and not in its function (it
cannot be unpickled there, or its worker dies again and again). Here such a failure is an error like any other.
"""

import os
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, cast

from dask.distributed import Client
from joblib._dask import DaskDistributedBackend

from learnedrouter.errors import InputError

ADDRESS = "DASK_SCHEDULER_ADDRESS"
"""The environment variable that names the cluster, as a scheduler's address: ``tcp://host:8786``."""

_WAIT_SECONDS = 60
"""For a first worker: a cluster that grows by need may have none yet."""

_NEEDED = ("learnedrouter", "numpy", "onnxruntime", "scikit-learn", "sentence-transformers", "torch")
"""What tasks are made of."""

_SAME = ("Python", "learnedrouter")
"""What must be of one version everywhere; the rest unpickles between versions, or says why not."""


class DaskWorkers(DaskDistributedBackend):  # type: ignore[misc]  # joblib ships no types
    """joblib's backend for Dask, and an error for every task that fails."""

    def submit(self, func: Any, callback: Any = None) -> Any:
        """Send a batch of tasks; `callback` is told how it ended, which joblib does for good ends only."""
        sent: Future[Any] = super().submit(func, callback)
        sent.add_done_callback(lambda done: callback(done.exception()) if done.exception() else None)
        return sent

    def retrieve_result_callback(self, out: Any) -> Any:
        """Return what a batch returned, or raise what became of it."""
        if isinstance(out, BaseException):
            raise out
        return super().retrieve_result_callback(out)


@contextmanager
def connected() -> Iterator[DaskWorkers]:
    """Connect to the cluster that the environment names, or start one on this machine for the time of the block.

    Raises
    ------
    InputError
        There is no such cluster, it has no workers, or a worker has not what tasks need.
    """
    address = os.environ.get(ADDRESS)
    try:
        client = Client(address)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise InputError(f"{ADDRESS}={address}: no Dask scheduler answers there ({error})") from error
    with client:
        workers = DaskWorkers(client=client, wait_for_workers_timeout=_WAIT_SECONDS)
        try:
            workers.effective_n_jobs(-1)
        except TimeoutError as error:
            raise InputError(f"{ADDRESS}={address}: the cluster has had no worker for {_WAIT_SECONDS} seconds") from error
        _refuse_other_versions(client)
        yield workers


def _refuse_other_versions(client: Client) -> None:
    found = cast("dict[str, Any]", client.get_versions(packages=list(_NEEDED)))
    here = _versions(found["client"])
    for name, worker in found["workers"].items():
        there = _versions(worker)
        for package, version in there.items():
            if version is None or (package in _SAME and version != here[package]):
                raise InputError(
                    f"--backend dask: the worker at {name} has {package} {version}, expected {here[package]} as here; "
                    "set it up as this environment: pip install 'learnedrouter[train]'"
                )


def _versions(machine: dict[str, Any]) -> dict[str, str | None]:
    """Return the versions of Python, without its patch level, and of the packages that tasks need; None of one that is missing."""
    packages: dict[str, str | None] = {name: machine["packages"][name] for name in _NEEDED}
    return {"Python": ".".join(machine["host"]["python"].split(".")[:2]), **packages}
