"""The house of the design: a file imports from no floor above its own, and some libraries have one room."""

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT

SOURCE = ROOT / "src" / "learnedrouter"
FLOORS = (
    ("errors", "chat", "arrival", "encoding"),
    ("tiers", "pricing", "dialects", "providers"),
    ("events", "ask", "classifier", "config", "price_settings", "rows"),
    ("planning", "conversations", "checking", "training", "recording", "budgets", "routed", "router", "sinks", "batch", "accounting"),
    ("service", "demo", "explain", "printing", "desk", "plots"),
    (
        *("cli", "cli_budgets", "cli_data", "cli_judge", "cli_options", "cli_savings", "cli_simulate", "cli_train", "cli_tune"),
        "__main__",
    ),
)
ONLY_IN = {
    "openai": ("providers/openai.py",),
    "anthropic": ("providers/anthropic.py",),
    "torch": ("training/",),
    "sentence_transformers": ("training/", "classifier/uncompiled.py"),  # the fallback for what does not compile
    "transformers": ("training/",),
    "fastapi": ("service/",),
    "opentelemetry": ("sinks/trace.py",),
    "typer": ("cli",),
}
FILES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def room(path: Path) -> str:
    return path.relative_to(SOURCE).with_suffix("").parts[0]


def floor(name: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS, 1) if name in rooms)


def imports(path: Path) -> set[str]:
    """Names of the modules that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_down(path: Path) -> None:
    """No file imports from a floor above its own; training and the service never meet."""
    own = room(path)
    for name in imports(path):
        if not (match := re.match(r"learnedrouter\.(\w+)", name)):
            continue
        other = match.group(1)
        assert floor(other) <= floor(own), f"{own} imports {other}, which is above it"
        assert {own, other} != {"training", "service"}


def module(path: Path) -> str:
    return ".".join(("learnedrouter", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")


@pytest.mark.parametrize("name_of", [room, module])
def test_no_circles(name_of: Callable[[Path], str]) -> None:
    """Rooms of one floor may know each other, and files of one room, but not in a circle."""
    known = {name_of(path): set[str]() for path in FILES}
    names = {module(path): name_of(path) for path in FILES}
    for path in FILES:
        others = {names.get(name) or names.get(name.rpartition(".")[0]) for name in imports(path)}
        known[name_of(path)] |= others & known.keys() - {name_of(path)}
    while leaves := [name for name, others in known.items() if not others & known.keys()]:
        for name in leaves:
            del known[name]

    assert not known, f"these import each other in a circle: {sorted(known)}"


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_stays_in_its_room(library: str) -> None:
    """An SDK is imported in its provider's file alone, torch only where training happens."""
    for path in FILES:
        used = {name.split(".")[0] for name in imports(path)}
        place = str(path.relative_to(SOURCE))
        assert library not in used or place.startswith(ONLY_IN[library]), f"{place} imports {library}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_files_can_be_read_whole(path: Path) -> None:
    """A file of more than some 300 lines is two rooms."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 320
