"""What the tests share: one small artefact, trained once on the shipped data with the real encoder."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports the hub's client
os.environ.pop("COLUMNS", None)  # pytest-xdist sets it: what is printed is as wide however the tests are started

from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis
import pytest

from learnedrouter.classifier import artifact
from learnedrouter.classifier.model import TierClassifier
from learnedrouter.config import Settings, load_settings
from learnedrouter.tiers import DEFAULT_LADDER
from learnedrouter.training.examples import Labels
from learnedrouter.training.pipeline import TrainingPlan, train
from tests.databases import engine, postgres_server
from tests.made import quiet

LEDGERS = TemporaryDirectory(prefix="learnedrouter-")
"""Where services that are not told otherwise keep their ledgers, those in processes of their own included."""
os.environ["LEARNEDROUTER_LEDGER__URL"] = f"sqlite:///{LEDGERS.name}/ledger.db"

hypothesis.settings.register_profile("untimed", deadline=None)  # how long an example takes says more of the machine than of the code
hypothesis.settings.load_profile("untimed")

__all__ = ["engine", "postgres_server"]  # fixtures for every folder under this one

ROOT = Path(__file__).parents[1]
ROWS_OF_EACH_SPLIT = {"train": 240, "validation": 120, "test": 60}


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first short rows of each shipped split."""
    folder = tmp_path_factory.mktemp("data")
    for name, count in ROWS_OF_EACH_SPLIT.items():
        lines = (ROOT / "data" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        short = [line for line in lines if len(line) < 500][:count]
        (folder / f"{name}.jsonl").write_text("\n".join(short) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def embedding_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def artifact_folder(small_data: Path, embedding_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained artefact; tests that change it work on a copy."""
    folder = tmp_path_factory.mktemp("models") / "small"
    train(TrainingPlan(Labels((small_data,), DEFAULT_LADDER), folder, cache=embedding_cache), quiet)
    return folder


@pytest.fixture(scope="session")
def classifier(artifact_folder: Path) -> TierClassifier:
    return artifact.load(artifact_folder)


@pytest.fixture(scope="session")
def settings(artifact_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The shipped configuration with the small artefact, and no keys."""
    config = tmp_path_factory.mktemp("config") / "router.toml"  # elsewhere, so that no .env is beside it
    config.write_text((ROOT / "router.toml").read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.MonkeyPatch.context() as environment:
        for key in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "DEEPSEEK_API_KEY"):
            environment.delenv(key, raising=False)
        return load_settings(config, artifact=artifact_folder)
