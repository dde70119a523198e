"""What is shipped is what it says it is: the data, the artefact, the configuration."""

from collections import Counter
from pathlib import Path

import pytest
from benchmarks import figures

from learnedrouter.classifier import artifact
from learnedrouter.config import load_settings
from learnedrouter.tiers import DEFAULT_LADDER
from learnedrouter.training import dataset
from learnedrouter.training.dataset import LabelledRow
from learnedrouter.training.examples import Labels
from tests.conftest import ROOT

SHIPPED = ROOT / "models" / "default"


@pytest.fixture(scope="module")
def rows() -> list[LabelledRow]:
    return dataset.load([ROOT / "data"], DEFAULT_LADDER)


def test_the_data_is_as_large_and_as_even_as_its_datasheet_says(rows: list[LabelledRow]) -> None:
    """At least 35,000 rows, and no tier is rare in any split: between 15 and 45 %, for `standard` is commonest in traffic."""
    assert len(rows) >= 35_000
    for part in dataset.split(rows).values():
        shares = Counter(row.tier for row in part)
        assert all(0.15 <= shares[tier] / len(part) <= 0.45 for tier in range(4))
    assert f"{len(rows):,} requests" in (ROOT / "data" / "README.md").read_text(encoding="utf-8")


def test_the_data_is_broad(rows: list[LabelledRow]) -> None:
    """Families, languages, lengths, conversations and envelopes, in every tier."""
    languages = Counter(row.language for row in rows)
    foreign = [count for language, count in languages.items() if language != "en"]
    assert sum(foreign) >= 0.1 * len(rows)
    assert sum(count >= 20 for count in foreign) >= 8
    for tier in range(4):
        own = [row for row in rows if row.tier == tier]
        assert len({row.family for row in own}) >= 12
        assert min(row.ask.characters for row in own) < 30
        assert max(row.ask.characters for row in own) > 5_000
        slices = Counter(name for row in own for name in row.slices)
        assert all(slices[name] >= 50 for name in ("pair", "misleading", "envelope", "multi_turn", "code", "long"))


def test_the_shipped_artefact_was_made_from_the_shipped_data() -> None:
    """Whoever changes the data trains anew: `make train`, or the command that the model card names."""
    manifest = artifact.read_manifest(SHIPPED)

    assert manifest.data["sha256"] == Labels((ROOT / "data",), DEFAULT_LADDER).task().about["sha256"]
    card = (SHIPPED / "README.md").read_text(encoding="utf-8")
    assert manifest.data["sha256"] in card
    assert manifest.data["command"] in card


def test_the_shipped_artefact_is_small_and_loads() -> None:
    """It fits into a repository, and into the configured ladder."""
    size = sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file())

    assert size < 30e6
    assert artifact.load(SHIPPED).ladder == load_settings(ROOT / "router.toml", offline=True).ladder


def test_the_readme_shows_the_figures_of_the_shipped_artefact() -> None:
    """Whoever ships another model runs `make figures`: name, threshold and every figure are those of its manifest."""
    manifest = artifact.read_manifest(SHIPPED)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = readme.split(figures.BEGIN)[1].split(figures.END)[0]

    assert f"`{manifest.name}` on the {manifest.data['test']} test requests, at its threshold {manifest.threshold['value']:g} " in shown
    for name, heading in figures.SHOWN.items():
        if name in manifest.metrics:
            assert f"| {heading} | {manifest.metrics[name]:.3f} |" in shown


def test_figures_change_nothing_beside_their_marks() -> None:
    """What stands around them stays; a text without them is refused."""
    new = f"{figures.BEGIN}\nnew\n{figures.END}"

    assert figures.written(f"above\n{figures.BEGIN}\nold\n{figures.END}\nbelow", new) == f"above\n{new}\nbelow"
    with pytest.raises(ValueError, match="found the marks 0 times"):
        figures.written("no marks", new)


@pytest.mark.parametrize("notebook", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.name)
def test_notebooks_are_committed_with_their_pictures(notebook: Path) -> None:
    """They can be read without being run."""
    assert "image/png" in notebook.read_text(encoding="utf-8")
