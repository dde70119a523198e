import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnedrouter.errors import InputError
from learnedrouter.tiers import Ladder, choose_tier, decide_tier

probabilities = st.floats(0, 1, allow_nan=False)
sufficiencies = st.lists(probabilities, min_size=2, max_size=6)


@given(sufficiencies, probabilities, probabilities)
def test_a_higher_threshold_never_gives_a_lower_tier(sufficiency: list[float], one: float, other: float) -> None:
    """Raising the threshold keeps the tier or raises it, whatever the sufficiencies are."""
    low, high = sorted((one, other))

    assert choose_tier(sufficiency, low) <= choose_tier(sufficiency, high)


@given(sufficiencies, probabilities, st.data())
def test_min_and_max_tier_hold(sufficiency: list[float], threshold: float, data: st.DataObject) -> None:
    """The tier lies between the lowest and the highest allowed."""
    lowest = data.draw(st.integers(0, len(sufficiency) - 1))
    highest = data.draw(st.integers(lowest, len(sufficiency) - 1))

    assert lowest <= choose_tier(sufficiency, threshold, lowest=lowest, highest=highest) <= highest


@given(probabilities, probabilities, st.integers(2, 6))
def test_ties_go_cheap(value: float, threshold: float, tiers: int) -> None:
    """Where all tiers are equally good, the cheapest one is taken, at every threshold."""
    assert choose_tier([value] * tiers, threshold) == 0


@given(st.lists(st.floats(0.001, 1), min_size=2, max_size=6), probabilities)
def test_with_labels_the_rule_is_a_confidence_threshold(weights: list[float], threshold: float) -> None:
    """Where sufficiency is cumulative, the tier is the first whose probability of sufficing reaches the threshold."""
    total = sum(weights)
    cumulative = [sum(weights[: place + 1]) / total for place in range(len(weights))]

    tier = choose_tier(cumulative, threshold)

    assert cumulative[tier] >= threshold - 1e-6
    assert all(value < threshold + 1e-6 for value in cumulative[:tier])


@given(sufficiencies, probabilities)
def test_the_loss_of_quality_is_bounded(sufficiency: list[float], threshold: float) -> None:
    """The tier taken is never worse than the best one by more than one less the threshold."""
    assert max(sufficiency) - sufficiency[choose_tier(sufficiency, threshold)] <= 1 - threshold + 1e-6


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_outside_its_range_is_refused(threshold: float) -> None:
    """The error names the value and the range."""
    with pytest.raises(InputError, match=r"threshold .* expected a number in \[0, 1\]"):
        choose_tier([0.5, 1.0], threshold)


def test_no_allowed_tier_is_refused() -> None:
    """A lowest tier above the highest is an error, not a guess."""
    with pytest.raises(InputError, match="no tier allowed between 2 and 1"):
        choose_tier([0.1, 0.2, 1.0], 0.5, lowest=2, highest=1)


@pytest.mark.parametrize(
    ("sufficiency", "predicted", "threshold", "allowed", "expected"),
    [
        ([0.9, 0.95, 0.99, 1.0], 0, 0.5, range(4), (0, ("predicted",))),
        ([0.6, 0.7, 0.9, 1.0], 0, 0.95, range(4), (3, ("escalated",))),
        ([0.9, 0.95, 0.99, 1.0], 0, 0.5, range(2, 4), (2, ("predicted", "min_tier"))),
        ([0.1, 0.2, 0.3, 1.0], 3, 0.95, range(2), (1, ("predicted", "max_tier"))),
        ([0.1, 0.2, 0.5, 1.0], 2, 0.9, range(3), (2, ("escalated", "max_tier"))),
    ],
)
def test_every_decision_says_why(
    sufficiency: list[float], predicted: int, threshold: float, allowed: range, expected: tuple[int, tuple[str, ...]]
) -> None:
    """The reasons tell a prediction from an escalation, and name the bound that made a difference."""
    assert decide_tier(sufficiency, predicted, threshold, allowed) == expected


@pytest.mark.parametrize("names", [(), ("only",), ("a", "a"), ("a", "")])
def test_a_ladder_needs_two_different_tiers(names: tuple[str, ...]) -> None:
    """One tier is nothing to route between, and two of a name cannot be told apart."""
    with pytest.raises(InputError, match="at least two different"):
        Ladder(names)


def test_an_unknown_tier_is_refused_by_name() -> None:
    """The error names what was asked for, and what there is."""
    with pytest.raises(InputError, match="unknown tier 'huge': expected one of small, large"):
        Ladder(("small", "large")).index("huge")
