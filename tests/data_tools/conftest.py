"""What these tests share: files of rows, and the command line as a user calls it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from learnedrouter.cli import main

Write = Callable[..., Path]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file: bytes and text as they are, objects as JSON lines."""

    def to(name: str, *content: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if len(content) == 1 and isinstance(content[0], bytes | str):
            path.write_bytes(content[0] if isinstance(content[0], bytes) else content[0].encode())
        else:
            path.write_text("".join(json.dumps(value, ensure_ascii=False) + "\n" for value in content), encoding="utf-8")
        return path

    return to


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs ``learnedrouter data ...`` and gives its exit status, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["learnedrouter", "data", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
