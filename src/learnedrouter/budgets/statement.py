"""How budgets stand: what was spent, what is reserved, what is left, and when they reset; as rows, and for Prometheus."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from learnedrouter.budgets.books import Balance
from learnedrouter.budgets.policy import EACH_KEY, GLOBAL, ONE_KEY, Account, Budget, Past, Period, to_usd


@dataclass(frozen=True, slots=True)
class Statement:
    """How a budget, or one key's part of it, stands in the present period.

    Parameters
    ----------
    key
        Whose part it is; empty where all callers share it.
    balance
        What stands on its account.
    resets_at
        When the period ends.
    """

    budget: str
    key: str
    period: Period
    past: Past
    limit_usd: Decimal
    balance: Balance
    resets_at: datetime

    @property
    def spent_usd(self) -> Decimal:
        """What requests cost that are over."""
        return to_usd(self.balance.spent)

    @property
    def reserved_usd(self) -> Decimal:
        """What requests under way are expected to cost."""
        return to_usd(self.balance.reserved)

    @property
    def left_usd(self) -> Decimal:
        """What further requests may be expected to cost; 0 where the limit is passed."""
        return max(self.limit_usd - self.spent_usd - self.reserved_usd, Decimal(0))


def periods(budgets: Iterable[Budget], now: datetime) -> set[str]:
    """Return the names of the present periods."""
    return {budget.period.label(now) for budget in budgets}


def statements(budgets: Sequence[Budget], balances: Mapping[Account, Balance], now: datetime) -> list[Statement]:
    """Return how every budget stands; where every key has its own part, one row for each that has used it."""
    return [
        Statement(
            budget.name,
            subject,
            budget.period,
            budget.past,
            budget.limit_usd,
            balances.get(Account(budget.name, subject, budget.period.label(now)), Balance()),
            budget.period.ends(now),
        )
        for budget in budgets
        for subject in _subjects(budget, balances, now)
    ]


def exposition(rows: Sequence[Statement], totals: Mapping[str, Balance]) -> bytes:
    """Return metrics in Prometheus' text format. They come from the database, and so are the same whichever process tells them.

    Parameters
    ----------
    totals
        By budget, the sums over all periods: counters that never fall.
    """
    registry = CollectorRegistry()
    registry.register(_Shown(rows, totals))
    return generate_latest(registry)


class _Shown(Collector):
    def __init__(self, rows: Sequence[Statement], totals: Mapping[str, Balance]) -> None:
        self._rows, self._totals = rows, totals

    def collect(self) -> Iterable[Metric]:
        """See `Collector.collect`."""
        labels = ["budget", "key"]
        limit = GaugeMetricFamily("learnedrouter_budget_limit_dollars", "What may be spent in a period.", labels=labels)
        spent = GaugeMetricFamily("learnedrouter_budget_spent_dollars", "Spent in the present period.", labels=labels)
        reserved = GaugeMetricFamily("learnedrouter_budget_reserved_dollars", "Reserved by requests under way.", labels=labels)
        for row in self._rows:
            for family, value in ((limit, row.limit_usd), (spent, row.spent_usd), (reserved, row.reserved_usd)):
                family.add_metric([row.budget, row.key], float(value))
        yield from (limit, spent, reserved)
        refused = CounterMetricFamily("learnedrouter_budget_refused", "Requests that a budget refused.", labels=["budget"])
        degraded = CounterMetricFamily("learnedrouter_budget_degraded", "Requests sent to the cheapest tier.", labels=["budget"])
        unknown = CounterMetricFamily("learnedrouter_budget_unknown_cost", "Requests booked at their estimates.", labels=["budget"])
        for budget, total in self._totals.items():
            for counter, count in ((refused, total.refused), (degraded, total.degraded), (unknown, total.unknown)):
                counter.add_metric([budget], count)
        yield from (refused, degraded, unknown)


def _subjects(budget: Budget, balances: Mapping[Account, Balance], now: datetime) -> list[str]:
    if budget.scope == GLOBAL:
        return [""]
    if budget.scope != EACH_KEY:
        return [budget.scope.removeprefix(ONE_KEY)]
    label = budget.period.label(now)
    return sorted(account.subject for account in balances if (account.budget, account.period) == (budget.name, label))
