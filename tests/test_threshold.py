import numpy as np
import pytest
from scipy.stats import binomtest

from learnedrouter.errors import InfeasibleError, InputError
from learnedrouter.tiers import choose_tier
from learnedrouter.training.threshold import curve, from_labels, route, solve

RNG = np.random.default_rng(7)


def population(rows: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Requests whose sufficiency is calibrated: the needed tier is drawn from it."""
    probabilities = rng.dirichlet((0.5, 0.5, 0.5, 0.5), rows)
    needed = np.array([rng.choice(4, p=row) for row in probabilities])
    return probabilities.cumsum(axis=1), from_labels(needed, 4)


def test_a_higher_threshold_never_under_routes_more() -> None:
    """Along the curve, under-routing only falls and over-routing only rises."""
    points = curve(*population(400, RNG), confidence=0.95)

    under = [point.under_routed for point in points]
    over = [point.over_routed for point in points]
    assert under == sorted(under, reverse=True)
    assert over == sorted(over)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.77, 0.95, 1.0])
def test_routing_many_is_routing_one_many_times(threshold: float) -> None:
    """The rule for all rows at once is the rule for each."""
    sufficiency = RNG.random((500, 4))

    assert route(sufficiency, threshold).tolist() == [choose_tier(row, threshold) for row in sufficiency.tolist()]


def test_the_bound_is_clopper_and_pearsons() -> None:
    """Against SciPy's exact binomial test."""
    sufficiency, acceptable = population(300, RNG)
    (point,) = curve(sufficiency, acceptable, 0.95, thresholds=(0.8,))
    under = round(point.under_routed * 300)

    exact = binomtest(under, 300, alternative="less").proportion_ci(0.95, method="exact")
    assert point.under_route_bound == pytest.approx(exact.high)


def test_the_promise_holds_on_new_data() -> None:
    """Over 200 draws of held-out rows, the promise is broken on the population no more often than it says."""
    everything = population(20_000, np.random.default_rng(1))
    broken = 0
    for seed in range(200):
        point = solve(curve(*population(500, np.random.default_rng(100 + seed)), confidence=0.9), 0.10)
        (truth,) = curve(*everything, confidence=0.9, thresholds=(point.threshold,))
        broken += truth.under_routed > 0.10

    assert broken <= 200 * 0.10 + 3 * np.sqrt(200 * 0.1 * 0.9)


def test_a_request_that_no_tier_solves_is_not_under_routed() -> None:
    """Outcomes: only what another tier would have got right counts as missed, and no miss is possible where none would."""
    sufficiency = np.array([[0.2, 0.9], [0.9, 0.2], [0.1, 0.1]])
    acceptable = np.array([[False, True], [True, False], [False, False]])

    (cheap, strict) = curve(sufficiency, acceptable, 0.95, thresholds=(0.0, 1.0))

    assert (cheap.under_routed, cheap.over_routed) == (pytest.approx(1 / 3), 0)
    assert (strict.under_routed, strict.over_routed) == (0, 0)


def test_the_solution_is_the_cheapest_that_keeps_the_promise() -> None:
    """The next lower threshold breaks it."""
    points = curve(*population(800, RNG), confidence=0.95)
    point = solve(points, 0.05)
    lower = points[points.index(point) - 1]

    assert point.under_route_bound <= 0.05 < lower.under_route_bound


def test_infeasible_is_an_answer() -> None:
    """Ten rows cannot promise 1 %; the error says what they can promise."""
    with pytest.raises(InfeasibleError, match=r"at most 1.0% cannot be promised from these rows; the nearest that can is 25.9%"):
        solve(curve(*population(10, RNG), confidence=0.95), 0.01)


@pytest.mark.parametrize(("rows", "confidence", "problem"), [(0, 0.95, "no rows"), (5, 1.0, "confidence 1.0"), (5, 0.0, "confidence 0.0")])
def test_what_cannot_be_solved_is_refused(rows: int, confidence: float, problem: str) -> None:
    """The error names what is wrong."""
    with pytest.raises(InputError, match=problem):
        curve(np.ones((rows, 4)), np.ones((rows, 4), dtype=np.bool_), confidence)
