"""From a budget to a threshold."""

from decimal import Decimal

import numpy as np
import pytest

from learnedrouter.chat import Usage
from learnedrouter.config import Settings
from learnedrouter.errors import InfeasibleError, InputError
from learnedrouter.tiers import Ladder
from learnedrouter.training.budget import prices, request_prices, solve

USD = (Decimal("0.001"), Decimal("0.01"))
SUFFICIENCY = np.array([[0.95, 1.0], [0.85, 1.0], [0.6, 1.0], [0.2, 1.0]])


def test_prices_by_hand() -> None:
    """At 0.9 one request of four is cheap: (0.001 + 3 * 0.01) / 4 a request, exactly."""
    (point,) = prices(SUFFICIENCY, USD, (0.9,))

    assert point.usd_per_1k == Decimal("7.75")
    assert point.shares == (0.25, 0.75)


def test_the_highest_threshold_within_the_budget_is_taken() -> None:
    """A budget that is just enough is kept; a cent less gives the next lower step."""
    points = prices(SUFFICIENCY, USD)

    assert solve(points, Decimal("7.75")).threshold == 0.95
    below = solve(points, Decimal("7.74"))
    assert (below.threshold, below.usd_per_1k) == (0.85, Decimal("5.5"))
    assert solve(points, Decimal(1_000)).threshold == 1.0


def test_too_small_a_budget_is_infeasible() -> None:
    """The error names the cheapest there is."""
    with pytest.raises(InfeasibleError, match=r"at most 0.5 USD per 1,000 requests; the nearest is 1.0000, at threshold 0.2"):
        solve(prices(SUFFICIENCY, USD), Decimal("0.5"))


def test_a_request_is_priced_by_the_model_that_is_tried_first(settings: Settings) -> None:
    """1,000 tokens in and 100 out, at the configured prices of each tier's first model."""
    found = request_prices(settings, settings.ladder, Usage(1_000, output_tokens=100))

    assert found == (Decimal("0.00038"), Decimal("0.0042"), Decimal("0.0045"), Decimal("0.0075"))
    with pytest.raises(InputError, match="tier 'weak' of the artefact is not configured"):
        request_prices(settings, Ladder(("weak", "complex")), Usage(1, output_tokens=1))


def test_no_requests_no_prices() -> None:
    """There is nothing to solve on."""
    with pytest.raises(InputError, match="no rows"):
        prices(np.empty((0, 2)), USD)
