"""From settings to budgets."""

from learnedrouter.budgets.clerk import Clerk
from learnedrouter.budgets.gate import Gate
from learnedrouter.budgets.policy import Budget, Past, Period
from learnedrouter.budgets.store import Store
from learnedrouter.config import Settings
from learnedrouter.sinks.ledger.database import engine_for


def budgets_of(settings: Settings) -> tuple[Budget, ...]:
    """Return the configured budgets."""
    return tuple(
        Budget(budget.title, budget.scope, Period(budget.period), budget.limit_usd, Past(budget.past)) for budget in settings.budgets
    )


def open_gate(settings: Settings) -> Gate:
    """Return what lets requests in, as far as the configured budgets go. Their database is used when the first one comes.

    Raises
    ------
    ConfigError
        The database's address is none.
    """
    store = Store(engine_for(settings.ledger.url))
    return Gate(budgets_of(settings), Clerk(store), settings.budgets_unavailable)
