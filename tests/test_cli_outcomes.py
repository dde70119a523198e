"""The command line on outcomes, from a small made-up file to figures."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.outcome_world import rows, write
from tests.test_cli import run

LADDER = "bulk=small,complex=big"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("outcomes") / "world.jsonl", rows(400))


@pytest.fixture(scope="module")
def model(data: Path, embedding_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artefact trained on outcomes by the command."""
    out = tmp_path_factory.mktemp("models") / "outcomes"
    done = run("train", "--outcomes", data, "--ladder", LADDER, "--out", out, "--cache", embedding_cache, "--json")
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["report"]["ranking"]["this router"]["apgr"]["value"] > 0.6
    return out


def test_the_artefact_remembers_its_models(model: Path) -> None:
    """Manifest and card say which model stands for which tier, and what counted as acceptable."""
    manifest = json.loads((model / "manifest.json").read_text())

    assert manifest["ladder"] == ["bulk", "complex"]
    assert manifest["data"]["models"] == {"bulk": "small", "complex": "big"}
    assert manifest["data"]["accept"] == 0.5
    card = (model / "README.md").read_text()
    assert "requests with outcomes of small (bulk), big (complex)" in card
    assert "| this router |" in card


def test_evaluate_tune_and_decide(model: Path, data: Path, tmp_path: Path) -> None:
    """What was trained on outcomes is judged on them without naming a model again, tuned, and serves decisions."""
    evaluated = run("evaluate", "--artifact", model, "--outcomes", data, "--json")
    shown = run("evaluate", "--artifact", model, "--outcomes", data)
    new = write(tmp_path / "new.jsonl", rows(300, seed=1)[100:])
    tuned = run("tune", "--artifact", model, "--outcomes", data, "--max-under-route", "0.3", "--json")
    config = ("--config", ROOT / "router.toml", "--tokens-in", "1000", "--tokens-out", "100")
    priced = run("tune", "--artifact", model, "--outcomes", data, "--max-usd-per-1k", "4.00", *config, "--json")
    decided = run("decide", "--artifact", model, new)

    for done in (evaluated, shown, tuned, priced, decided):
        assert done.returncode == 0, done.stderr.decode()
    report = json.loads(evaluated.stdout)
    assert set(report["ranking"]["this router"]) == {"apgr", "cpt_50", "cpt_80", "share_at_95"}
    assert set(report["routing"]) == {"this router", "random", "oracle", "always cheapest", "always strongest"}
    assert report["rows"] < 100
    assert f"{400 - report['rows']} rows left out" in shown.stdout.decode()
    assert json.loads(tuned.stdout)["under_route_bound"] <= 0.3
    assert json.loads(priced.stdout)["usd_per_1k"] <= 4
    assert {json.loads(line)["tier"] for line in decided.stdout.splitlines()} <= {"bulk", "complex"}


def test_folds_judge_the_method(data: Path, embedding_cache: Path) -> None:
    """Without an artefact every row is judged, by a head that was fitted without it."""
    done = run("evaluate", "--outcomes", data, "--folds", "3", "--ladder", LADDER, "--cache", embedding_cache, "--json")

    assert done.returncode == 0, done.stderr.decode()
    report = json.loads(done.stdout)
    assert report["rows"] == 400
    assert report["threshold"] is None
    assert report["ranking"]["random"]["apgr"]["high"] < report["ranking"]["this router"]["apgr"]["value"]


def test_an_artefact_of_labels_is_judged_on_outcomes(artifact_folder: Path, data: Path) -> None:
    """It knows no models, so the ladder names them; only the tiers that it names are routed to."""
    done = run("evaluate", "--artifact", artifact_folder, "--outcomes", data, "--ladder", LADDER, "--json")

    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["models"] == {"bulk": "small", "complex": "big"}


BAD: list[tuple[list[Any], str]] = [
    (["train"], "expected either --data PATH or --outcomes PATH"),
    (["train", "--data", "{data}", "--outcomes", "{data}"], "expected either --data PATH or --outcomes PATH"),
    (["train", "--data", "{data}", "--accept", "0.7"], "--ladder and --accept: are about --outcomes"),
    (["train", "--outcomes", "{data}", "--accept", "0"], "--accept 0.0"),
    (["train", "--outcomes", "{data}", "--ladder", "a=small,b=huge"], "has no outcome of 'huge'; it has those of big, small"),
    (["train", "--outcomes", "{data}", "--ladder", "a=small"], "at least two different"),
    (["evaluate", "--outcomes", "{data}"], "expected --artifact DIR, or --folds N"),
    (["evaluate", "--artifact", "{labels}", "--outcomes", "{data}"], "was trained on labels, so it knows no models"),
    (["evaluate", "--artifact", "{labels}", "--outcomes", "{data}", "--ladder", "complex=small,bulk=big"], "are not in the order of"),
    (["evaluate", "--artifact", "{model}", "--outcomes", "{data}", "--folds", "5"], "expected neither --artifact"),
    (["evaluate", "--artifact", "{model}", "--data", "{data}", "--ladder", LADDER], "--ladder and --accept: are about --outcomes"),
    (["evaluate", "--outcomes", "{data}", "--folds", "1"], "--folds 1: expected at least 2"),
    (["tune", "--artifact", "{labels}", "--outcomes", "{data}", "--ladder", LADDER], "names no model for standard, structured"),
    (["tune", "--artifact", "{model}", "--outcomes", "{data}", "--max-usd-per-1k", "cheap"], "--max-usd-per-1k 'cheap'"),
    (["tune", "--artifact", "{model}", "--outcomes", "{data}", "--max-usd-per-1k", "0.01"], "infeasible: no threshold costs at most 0.01"),
    (
        ["tune", "--artifact", "{model}", "--outcomes", "{data}", "--max-usd-per-1k", "1", "--max-under-route", "0.1"],
        "expected one of them",
    ),
]


@pytest.mark.parametrize(("arguments", "problem"), BAD)
def test_bad_input_is_one_line_and_status_two(arguments: list[str], problem: str, model: Path, artifact_folder: Path, data: Path) -> None:
    """No traceback; the line says what was wrong with what."""
    done = run(*(argument.format(model=model, labels=artifact_folder, data=data) for argument in arguments))

    lines = done.stderr.decode().strip().splitlines()
    assert done.returncode == 2, done.stderr.decode()
    assert lines[-1].startswith("learnedrouter: ")
    assert problem in lines[-1]
    assert "Traceback" not in done.stderr.decode()
