import pytest

from learnedrouter.config import Settings, load_settings
from tests.conftest import ROOT


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The shipped configuration with the shipped model, and no keys."""
    config = tmp_path_factory.mktemp("config") / "router.toml"  # elsewhere, so that no .env is beside it
    config.write_text((ROOT / "router.toml").read_text(encoding="utf-8"), encoding="utf-8")
    return load_settings(config, artifact=ROOT / "models" / "default")
