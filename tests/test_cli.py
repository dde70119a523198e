import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from learnedrouter import cli_options
from learnedrouter.training import embed
from tests.conftest import ROOT
from tests.service.running import wait_until_ready

CLEAN = {key: value for key, value in os.environ.items() if not key.endswith("_API_KEY")}


def run(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "learnedrouter", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=300, check=False, cwd=ROOT, env=CLEAN)


def test_train_evaluate_tune_and_decide(small_data: Path, embedding_cache: Path, tmp_path: Path) -> None:
    """From a data folder to decisions by four commands; figures come as JSON where asked for."""
    out = tmp_path / "model"
    trained = run("train", "--data", small_data, "--out", out, "--cache", embedding_cache, "--json")
    evaluated = run("evaluate", "--artifact", out, "--data", small_data, "--json")
    shown = run("evaluate", "--artifact", out, "--data", small_data)
    tuned = run("tune", "--artifact", out, "--data", small_data / "test.jsonl", "--max-under-route", "0.5", "--json")
    requests = b'{"id": "one", "prompt": "hi"}\n\n{"id": 2, "messages": [{"role": "user", "content": "prove it"}]}\n'
    decided = run("decide", "--artifact", out, "-", stdin=requests)

    for done in (trained, evaluated, shown, tuned, decided):
        assert done.returncode == 0, done.stderr.decode()
    assert json.loads(trained.stdout)["report"]["rows"] == 60
    assert f"`learnedrouter train --data {small_data} --out {out}`" in (out / "README.md").read_text(encoding="utf-8")
    report = json.loads(evaluated.stdout)
    assert report["figures"]["macro_f1"]["low"] <= report["figures"]["macro_f1"]["value"] <= report["figures"]["macro_f1"]["high"]
    assert "360 rows left out" in shown.stdout.decode()
    assert "always strongest" in shown.stdout.decode()
    assert 0 <= json.loads(tuned.stdout)["threshold"] <= 1
    decisions = [json.loads(line) for line in decided.stdout.splitlines()]
    assert [decision["id"] for decision in decisions] == ["one", 2]
    assert set(decisions[0]) == {"id", "tier", "predicted_tier", "sufficiency", "confidence", "reasons", "encoder"}


BAD: list[tuple[list[Any], str]] = [
    (["evaluate", "--artifact", "no/such", "--data", "data"], "no/such: holds no artefact"),
    (["train", "--data", "no/such.jsonl"], "no/such.jsonl: does not exist"),
    (["train", "--data", "data", "--precision", "fp4"], "--precision 'fp4': expected fp32 or int8"),
    (["train", "--data", "data", "--out", "{tmp}/x", "--encoder", "no/such"], "encoder 'no/such'"),
    (["decide", "--artifact", "{artifact}", "no-such.jsonl"], "no-such.jsonl: No such file"),
    (["tune", "--artifact", "{artifact}", "--data", "{data}/test.jsonl", "--max-under-route", "7"], "--max-under-route 7"),
    (["tune", "--artifact", "{artifact}", "--data", "{data}/test.jsonl", "--max-under-route", "0.0001"], "infeasible"),
    (["evaluate", "--artifact", "{artifact}", "--data", "{data}/train.jsonl"], "was trained on every row"),
    (["serve", "--config", "no-such.toml"], "no-such.toml: does not exist"),
    (["serve", "--artifact", "no/such", "--port", "0"], "no/such: holds no artefact"),
    (["demo", "--url", "http://127.0.0.1:9"], "no service answers there"),
]


@pytest.mark.parametrize(("arguments", "problem"), BAD)
def test_bad_input_is_one_line_and_status_two(
    arguments: list[str], problem: str, artifact_folder: Path, small_data: Path, tmp_path: Path
) -> None:
    """No traceback; the line says what and where."""
    filled = [argument.format(artifact=artifact_folder, data=small_data, tmp=tmp_path) for argument in arguments]
    done = run(*filled)

    last = done.stderr.decode().strip().splitlines()[-1]
    assert done.returncode == 2, done.stderr.decode()
    assert last.startswith("learnedrouter: ")
    assert problem in last
    assert "Traceback" not in done.stderr.decode()


def test_the_commands_defaults_are_the_trainings() -> None:
    """They are written down twice, so that a command that trains nothing starts at once."""
    assert (cli_options.DEFAULT_CACHE, cli_options.DEFAULT_MAX_TOKENS) == (embed.DEFAULT_CACHE, embed.DEFAULT_MAX_TOKENS)


def test_a_bad_line_in_a_batch_is_named(artifact_folder: Path) -> None:
    """File and line, as everywhere."""
    done = run("decide", "--artifact", artifact_folder, "-", stdin=b'{"prompt": "fine"}\n{"prompt": ""}\n')

    assert done.returncode == 2
    assert "learnedrouter: -:2: 'prompt' is empty" in done.stderr.decode()


def test_serve_and_demo(artifact_folder: Path) -> None:
    """A served artefact answers the demo's dozen requests; the banner says that no key is set."""
    command = [sys.executable, "-m", "learnedrouter", "serve", "--artifact", str(artifact_folder), "--port", "8917"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, cwd=ROOT, env=CLEAN) as service:
        try:
            with httpx2.Client(base_url="http://127.0.0.1:8917") as http:
                wait_until_ready(http)
            shown = run("demo", "--url", "http://127.0.0.1:8917")
            rows = json.loads(run("demo", "--url", "http://127.0.0.1:8917", "--json").stdout)
        finally:
            service.terminate()
        log = service.stderr.read().decode() if service.stderr else ""

    assert shown.returncode == 0, shown.stderr.decode()
    assert "confidence" in shown.stdout.decode()
    assert len(rows) == 12
    assert all(row["cost_usd"] <= row["baseline_usd"] for row in rows)
    assert "OFFLINE" in log.splitlines()[0]
