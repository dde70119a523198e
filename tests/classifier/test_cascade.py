"""The switch point of a cascade."""

import numpy as np
import pytest
from sklearn.metrics import log_loss

from learnedrouter.classifier.assessment import pool
from learnedrouter.errors import InfeasibleError
from learnedrouter.training.cascade import Opinions, described, solve, trade, weigh


def opinions(rows: int, seed: int, *, honest: bool = True) -> Opinions:
    """Two stages: the last is right on 90 % of the rows, the first as often as it is sure, or, dishonest, on 30 %."""
    rng = np.random.default_rng(seed)
    needed = rng.integers(0, 4, rows)
    surety = rng.uniform(0.3, 1.0, rows)
    right = rng.random(rows) < (surety if honest else 0.3)
    first = np.where(right, needed, (needed + 1) % 4)
    last = np.where(rng.random(rows) < 0.9, needed, (needed + 1) % 4)
    return Opinions(surety, first, last, np.where(first == last, 0.0, 0.6), needed)


def probabilities(needed: np.ndarray, clarity: float, seed: int) -> np.ndarray:
    """Calibrated opinions on rows whose tiers are equally likely: each sees the needed tier through noise of its own."""
    seen = clarity * np.eye(4)[needed] + np.random.default_rng(seed).normal(size=(len(needed), 4))
    odds = np.exp(clarity * seen)
    return odds / odds.sum(axis=1, keepdims=True)


def test_a_second_opinion_of_its_own_helps_on_other_rows() -> None:
    """The weight that is fitted on some rows makes others likelier; an opinion that says nothing gets next to none."""
    rng = np.random.default_rng(0)
    fitted, other = rng.integers(0, 4, 2_000), rng.integers(0, 4, 4_000)
    weight = weigh(probabilities(fitted, 1.2, 1), probabilities(fitted, 1.8, 2), fitted)
    first, last = probabilities(other, 1.2, 3), probabilities(other, 1.8, 4)

    assert weight > 0.1
    assert log_loss(other, pool(first, last, weight)) < log_loss(other, last) - 0.02
    assert weigh(probabilities(rng.permutation(fitted), 1.2, 5), probabilities(fitted, 1.8, 6), fitted) < 0.05


def test_a_pool_lies_between_its_opinions() -> None:
    """At either end it is one of them; a tier that one holds impossible is never likely; it sums to 1."""
    one, other = np.array([[0.7, 0.2, 0.1, 0.0]]), np.array([[0.1, 0.2, 0.3, 0.4]])

    np.testing.assert_allclose(pool(one, other, 0.0), other)
    np.testing.assert_allclose(pool(one, other, 1.0), one, atol=1e-9)
    between = pool(one, other, 0.3)
    assert between.sum() == pytest.approx(1)
    np.testing.assert_allclose(between[0, 1] / between[0, 2], 2**0.3 * (2 / 3) ** 0.7)
    assert between[0, 3] < 0.001


def test_the_switch_point_keeps_the_bound_on_other_rows() -> None:
    """Over 20 worlds, the cascade costs at most half a point on rows that it was not solved on, in nearly all of them."""
    kept, shares = 0, []
    for seed in range(20):
        switch = solve(opinions(1_000, seed))
        found = trade(opinions(4_000, 1_000 + seed), switch)
        kept += found.macro_f1 >= found.alone - 0.005
        shares.append(found.share)

    assert kept >= 18
    assert np.mean(shares) > 0.03


def test_a_first_stage_that_claims_more_than_it_knows_is_left_out() -> None:
    """Infeasible is an answer, and says how far one would get."""
    with pytest.raises(InfeasibleError, match=r"at a cost of 0\.5% of macro-F1 the static head could answer .* of the 1000 validation"):
        solve(opinions(1_000, 0, honest=False))


def test_a_larger_allowance_never_gives_the_first_stage_less() -> None:
    """The walk goes on for longer."""
    found = opinions(2_000, 3)
    switches = [solve(found, allowance) for allowance in (0.005, 0.02, 0.1)]

    assert switches == sorted(switches, reverse=True)


def test_what_is_written_down_is_what_it_does() -> None:
    """Share and macro-F1 on either split, recomputed by hand."""
    validation, test = opinions(500, 0), opinions(400, 1)
    told = described(0.8, 0.25, validation, test)

    assert (told["switch"], told["weight"]) == (0.8, 0.25)
    assert told["test"]["share"] == pytest.approx((test.surety >= 0.8).mean())
    cascaded = np.where(test.surety >= 0.8, test.first, test.last)
    per_tier = [2 * ((cascaded == t) & (test.needed == t)).sum() / ((cascaded == t).sum() + (test.needed == t).sum()) for t in range(4)]
    assert told["test"]["macro_f1"] == pytest.approx(np.mean(per_tier))
