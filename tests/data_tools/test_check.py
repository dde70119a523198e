"""``data check``: what is in a data set, what is wrong, what looks wrong."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnedrouter.classifier.features import FloatArray
from learnedrouter.tiers import DEFAULT_LADDER
from learnedrouter.training.check import check
from learnedrouter.training.dataset import LabelledRow
from learnedrouter.training.neighbours import closest_differing, near_pairs
from tests.data_tools.conftest import Run, Write


def row(identity: str, prompt: str, tier: str = "bulk", **others: Any) -> dict[str, Any]:
    return {"id": identity, "prompt": prompt, "tier": tier, **others}


def by_first_word(rows: Sequence[LabelledRow]) -> FloatArray:
    """Embeddings in which asks with one first word are the same, and all others have nothing in common."""
    names = sorted({row.ask.text.split()[0] for row in rows})
    return np.eye(len(names), dtype=np.float32)[[names.index(row.ask.text.split()[0]) for row in rows]]


def test_the_counts_are_a_grid_of_tiers(write: Write) -> None:
    """Each heading counts every row by its tier; a row counts once in each of its slices."""
    path = write(
        "rows.jsonl",
        row("a", "one two three", language="de", slices=["typo", "long"], family="title"),
        row("b", "word " * 50, "complex", language="en", slices=["typo"], family="proof"),
        row("c", "x y", "complex"),
    )

    found = check([path], DEFAULT_LADDER, None)

    assert (found.rows, found.errors, found.tiers) == (3, 0, {"bulk": 1, "structured": 0, "standard": 0, "complex": 2})
    flat = {heading: {name: sum(tiers.values()) for name, tiers in names.items()} for heading, names in found.counts.items()}
    assert flat["slice"] == {"typo": 2, "long": 1, "none": 1}
    assert flat["language"] == {"de": 1, "en": 1, "unknown": 1}
    assert flat["family"] == {"proof": 1, "title": 1, "unknown": 1}
    assert flat["words"] == {"0 to 4": 2, "40 to 119": 1}
    assert sum(flat["split"].values()) == 3
    assert found.counts["slice"]["typo"] == {"bulk": 1, "structured": 0, "standard": 0, "complex": 1}
    assert set(found.skipped) == {"near-duplicates", "suspicious labels"}


def test_a_long_ask_counts_its_words_before_the_cut(write: Write) -> None:
    """The middle of a long ask is not kept, but it is counted."""
    found = check([write("rows.jsonl", row("a", "word " * 5_000))], DEFAULT_LADDER, None)

    assert list(found.counts["words"]) == ["2,000 and more"]


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        ({"train": [row("a", "same x")], "test": [row("b", "same y")]}, "leakage"),
        ({"train": [row("a", "same x"), row("b", "same y", "complex")]}, "conflicts"),
        ({"train": [row("a", "same x"), row("b", "same y")]}, "near_duplicates"),
        ({"train": [row("a", "same x"), row("b", "same y", "complex", acceptable=["bulk"])]}, "near_duplicates"),
        ({"train": [row("a", "same x", group="g"), row("b", "same y", "complex", group="g")]}, "variations"),
    ],
)
def test_a_near_duplicate_is_of_one_kind(write: Write, rows: dict[str, list[dict[str, Any]]], kind: str) -> None:
    """Across splits it leaks; with tiers that exclude each other it conflicts; within a group it is meant to be."""
    paths = [write(f"{name}.jsonl", *content) for name, content in rows.items()]

    found = check(paths, DEFAULT_LADDER, by_first_word).as_dict()

    sizes = {
        name: found[name] if name == "variations" else len(found[name])
        for name in ("leakage", "conflicts", "near_duplicates", "variations")
    }
    assert sizes == {name: int(name == kind) for name in sizes}
    assert found["errors"] == int(kind == "leakage")
    if kind != "variations":
        (pair,) = found[kind]
        assert (pair["cosine"], pair["shared_words"]) == (1.0, 0.3333)
        assert (pair["first"]["id"], pair["second"]["id"], pair["first"]["split"]) == ("a", "b", "train")


def test_a_group_in_two_splits_is_an_error_for_each_row(write: Write) -> None:
    """Every straddling row is listed, not only the first; training refuses such data altogether."""
    train = write("train.jsonl", row("a", "one", group="g"))
    test = write("test.jsonl", row("b", "two", group="g"), row("c", "three", group="g"), row("d", "four"))

    found = check([train, test], DEFAULT_LADDER, None)

    assert [entry["line"] for entry in found.straddling] == [1, 2]
    assert "group 'g' is in test here and in train at" in found.straddling[0]["problem"]
    assert found.errors == 2


def test_a_label_that_the_others_speak_against_is_suspicious(write: Write) -> None:
    """Of forty alike and forty of another kind, the one with the wrong label is found, and no other."""
    rows = [row(f"a{n}", f"translate thing {n}") for n in range(40)] + [row(f"b{n}", f"prove thing {n}", "complex") for n in range(40)]
    rows[7] = rows[7] | {"tier": "complex"}

    found = check([write("train.jsonl", *rows)], DEFAULT_LADDER, by_first_word)

    assert [(suspect["id"], suspect["tier"], suspect["predicted"]) for suspect in found.suspects] == [("a7", "complex", "bulk")]
    assert found.suspects[0]["label_probability"] < 0.05 < 0.9 < found.suspects[0]["predicted_probability"]


def test_an_acceptable_tier_is_not_suspicious(write: Write) -> None:
    """Where the annotators would also have taken what the model says, there is nothing to look at."""
    rows = [row(f"a{n}", f"translate thing {n}") for n in range(40)] + [row(f"b{n}", f"prove thing {n}", "complex") for n in range(40)]
    rows[7] = rows[7] | {"tier": "complex", "acceptable": ["bulk"]}

    assert check([write("train.jsonl", *rows)], DEFAULT_LADDER, by_first_word).suspects == []


def test_too_few_rows_for_suspicion_are_said(write: Write) -> None:
    """A small file is checked for what it allows."""
    found = check([write("rows.jsonl", row("a", "one"), row("b", "two", "complex"))], DEFAULT_LADDER, by_first_word)

    assert found.skipped == {"suspicious labels": "too few rows: a tier has 1 groups; expected at least 5 of each tier"}


def test_the_command_lists_all_problems_and_exits_2(run: Run, write: Write) -> None:
    """Every bad row is in the report, and one line on standard error sums up."""
    path = write(
        "rows.jsonl",
        row("a", "x"),
        row("a", "y"),
        row("b", "z", "huge"),
        row("c", " x "),
        row("d", "x", "complex"),
        {"id": "e", "tier": "bulk"},
    )

    status, out, err = run("check", path, "--no-embeddings")

    assert status == 2
    for problem in ("id 'a' stands at", "unknown tier 'huge'", "duplicate of", "the same request is labelled otherwise", "found neither"):
        assert problem in out
    assert err.splitlines()[-1].startswith(f"learnedrouter: {path}: 5 errors (5 unusable rows, 0 in groups")


def test_json_holds_everything_and_a_clean_set_exits_0(run: Run, write: Write) -> None:
    """The same findings for programs; without errors the status is 0."""
    path = write("train.jsonl", row("a", "x"), row("b", "[/bold] \x1b[31m prompt", "complex"))

    status, out, _ = run("check", path, "--no-embeddings", "--json")

    assert status == 0
    assert json.loads(out)["counts"]["split"] == {"train": {"bulk": 1, "structured": 0, "standard": 0, "complex": 1}}
    assert "\x1b[31m" not in run("check", path, "--no-embeddings")[1]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("empty.jsonl", "", "holds no rows; expected one JSON object a line"),
        ("gone.jsonl", None, "does not exist; expected a .jsonl file or a folder of them"),
        ("latin.jsonl", b'{"id": "caf\xe9"}\n', "1 errors (1 unusable rows"),
    ],
)
def test_a_file_that_cannot_be_checked_is_one_clear_error(
    run: Run, write: Write, tmp_path: Path, name: str, content: str | bytes | None, problem: str
) -> None:
    """Nothing to check is bad input as well."""
    path = write(name, content) if content is not None else tmp_path / name

    status, _, err = run("check", path, "--no-embeddings")

    assert status == 2
    assert problem in err


def test_near_duplicates_are_found_with_the_real_encoder(run: Run, write: Write) -> None:
    """A typo away is a near-duplicate; two long mails that differ in their last line alone are told apart by their tails."""
    mail = "Dear all, the delivery of the spare parts is late again and the customer is not amused. " * 60
    write(
        "train.jsonl",
        row("a", "jq: names of pods not Running from kubectl get pods -o json", "structured"),
        row("b", f"{mail}\nTranslate the subject."),
    )
    write(
        "test.jsonl",
        row("c", "jq: names of pods not Runing, from kubectl get pods -o json", "structured"),
        row("d", "Why is the sky blue?", "standard"),
    )

    status, out, _ = run("check", "train.jsonl", "test.jsonl", "--json")

    assert status == 2
    found = json.loads(out)
    assert [(pair["first"]["id"], pair["second"]["id"]) for pair in found["leakage"]] == [("a", "c")]
    assert Path(".cache/embeddings").is_dir()


@given(st.integers(1, 40), st.integers(0, 2**31))
def test_pairs_are_what_a_plain_double_loop_finds(count: int, seed: int) -> None:
    """Chunks and triangles change nothing about which pairs there are."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels, groups = rng.integers(0, 3, count), rng.integers(0, 10, count)
    cosines = vectors @ vectors.T
    plain = {(i, j) for i in range(count) for j in range(i + 1, count) if cosines[i, j] > 0.9}
    differing = sorted(
        -float(cosines[i, j]) for i in range(count) for j in range(i + 1, count) if labels[i] != labels[j] and groups[i] != groups[j]
    )

    found = near_pairs(vectors, 0.9)
    closest = closest_differing(vectors, labels, groups, 4)

    assert {(pair.first, pair.second) for pair in found} == plain
    assert [pair.cosine for pair in found] == sorted((pair.cosine for pair in found), reverse=True)
    assert [-pair.cosine for pair in closest] == pytest.approx(differing[:4], abs=1e-5)


def test_pairs_are_found_across_chunks() -> None:
    """More rows than one chunk holds: twins far apart are found, and nothing else."""
    count = 6_000  # 8 M cells a chunk are 1,398 rows of 6,000
    vectors = np.random.default_rng(0).normal(size=(count, 64)).astype(np.float32)
    vectors[5_990] = vectors[3]
    vectors[2_900] = vectors[2_800]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)

    assert sorted((pair.first, pair.second) for pair in near_pairs(vectors)) == [(3, 5_990), (2_800, 2_900)]
    assert [(pair.first, pair.second) for pair in closest_differing(vectors, np.arange(count), np.arange(count), 2)] in (
        [(3, 5_990), (2_800, 2_900)],
        [(2_800, 2_900), (3, 5_990)],
    )
