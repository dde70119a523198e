"""Tasks on other workers."""

import os
from collections.abc import Iterator
from importlib.util import find_spec

import pytest
from dask.distributed import LocalCluster
from joblib import delayed

from learnedrouter.errors import InputError
from learnedrouter.training.parallel import Workers, run, workers


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster of two workers, each a process of its own."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit=0) as cluster:
        yield cluster.scheduler_address


def test_a_cluster_runs_what_threads_run(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks go to the Dask cluster that the environment names, and their results come in order."""
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", cluster)
    with workers(Workers("dask", 2)):
        pids = set(run(delayed(os.getpid)() for _ in range(20)))

    assert pids
    assert os.getpid() not in pids


def test_results_come_in_order_from_any_workers() -> None:
    """Whoever is done first."""
    for chosen in (Workers("threading", 2), Workers("loky", 2)):
        with workers(chosen):
            assert list(run(delayed(pow)(number, 2) for number in range(20))) == [number**2 for number in range(20)]


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_a_backend_that_is_not_installed_is_named() -> None:
    """With what to install."""
    message = "--backend ray: needs a package that is not installed; pip install 'ray'"
    with pytest.raises(InputError, match=message), workers(Workers("ray")):
        pass
