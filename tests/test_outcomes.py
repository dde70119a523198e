"""Outcomes as data: reading them, and the patterns that they make."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from learnedrouter.errors import DatasetError, InputError
from learnedrouter.training import outcomes, patterns
from learnedrouter.training.examples import Outcomes
from learnedrouter.training.outcomes import OutcomeLadder
from tests.outcome_world import rows, write

FINE = {"id": "a", "prompt": "hi", "outcomes": {"small": 0.0, "big": 1}}
LADDER = OutcomeLadder.parse("weak=small, strong=big")

BAD_ROWS: list[tuple[dict[str, Any], str]] = [
    (FINE | {"outcomes": {"small": 1.2, "big": 1}}, r"outcome of 'small' is 1.2; expected a number in \[0, 1\]"),
    (FINE | {"outcomes": {"small": -0.1, "big": 1}}, "outcome of 'small' is -0.1"),
    (FINE | {"outcomes": {"small": float("nan"), "big": 1}}, "outcome of 'small' is nan"),
    (FINE | {"outcomes": {"small": True, "big": 1}}, "outcome of 'small' is True"),
    (FINE | {"outcomes": {"small": "0.5", "big": 1}}, "outcome of 'small' is '0.5'"),
    (FINE | {"outcomes": {"big": 1}}, "expected an object of at least two models"),
    (FINE | {"outcomes": [0, 1]}, "expected an object of at least two models"),
    ({"id": "a", "prompt": "hi"}, "'outcomes' is None"),
    (FINE | {"outcomes": {"small": 0, "huge": 1}}, "has no outcome of 'big'; it has those of huge, small"),
    (FINE | {"prompt": " "}, "'prompt' is empty"),
    (FINE, "id 'a' stands at .*:1 already"),
]


@pytest.mark.parametrize(("bad", "problem"), BAD_ROWS)
def test_a_row_that_cannot_be_used_is_named(bad: dict[str, Any], problem: str, tmp_path: Path) -> None:
    """File, line, value, and what was expected."""
    path = tmp_path / "outcomes.jsonl"
    path.write_text(json.dumps(FINE) + "\n" + json.dumps(bad) + "\n")

    with pytest.raises(DatasetError, match=rf"outcomes.jsonl:2: .*{problem}"):
        outcomes.load([path], LADDER)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("weak=small", "at least two different"),
        ("weak=small,strong", "'strong' names no model"),
        ("weak=small,strong=", "'strong' names no model"),
        ("=small,strong=big", "non-empty tier names"),
        ("weak=small,weak=big", "at least two different"),
        ("weak=big,strong=big", "'big' stands for two tiers"),
    ],
)
def test_a_ladder_that_is_none_is_refused(text: str, problem: str) -> None:
    """Every tier has a name and a model of its own."""
    with pytest.raises(InputError, match=problem):
        OutcomeLadder.parse(text)


def test_the_ladder_orders_the_scores(tmp_path: Path) -> None:
    """Without one the models stand for themselves, the worst first; with one it may leave models out, and models may hold '='."""
    path = write(tmp_path / "o.jsonl", [{"id": "a", "prompt": "hi", "outcomes": {"x=2": 1, "best": 1, "worst": 0.1}}, FINE | {"id": "b"}])
    three = write(tmp_path / "three.jsonl", [{"id": "a", "prompt": "hi", "outcomes": {"x=2": 0.5, "best": 1, "worst": 0.1}}])

    (row,), ladder = outcomes.load([three])
    assert ladder.models == ladder.ladder.names == ("worst", "x=2", "best")
    assert row.scores == (0.1, 0.5, 1.0)
    (row,), ladder = outcomes.load([three], OutcomeLadder.parse("low=x=2,high=best"))
    assert ladder.by_tier() == {"low": "x=2", "high": "best"}
    assert row.scores == (0.5, 1.0)
    with pytest.raises(DatasetError, match=r"o.jsonl:2: has no outcome of 'worst'"):
        outcomes.load([path])


def test_equal_requests_are_one_group(tmp_path: Path) -> None:
    """The same question asked twice never lies in two splits; a group that is given comes first."""
    made = [FINE, FINE | {"id": "b", "prompt": " hi "}, FINE | {"id": "c", "group": "g"}, FINE | {"id": "d", "prompt": "ho"}]
    first, second, third, fourth = outcomes.load([write(tmp_path / "o.jsonl", made)])[0]

    assert first.group == second.group
    assert third.group == "g"
    assert fourth.group != first.group


def test_patterns_by_hand() -> None:
    """Three patterns occur often; their rows of class_scores are mean scores, the commonest first."""
    scores = np.array([[0.9, 0.7]] * 50 + [[0.1, 1.0]] * 30 + [[0.2, 0.4]] * 20)

    known = patterns.learn(scores)

    np.testing.assert_allclose(known.class_scores, [[0.9, 0.7], [0.1, 1.0], [0.2, 0.4]])
    assert np.bincount(known.classes(scores)).tolist() == [50, 30, 20]


def test_what_counts_as_acceptable_makes_the_patterns() -> None:
    """The score itself counts; a higher bar makes other patterns of the same scores."""
    scores = np.array([[0.5, 1.0]] * 40 + [[0.4, 1.0]] * 40)

    assert patterns.learn(scores, 0.5).accepted.tolist() == [[False, True], [True, True]]
    with pytest.raises(InputError, match="1 of the 1 patterns"):
        patterns.learn(scores, 0.6)
    with pytest.raises(InputError, match=r"--accept 1.5"):
        patterns.learn(scores, 1.5)


def test_rare_patterns_join_the_nearest() -> None:
    """Five rows that only the middle tier solves differ in one tier from 'middle and strong' and from 'none': the commoner gets them."""
    often = [[0, 1, 1]] * 60 + [[0, 0, 0]] * 40 + [[1, 1, 1]] * 50
    scores = np.array([*often, *([[0, 1, 0]] * 5)], dtype=np.float64)

    known = patterns.learn(scores)

    assert known.accepted.tolist() == [[False, True, True], [True, True, True], [False, False, False]]
    assert known.classes(scores)[-5:].tolist() == [0] * 5
    np.testing.assert_allclose(known.class_scores[0], [0, 1, 60 / 65])


def test_a_pattern_that_cannot_be_calibrated_is_rare() -> None:
    """What the held-out rows lack is merged, however often it was seen."""
    scores = np.array([[1, 1]] * 60 + [[0, 1]] * 40 + [[1, 0]] * 30, dtype=np.float64)

    known = patterns.learn(scores, held_out=scores[:100])

    assert known.accepted.tolist() == [[True, True], [False, True]]
    assert known.classes(scores)[-1] == 0


@given(arrays(np.float64, st.tuples(st.integers(100, 300), st.integers(2, 4)), elements=st.sampled_from([0.0, 0.3, 0.6, 1.0])))
def test_every_row_has_a_class_and_every_class_rows(scores: np.ndarray) -> None:
    """Whatever the scores: the classes' mean scores, weighted by their rows, are the mean scores of all."""
    try:
        known = patterns.learn(scores)
    except InputError:
        return
    classes = known.classes(scores)

    counts = np.bincount(classes, minlength=len(known.class_scores))
    assert counts.min() >= patterns.RARE_ROWS
    np.testing.assert_allclose(counts @ known.class_scores / len(scores), scores.mean(axis=0))


def test_a_task_holds_what_the_rows_say(tmp_path: Path) -> None:
    """Classes, acceptable tiers and fingerprints by split; the data's hash does not depend on the order of the rows."""
    made = rows(300)
    task = Outcomes((write(tmp_path / "a.jsonl", made),), LADDER).task()
    again = Outcomes((write(tmp_path / "b.jsonl", made[::-1]),), LADDER).task()

    assert task.ladder.names == ("weak", "strong")
    assert task.about["models"] == {"weak": "small", "strong": "big"}
    assert task.about["sha256"] == again.about["sha256"]
    assert sum(len(part.asks) for part in task.parts.values()) == 300
    train = task.parts["train"]
    common = (train.acceptable == (task.class_scores[train.classes] >= 0.5)).all(axis=1)
    assert common.mean() > 0.9  # the others are of rare patterns
    assert not set(train.fingerprints.tolist()) & set(task.parts["test"].fingerprints.tolist())


def test_a_ladder_upside_down_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    """There is nothing to gain where the strongest tier is the worse one."""
    path = write(tmp_path / "a.jsonl", rows(300))

    with pytest.raises(InputError, match=r"the strongest tier's mean score, .* is not above the cheapest's"):
        Outcomes((path,), OutcomeLadder.parse("weak=big,strong=small")).task()
