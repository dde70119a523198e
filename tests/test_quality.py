"""The curve of quality over calls to the strongest model, and what is read from it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnedrouter.errors import InputError
from learnedrouter.training.quality import RANKING, curve, judge

WEAK = np.array([0.0, 0.0, 1.0, 1.0])
STRONG = np.array([1.0, 1.0, 1.0, 0.0])
MODELS = {"weak": "small", "strong": "big"}


def test_the_curve_by_hand() -> None:
    """W = 0.5, S = 0.75; best first gives 0.5, 0.75, 1, 1, 0.75, so PGR is 0, 1, 2, 2, 1 and APGR (0.5 + 1.5 + 2 + 1.5) / 4."""
    best = curve(np.array([3.0, 2.0, 1.0, 0.0]), WEAK, STRONG)

    assert best.quality.tolist() == [0.5, 0.75, 1.0, 1.0, 0.75]
    assert best.gap_recovered.tolist() == [0, 1, 2, 2, 1]
    assert best.apgr == pytest.approx(5.5 / 4)
    assert (best.cpt(0.5), best.cpt(0.8), best.share_near_strong) == (0.25, 0.25, 0.25)


def test_the_worst_order_by_hand() -> None:
    """Worst first gives 0.5, 0.25, 0.25, 0.5, 0.75: half the gap is recovered only by the last request."""
    worst = curve(np.array([0.0, 1.0, 2.0, 3.0]), WEAK, STRONG)

    assert worst.gap_recovered.tolist() == [0, -1, -1, 0, 1]
    assert worst.apgr == pytest.approx(-1.5 / 4)
    assert (worst.cpt(0.5), worst.cpt(0.8), worst.share_near_strong) == (1, 1, 1)


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(-1, 1)), min_size=4, max_size=60))
def test_no_ranking_beats_the_oracle(drawn: list[tuple[bool, bool, float]]) -> None:
    """The oracle's curve lies above every other at every share; all curves share their ends."""
    weak, strong, wish = (np.array(column, dtype=np.float64) for column in zip(*drawn, strict=True))
    if strong.mean() <= weak.mean():
        with pytest.raises(InputError, match="no gap to recover"):
            curve(wish, weak, strong)
        return
    own, oracle = curve(wish, weak, strong), curve(strong - weak, weak, strong)

    assert (own.quality <= oracle.quality + 1e-9).all()
    assert own.quality[[0, -1]] == pytest.approx([weak.mean(), strong.mean()])


def test_judging_stands_beside_its_controls() -> None:
    """A router that knows something lies between random and the oracle; random has 0.5, 50 % and 80 %."""
    rng = np.random.default_rng(0)
    hard = rng.random(1_000)
    scores = np.column_stack([rng.random(1_000) > hard, rng.random(1_000) > hard / 4]).astype(np.float64)
    sufficiency = np.column_stack([1 - hard, 1 - hard / 4])

    found = judge(sufficiency, scores, MODELS, 0.7)

    ranking = {router: {name: figures[name].value for name in RANKING} for router, figures in found.ranking.items()}
    assert ranking["random"]["apgr"] == pytest.approx(0.5, abs=0.02)
    assert ranking["random"]["cpt_50"] == pytest.approx(0.5, abs=0.05)
    assert ranking["random"]["cpt_80"] == pytest.approx(0.8, abs=0.05)
    assert ranking["random"]["apgr"] + 0.05 < ranking["this router"]["apgr"] < ranking["oracle"]["apgr"]
    routing = {router: (figures["quality"].value, figures["share_strongest"].value) for router, figures in found.routing.items()}
    assert routing["always cheapest"] == (pytest.approx(scores[:, 0].mean()), 0)
    assert routing["always strongest"] == (pytest.approx(scores[:, 1].mean()), 1)
    assert routing["oracle"] == (pytest.approx(scores.max(axis=1).mean()), pytest.approx((scores[:, 1] > scores[:, 0]).mean()))
    assert routing["random"][1] == routing["this router"][1]
    for routers in (found.ranking, found.routing):
        for figures in routers.values():
            assert all(figure.low <= figure.value <= figure.high for figure in figures.values())


def test_without_a_threshold_nothing_is_said_at_one() -> None:
    """The ranking alone is judged; the fixed routers still stand there."""
    found = judge(np.array([[0.1, 0.9], [0.9, 0.9]] * 10), np.array([[0.0, 1.0], [1.0, 1.0]] * 10), MODELS)

    assert set(found.routing) == {"oracle", "always cheapest", "always strongest"}
    assert found.ranking["this router"] == found.ranking["oracle"]
