"""Budgets in a database that several processes share: operations in groups, a group a transaction.

A transaction first locks the balances that it is about, in one order for all processes, so that what it reads stays true
until it is committed: SQLite lets one writer in at a time, other databases lock the rows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, delete, func, insert, select, tuple_, update

from learnedrouter.budgets.books import Balance, Books, Reserve, Settle, Verdict
from learnedrouter.budgets.policy import Account
from learnedrouter.sinks.ledger.budget_tables import balances, reservations
from learnedrouter.sinks.ledger.database import migrate, writing

Operation = Reserve | Settle

_ACCOUNT = (balances.c.budget, balances.c.subject, balances.c.period)
_AMOUNTS = (balances.c.spent_pico_usd, balances.c.reserved_pico_usd, balances.c.refused, balances.c.degraded, balances.c.unknown)
_UPDATE = update(balances).where(*(column == bindparam(f"of_{column.name}") for column in _ACCOUNT))
_INSERT, _RESERVE = insert(balances), insert(reservations)


class Store:
    """Keeps balances and reservations.

    Parameters
    ----------
    engine
        The database; its tables are brought up to date when it is first used. Where a method fails, with an error of SQLAlchemy's
        or alembic's, nothing of its transaction is kept.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._migrated = False

    def apply(self, operations: Sequence[Operation]) -> list[Verdict | None]:
        """Do all of `operations`, in order, in one transaction; give a verdict for each `Reserve`."""
        accounts = {account for operation in operations for account in _accounts(operation)}
        settled = [operation.id for operation in operations if isinstance(operation, Settle)]
        with self._ready(writing(self._engine)).begin() as connection:
            before = _locked(connection, accounts)
            books = Books(dict(before), _held(connection, settled))
            verdicts = [_applied(books, operation) for operation in operations]
            _save(connection, books, before)
        return verdicts

    def sweep(self, now_us: int) -> int:
        """Write off what expired before `now_us`, in microseconds since 1970; return for how many requests."""
        expired = reservations.c.expires_at_us < now_us
        columns = reservations.c.request_id, reservations.c.budget, reservations.c.subject, reservations.c.period
        with self._ready(writing(self._engine)).begin() as connection:
            rows = connection.execute(select(*columns).where(expired)).all()
            before = _locked(connection, {Account(*row[1:]) for row in rows})
            books = Books(dict(before), _held(connection, sorted({row[0] for row in rows})))  # read again, now that they are locked
            gone = list(books.held)
            for request in gone:
                books.write_off(request)
            _save(connection, books, before)
        return len(gone)

    def balances(self, periods: Iterable[str]) -> dict[Account, Balance]:
        """Return every balance of the given periods."""
        query = select(*_ACCOUNT, *_AMOUNTS).where(balances.c.period.in_(list(periods)))
        with self._ready(self._engine).begin() as connection:
            return {Account(*row[:3]): Balance(*row[3:]) for row in connection.execute(query)}

    def totals(self) -> dict[str, Balance]:
        """Return the sums over all periods, by budget."""
        sums = (func.sum(column) for column in _AMOUNTS)
        with self._ready(self._engine).begin() as connection:
            rows = connection.execute(select(balances.c.budget, *sums).group_by(balances.c.budget)).all()
        return {budget: Balance(*map(int, amounts)) for budget, *amounts in rows}

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _ready(self, engine: Engine) -> Engine:
        if not self._migrated:
            migrate(self._engine)
            self._migrated = True
        return engine


def _accounts(operation: Operation) -> Iterable[Account]:
    return operation.accounts if isinstance(operation, Settle) else (claim.account for claim in operation.claims)


def _applied(books: Books, operation: Operation) -> Verdict | None:
    if isinstance(operation, Reserve):
        return books.reserve(operation)
    books.settle(operation)
    return None


def _locked(connection: Connection, accounts: set[Account]) -> dict[Account, Balance]:
    """Return the balances that are there, locked against every other process until the transaction ends."""
    if not accounts:
        return {}
    wanted = tuple_(*_ACCOUNT).in_(sorted(accounts))
    rows = connection.execute(select(*_ACCOUNT, *_AMOUNTS).where(wanted).order_by(*_ACCOUNT).with_for_update())
    return {Account(*row[:3]): Balance(*row[3:]) for row in rows}


def _held(connection: Connection, requests: Sequence[str]) -> dict[str, dict[Account, int]]:
    """Return what is reserved for `requests`, by account."""
    held: dict[str, dict[Account, int]] = {}
    if requests:
        columns = (
            reservations.c.request_id,
            reservations.c.budget,
            reservations.c.subject,
            reservations.c.period,
            reservations.c.amount_pico_usd,
        )
        for request, *account, amount in connection.execute(select(*columns).where(reservations.c.request_id.in_(requests))):
            amounts = held.setdefault(request, {})
            amounts[Account(*account)] = amounts.get(Account(*account), 0) + amount
    return held


def _save(connection: Connection, books: Books, before: Mapping[Account, Balance]) -> None:
    changed = [(account, balance) for account, balance in books.balances.items() if balance != before.get(account)]
    if old := [_row(account, balance, "of_") for account, balance in changed if account in before]:
        connection.execute(_UPDATE, old)
    if new := [_row(account, balance) for account, balance in changed if account not in before]:
        connection.execute(_INSERT, new)  # two processes may try at once: one fails, and tries its transaction again
    if books.settled:
        connection.execute(delete(reservations).where(reservations.c.request_id.in_(books.settled)))
    if books.added:
        columns = "request_id", "budget", "subject", "period", "amount_pico_usd", "expires_at_us"
        rows = [dict(zip(columns, (request, *account, *rest), strict=True)) for request, account, *rest in books.added]
        connection.execute(_RESERVE, rows)


def _row(account: Account, balance: Balance, prefix: str = "") -> dict[str, Any]:
    names = (*(f"{prefix}{column.name}" for column in _ACCOUNT), *(column.name for column in _AMOUNTS))
    return dict(zip(names, (*account, *astuple(balance)), strict=True))
