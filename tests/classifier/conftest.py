from pathlib import Path

import pytest

from tests.tiny import make_model


@pytest.fixture(scope="session")
def tiny_model(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small sentence-transformers model."""
    return make_model(tmp_path_factory.mktemp("tiny"), (small_data / "train.jsonl").read_text(encoding="utf-8"))
