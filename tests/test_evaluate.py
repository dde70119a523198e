from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from learnedrouter.classifier.assessment import Assessment, label_scores, needed
from learnedrouter.tiers import DEFAULT_LADDER
from learnedrouter.training.calibration import calibration_error, reliability, table
from learnedrouter.training.dataset import LabelledRow
from learnedrouter.training.evaluate import bootstrap, macro_f1, report, spared
from tests.made import labelled


def row(tier: int, place: int, text: str = "ask") -> LabelledRow:
    return labelled(f"r{place}", place, tier=tier, text=text)


def assessment(probabilities: np.ndarray) -> Assessment:
    rows, scores = len(probabilities), label_scores(4)
    return Assessment(
        sufficiency=probabilities @ scores,
        tokens=np.ones(rows, dtype=np.intp),
        truncated=np.zeros(rows, dtype=np.bool_),
        unfamiliar=np.zeros(rows, dtype=np.bool_),
        probabilities=probabilities,
        needed=needed(probabilities, scores),
        embeddings=(np.zeros(0, dtype=np.float32),) * rows,
        answered_by=("onnx",) * rows,
    )


def test_a_perfect_classifier_has_perfect_figures() -> None:
    """Nothing under-routed, nothing over-routed, everything spared that can be."""
    needed = [0, 1, 2, 3] * 10
    found = report(assessment(np.eye(4)[needed]), [row(tier, n) for n, tier in enumerate(needed)], DEFAULT_LADDER, 0.9)

    values = {name: figure.value for name, figure in found.figures.items()}
    assert values == {
        "accuracy": 1,
        "macro_f1": 1,
        "acceptable": 1,
        "under_route": 0,
        "over_route": 0,
        "spared": 1,
        "calibration_error": 0,
        "unfamiliar": 0,
    }
    assert found.errors == []
    assert found.controls["always cheapest"]["under_route"] == 0.75
    assert found.controls["always strongest"] == {"under_route": 0, "over_route": 0.75, "spared": 0}


def test_the_random_control_has_the_same_shares() -> None:
    """It sends as many requests to each tier, and only so is a fair comparison."""
    rng = np.random.default_rng(0)
    needed = rng.integers(0, 4, 200).tolist()
    found = report(assessment(rng.dirichlet(np.ones(4), 200)), [row(tier, n) for n, tier in enumerate(needed)], DEFAULT_LADDER, 0.7)

    assert found.controls["random, same tier shares"]["under_route"] >= found.controls["this router"]["under_route"] - 0.1


def test_errors_are_listed_the_surest_first() -> None:
    """The table of wrong cases begins with those that the classifier was most wrong about."""
    probabilities = np.array([[0.6, 0.4, 0, 0], [0.9, 0.1, 0, 0], [1.0, 0, 0, 0], [0, 0.2, 0, 0.8]])
    found = report(assessment(probabilities), [row(1, 0), row(1, 1), row(0, 2), row(1, 3)], DEFAULT_LADDER, 0.5)

    assert [(error["id"], error["surety"]) for error in found.errors] == [("r1", 0.9), ("r3", 0.8), ("r0", 0.6)]


def test_calibration_error_by_hand() -> None:
    """Four rows that claim 80 % at the cheapest tier, of which two are right: off by 30 points there, and right above."""
    sufficiency = np.array([[0.8, 1.0, 1.0, 1.0]] * 4)
    needed = np.array([0, 0, 1, 1])

    assert calibration_error(sufficiency, needed) == pytest.approx(0.3 / 3)


def test_macro_f1_and_spared_by_hand() -> None:
    """Two tiers of F1 2/3 each; of three rows that could be spared the top tier, two were."""
    assert macro_f1(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])) == pytest.approx(0.5)
    assert spared(np.array([0, 1, 2, 3]), np.array([0, 3, 2, 3]), 3) == pytest.approx(2 / 3)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_macro_f1_is_scikit_learns(drawn: list[tuple[int, int]]) -> None:
    """Whatever was needed and predicted, over the tiers that were needed."""
    needed, predicted = np.array(drawn).T

    assert macro_f1(needed, predicted) == pytest.approx(f1_score(needed, predicted, labels=np.unique(needed), average="macro"))


def test_a_bootstrap_interval_holds_its_value() -> None:
    """It is wide for few rows and narrow for many, and the same for the same seed."""
    values = np.random.default_rng(3).random(2_000)
    few = bootstrap(lambda at: float(values[at % 50].mean()), 50, 0)
    many = bootstrap(lambda at: float(values[at].mean()), 2_000, 0)

    assert few.low < few.value < few.high
    assert many.high - many.low < (few.high - few.low) / 3
    assert many == bootstrap(lambda at: float(values[at].mean()), 2_000, 0)


def test_classes_that_need_the_same_tier_pool_their_probability() -> None:
    """Outcome patterns: 'both are right' and 'none is' need the cheap tier, and count together."""
    scores = np.array([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0]])

    assert needed(np.array([[0.3, 0.4, 0.3]]), scores).argmax(axis=1).tolist() == [0]


@pytest.mark.parametrize(
    ("scores", "accept", "expected"),
    [
        ([[0.95, 0.96]], 0.5, 0),  # a hair better is no need
        ([[0.3, 0.9]], 0.5, 1),
        ([[0.3, 0.9]], 0.25, 0),
        ([[0.6, 0.9]], 0.8, 1),
        ([[0.1, 0.4]], 0.5, 0),  # nobody solves it: paying more helps nothing
        ([[0.2, 0.7, 0.9]], 0.5, 1),
    ],
)
def test_with_graded_scores_the_cheapest_acceptable_tier_is_needed(scores: list[list[float]], accept: float, expected: int) -> None:
    """What is acceptable is what training was told so, not what scores best."""
    assert needed(np.ones((1, 1)), np.array(scores), accept).argmax(axis=1).tolist() == [expected]


def test_an_unfamiliar_row_is_judged_as_it_is_served() -> None:
    """It goes to the top tier, so it is never under-routed; the share of such rows is a figure."""
    rows = [row(1, 0), row(1, 1)]
    sure = assessment(np.array([[1.0, 0, 0, 0], [1.0, 0, 0, 0]]))

    found = report(replace(sure, unfamiliar=np.array([True, False])), rows, DEFAULT_LADDER, 0.9)

    values = {name: figure.value for name, figure in found.figures.items()}
    assert (values["under_route"], values["over_route"], values["unfamiliar"]) == (0.5, 0.5, 0.5)


def test_the_reliability_curve_by_hand() -> None:
    """Bins that are not empty, with what was claimed and what was true; before and after stand side by side."""
    sufficiency, needed = np.array([[0.81, 1.0], [0.83, 1.0], [0.1, 1.0]]), np.array([0, 1, 1])

    low, high = reliability(sufficiency, needed)

    assert (low.points, low.claimed, low.observed) == (1, pytest.approx(0.1), 0)
    assert (high.points, high.claimed, high.observed) == (2, pytest.approx(0.82), 0.5)
    assert high.low == pytest.approx(0.8)
    assert "| 0.80 - 0.87 | 2 | 0.820 | 0.500 | 0 |  |  |" in table({"before": [high], "after": [low]})
