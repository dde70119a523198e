"""The same training on other workers."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from dask.distributed import LocalCluster
from joblib import delayed

from learnedrouter.classifier import artifact
from learnedrouter.classifier.model import TierClassifier
from learnedrouter.errors import InputError
from learnedrouter.tiers import DEFAULT_LADDER
from learnedrouter.training import dataset
from learnedrouter.training.examples import Labels
from learnedrouter.training.parallel import Backend, Workers, run, workers
from learnedrouter.training.pipeline import TrainingPlan, train
from tests.test_training import quiet


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster of two workers, each a process of its own."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit=0) as cluster:
        yield cluster.scheduler_address


def trained(model: Path, data: Path, out: Path, backend: Backend) -> TierClassifier:
    plan = TrainingPlan(
        Labels((data,), DEFAULT_LADDER), out, str(model), "static", 64, cache=out.parent / f"cache-{backend}", workers=Workers(backend, 2)
    )
    train(plan, quiet)
    return artifact.load(out)


def test_a_cluster_trains_what_threads_train(
    cluster: str, tiny_model: Path, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Distilling, embedding and fitting on a Dask cluster of two workers give the same decisions."""
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", cluster)
    asks = [row.ask for row in dataset.load([small_data / "test.jsonl"], DEFAULT_LADDER)]

    here, there = (trained(tiny_model, small_data, tmp_path / backend, backend) for backend in ("threading", "dask"))

    np.testing.assert_allclose(there.assess(asks).sufficiency, here.assess(asks).sufficiency, atol=1e-4)


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
