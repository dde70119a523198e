"""Whom a budget holds for, and when its period ends."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from learnedrouter.budgets.policy import Account, Budget, Past, Period, to_pico, to_usd
from learnedrouter.chat import Usage
from learnedrouter.pricing import Price

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("period", "now", "label", "ends"),
    [
        (Period.DAY, NOON, "2026-11-23", datetime(2026, 11, 24, tzinfo=UTC)),
        (Period.DAY, datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), "2026-12-31", datetime(2027, 1, 1, tzinfo=UTC)),
        (Period.DAY, datetime(2026, 11, 24, 1, tzinfo=timezone(timedelta(hours=2))), "2026-11-23", datetime(2026, 11, 24, tzinfo=UTC)),
        (Period.MONTH, NOON, "2026-11", datetime(2026, 12, 1, tzinfo=UTC)),
        (Period.MONTH, datetime(2026, 12, 31, tzinfo=UTC), "2026-12", datetime(2027, 1, 1, tzinfo=UTC)),
        (Period.MONTH, datetime(2028, 2, 29, tzinfo=UTC), "2028-02", datetime(2028, 3, 1, tzinfo=UTC)),
    ],
)
def test_periods_are_utcs(period: Period, now: datetime, label: str, ends: datetime) -> None:
    """Days and months begin at midnight UTC, wherever the clock stands."""
    assert (period.label(now), period.ends(now)) == (label, ends)


@pytest.mark.parametrize(
    ("scope", "key", "subject"),
    [
        ("global", "", ""),
        ("global", "alice", ""),
        ("each-key", "alice", "alice"),
        ("key:alice", "alice", "alice"),
        ("key:alice", "bob", None),
    ],
)
def test_scopes(scope: str, key: str, subject: str | None) -> None:
    """A global budget is one account for all; each key has one of its own; a key's budget is nobody else's."""
    budget = Budget("b", scope, Period.DAY, Decimal(1), Past.REFUSE)

    assert budget.account(key, NOON) == (None if subject is None else Account("b", subject, "2026-11-23"))


def test_money_is_exact() -> None:
    """A token's price is a whole number of picodollars; what is finer is rounded up, so that no cost is lost."""
    cost = Price(Decimal("0.075"), Decimal("0.000001")).cost(Usage(1, output_tokens=1))

    assert cost is not None
    assert to_pico(cost) == 75_001
    assert to_usd(75_001) == Decimal("0.000000075001")
    assert to_pico(Decimal("1e-13")) == 1
