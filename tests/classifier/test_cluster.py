"""A whole training on a Dask cluster of two workers, by the command, beside the same training on threads."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from dask.distributed import LocalCluster
from threadpoolctl import threadpool_limits

from learnedrouter.ask import Ask
from learnedrouter.classifier import artifact
from learnedrouter.tiers import DEFAULT_LADDER
from learnedrouter.training.examples import Labels, Outcomes
from learnedrouter.training.pipeline import TrainingPlan, train
from tests import outcome_world
from tests.conftest import ROOT
from tests.test_training import quiet

SECONDS = 150
"""A training that hangs is killed; one that does not takes a tenth of it."""

TEXTS = ["hi", "Prove it.", "please translate the sentence", "What is the capital of Alia?", "the word " * 500]


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Two workers, each a process of its own."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", memory_limit=0) as found:
        yield found


def test_labels_train_a_cascade(cluster: LocalCluster, small_data: Path, tiny_model: Path, tmp_path: Path) -> None:
    """Transformer, distillation, static vectors and both heads: all that a training sends anywhere."""
    plan = TrainingPlan(Labels((small_data,), DEFAULT_LADDER), tmp_path / "here", str(tiny_model), "cascade", cache=tmp_path / "cache")

    train_by_command(cluster, tmp_path / "there", "--data", small_data, "--encoder", f"cascade:{tiny_model}")
    with threadpool_limits(1):
        train(plan, quiet)

    assert_alike(tmp_path / "there", plan.out)


def test_outcomes_train_a_static_encoder(cluster: LocalCluster, tiny_model: Path, tmp_path: Path) -> None:
    """The same way, on what models got right."""
    data = outcome_world.write(tmp_path / "world.jsonl", outcome_world.rows(400))
    plan = TrainingPlan(Outcomes((data,)), tmp_path / "here", str(tiny_model), "static", cache=tmp_path / "cache")

    train_by_command(cluster, tmp_path / "there", "--outcomes", data, "--encoder", f"static:{tiny_model}")
    with threadpool_limits(1):
        train(plan, quiet)

    assert_alike(tmp_path / "there", plan.out)


def train_by_command(cluster: LocalCluster, out: Path, *arguments: str | Path) -> None:
    """Train on the cluster, and see that its workers were asked."""
    places = ("--out", str(out), "--cache", str(out.parent / "cache-there"))
    command = [sys.executable, "-m", "learnedrouter", "train", *map(str, arguments), *places, "--backend", "dask"]
    environment = os.environ | {"DASK_SCHEDULER_ADDRESS": cluster.scheduler_address, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False, cwd=ROOT, env=environment)

    assert done.returncode == 0, done.stderr.decode()
    assert any("_on_worker" in name for name in cluster.scheduler.task_prefixes)


def assert_alike(there: Path, here: Path) -> None:
    """Assert that nobody can tell two artefacts apart by what they decide or promise."""
    asks = [Ask(text, "", len(text), 1, False) for text in TEXTS]
    ours, theirs = artifact.load(here), artifact.load(there)

    assert theirs.threshold == ours.threshold
    np.testing.assert_allclose(theirs.assess(asks).sufficiency, ours.assess(asks).sufficiency, atol=1e-6)
    assert artifact.read_manifest(there).metrics == pytest.approx(artifact.read_manifest(here).metrics, abs=1e-6)
