"""From settings to budgets."""

from datetime import datetime
from pathlib import Path

from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError

from learnedrouter.budgets.clerk import WAIT_SECONDS, Clerk
from learnedrouter.budgets.gate import Gate
from learnedrouter.budgets.policy import Budget, Past, Period
from learnedrouter.budgets.statement import Statement, periods, statements
from learnedrouter.budgets.store import Store
from learnedrouter.config import Settings
from learnedrouter.errors import InputError
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
    store = Store(engine_for(settings.ledger.url, lock_seconds=WAIT_SECONDS, synchronous=settings.ledger.synchronous))
    return Gate(
        budgets_of(settings),
        Clerk(store),
        expected_output_tokens=settings.expected_output_tokens,
        lowest_tier=settings.ladder.names[0],
        unavailable=settings.budgets_unavailable,
    )


def standing(settings: Settings, now: datetime) -> list[Statement]:
    """Return how the configured budgets stand at `now`.

    Raises
    ------
    InputError
        Their database cannot be read.
    """
    budgets, engine = budgets_of(settings), engine_for(settings.ledger.url)
    if engine.dialect.name == "sqlite" and not Path(engine.url.database or "").exists():
        return statements(budgets, {}, now)  # nothing was ever spent, and a question makes no file
    store = Store(engine)
    try:
        return statements(budgets, store.balances(periods(budgets, now)), now)
    except (SQLAlchemyError, CommandError, OSError) as error:
        raise InputError(f"{engine.url.render_as_string()}: cannot be read ({error.__cause__ or error})") from error
    finally:
        store.close()
