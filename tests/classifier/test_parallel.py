"""Tasks on other workers; nothing here may wait without end, so every story has its time."""

import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from queue import Queue
from threading import Lock, Thread
from typing import Any

import pytest
from dask.distributed import LocalCluster

from learnedrouter.errors import InputError
from learnedrouter.training.parallel import Backend, Workers, run, workers

SECONDS = 60


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Two workers, each a process of its own, at the address that the environment names."""
    with (
        pytest.MonkeyPatch.context() as environment,
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", memory_limit=0) as found,
    ):
        environment.setenv("DASK_SCHEDULER_ADDRESS", found.scheduler_address)
        yield found


def outcome(chosen: Workers, function: Callable[[Any, Any], Any], shared: object, parts: list[Any]) -> Any:
    """Return what `run` gives, or the error that it raises."""
    found: Queue[Any] = Queue()

    def story() -> None:
        try:
            with workers(chosen):
                found.put(list(run(function, shared, parts)))
        except Exception as error:
            found.put(error)

    Thread(target=story, daemon=True).start()
    return found.get(timeout=SECONDS)


def where(shared: object, part: object) -> tuple[int, int]:
    """Return which process ran the task, and which object it was given."""
    return os.getpid(), id(shared)


class NotHere:
    """Does not unpickle."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.remove, ("/no such file",)


def test_a_cluster_runs_what_threads_run(cluster: LocalCluster) -> None:
    """Tasks go to the Dask cluster that the environment names, and a worker unpickles what they share once."""
    found = outcome(Workers("dask"), where, list(range(1_000)), list(range(20)))

    pids = {pid for pid, _ in found}
    assert os.getpid() not in pids
    assert len(set(found)) == len(pids)


@pytest.mark.parametrize("backend", ["threading", "loky", "dask"])
def test_results_come_in_order_from_any_workers(cluster: LocalCluster, backend: Backend) -> None:
    """Whoever is done first."""
    assert outcome(Workers(backend, 2), pow, 2, list(range(20))) == [2**part for part in range(20)]


def test_without_workers_tasks_run_here() -> None:
    """One by one."""
    assert list(run(pow, 2, range(3))) == [1, 2, 4]


@pytest.mark.parametrize("backend", ["loky", "dask"])
def test_what_cannot_be_sent_is_named(cluster: LocalCluster, backend: Backend) -> None:
    """At once, with what to do; joblib's Dask backend would wait for it without end."""
    error = outcome(Workers(backend), where, Lock(), [1])

    assert isinstance(error, InputError)
    assert str(error).startswith("lock: cannot be sent to workers that are other processes")
    assert str(error).endswith("train with --backend threading")


@pytest.mark.parametrize(("function", "part", "error"), [(divmod, 0, ZeroDivisionError), (where, NotHere(), RuntimeError)])
def test_a_failing_task_is_an_error(cluster: LocalCluster, function: Callable[[Any, Any], Any], part: object, error: type) -> None:
    """Whether its function fails or the cluster with it; the same cluster goes on."""
    assert isinstance(outcome(Workers("dask"), function, 1, [part]), error)
    assert outcome(Workers("dask"), pow, 2, [3]) == [8]


@pytest.mark.filterwarnings("ignore:.*Mismatched versions")  # Dask sees it too
def test_workers_of_another_version_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is sent to them."""
    older = "import distributed.versions\ndistributed.versions.version = lambda package: '0.0.1'\n"  # the worker runs it before all else
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0", memory_limit=0, preload=older) as other:
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", other.scheduler_address)
        error = outcome(Workers("dask"), pow, 2, [3])

    assert isinstance(error, InputError)
    assert "has learnedrouter 0.0.1, expected " in str(error)


def test_a_cluster_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the variable that names it."""
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "nowhere")
    with pytest.raises(InputError, match="DASK_SCHEDULER_ADDRESS=nowhere: no Dask scheduler answers there"), workers(Workers("dask")):
        pass


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_a_backend_that_is_not_installed_is_named() -> None:
    """With what to install."""
    message = "--backend ray: needs a package that is not installed; pip install 'ray'"
    with pytest.raises(InputError, match=message), workers(Workers("ray")):
        pass
