"""Writing rows: a transaction for each group, on a connection that is kept. For one thread.

Statements are SQLAlchemy's, compiled once; they are run on the driver's own connection, a few for each group whatever
its size, for beside a request's other work every row counts.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

from sqlalchemy import Engine, PoolProxiedConnection, Table, delete, insert, select

from learnedrouter.events import RoutedCompletion
from learnedrouter.sinks.ledger.database import migrate, writing
from learnedrouter.sinks.ledger.reading import find
from learnedrouter.sinks.ledger.rows import Row, Rows
from learnedrouter.sinks.ledger.tables import attempts, captures, requests

_TABLES = (requests, attempts, captures)
_LARGEST = 64
"""Rows that one statement inserts at most: 64 of 39 columns are 2,496 parameters, and every database takes 32,767."""

_FORGOTTEN_AT_ONCE = 500


class BadRow(Exception):
    """Something in a group is nothing that the database can hold; whatever else is in it could be written."""


class Store:
    """The ledger's database, open or not.

    Parameters
    ----------
    engine
        See `database.engine_for`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._inserts = {table.name: _Insert(engine, table) for table in _TABLES}
        self._connection: PoolProxiedConnection | None = None

    def open(self) -> None:
        """Connect, and bring the tables up to date; a write does the same, where it was not done.

        Raises
        ------
        Exception
            The driver's or SQLAlchemy's.
        """
        if self._connection is None:
            migrate(self._engine)
            self._connection = self._engine.raw_connection()

    def write(self, group: Sequence[Rows]) -> None:
        """Commit the rows of a group, all or none.

        Raises
        ------
        BadRow
            A row is at fault, not the database.
        Exception
            The driver's or SQLAlchemy's: the database cannot be written, and the next call connects anew.
        """
        driver = self._engine.dialect.loaded_dbapi
        try:
            self._write(group)
        except (driver.IntegrityError, driver.DataError, driver.InterfaceError, OverflowError, ValueError) as error:
            self._roll_back()
            raise BadRow(str(error)) from error
        except Exception:
            self.close()
            raise

    def holds(self, identity: str) -> bool:
        """Return whether a request is in it already."""
        with self._engine.connect() as connection:
            return connection.execute(select(requests.c.id).where(requests.c.id == identity)).first() is not None

    def find(self, identity: str) -> RoutedCompletion | None:
        """Return a request; from any thread. See `reading.find`."""
        return find(self._engine, identity)

    def forget(self, before_us: int) -> bool:
        """Delete some requests that came before a moment, and all that hangs on them; return whether any were left."""
        with writing(self._engine).begin() as connection:
            old = select(requests.c.id).where(requests.c.at_us < before_us).limit(_FORGOTTEN_AT_ONCE)
            names = connection.execute(old).scalars().all()
            connection.execute(delete(captures).where(captures.c.request_id.in_(names)))
            connection.execute(delete(attempts).where(attempts.c.request_id.in_(names)))
            connection.execute(delete(requests).where(requests.c.id.in_(names)))
        return len(names) == _FORGOTTEN_AT_ONCE

    def close(self) -> None:
        """Drop the connection, whatever state it is in."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    def _write(self, group: Sequence[Rows]) -> None:
        self.open()
        assert self._connection is not None
        cursor = self._connection.cursor()
        if self._engine.dialect.name == "sqlite":  # other drivers begin by themselves
            cursor.execute("BEGIN IMMEDIATE")
        self._inserts["requests"].run(cursor, [rows.request for rows in group])
        self._inserts["attempts"].run(cursor, list(chain.from_iterable(rows.attempts for rows in group)))
        self._inserts["captures"].run(cursor, [rows.capture for rows in group if rows.capture])
        cursor.close()
        self._connection.commit()

    def _roll_back(self) -> None:
        try:
            if self._connection is not None:
                self._connection.rollback()
        except Exception:  # then it is broken: the next write connects anew
            self.close()


class _Insert:
    """The statements that insert 1, 2, 4, ... rows into a table."""

    def __init__(self, engine: Engine, table: Table) -> None:
        statement = insert(table).compile(dialect=engine.dialect)
        if statement.positiontup is None:
            raise NotImplementedError(f"{engine.dialect.driver}: its parameters have names")
        self._head, _, self._values = str(statement).partition(" VALUES ")
        self._columns = itemgetter(*statement.positiontup)

    def run(self, cursor: Any, rows: Sequence[Row]) -> None:
        """Insert rows."""
        for part in _parts(rows):
            statement = f"{self._head} VALUES {', '.join([self._values] * len(part))}"
            cursor.execute(statement, tuple(chain.from_iterable(map(self._columns, part))))


def _parts(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Yield rows in parts of 64, 32, ... 1: of few sizes, so that the driver has its statements ready."""
    start, size = 0, _LARGEST
    while start < len(rows):
        while size > len(rows) - start:
            size //= 2
        yield rows[start : start + size]
        start += size
