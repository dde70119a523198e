"""Connecting to the ledger's database, and bringing its tables up to date. Any database that SQLAlchemy knows will do.

SQLite needs telling: a write-ahead log, so that readers and the writers of several processes do not stop each other, and
transactions that begin where we say.
"""

import re
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from learnedrouter.errors import ConfigError, InputError
from learnedrouter.sinks.ledger.migrations import HEAD, version

_MIGRATION_LOCK = 0x6C65_6467_6572
"""Postgres' advisory lock that a migration holds ("ledger" in ASCII): of several processes that start, one migrates."""

_MAKING = threading.Lock()
"""Held while a new file is made, so that no other thread of this process has SQLite lock it before it is closed."""

_BUSY_PAUSE_SECONDS = 0.005
"""Between attempts at what SQLite does not wait for by itself; each takes less than a millisecond."""


def engine_for(url: str, *, lock_seconds: float = 5.0, synchronous: str = "normal") -> Engine:
    """Return an engine for the ledger at `url`; nothing is connected or created yet.

    Parameters
    ----------
    lock_seconds
        How long a locked SQLite file is waited for. It is the driver's busy timeout: other databases have their own.
    synchronous
        SQLite's: ``normal`` or ``full`` (https://www.sqlite.org/pragma.html#pragma_synchronous).

    Raises
    ------
    ConfigError
        The address is none, names an SQLite database that is no file, or its driver is not installed.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() != "sqlite":
            return _positional(create_engine(parsed, pool_pre_ping=True))
        if parsed.database in (None, "", ":memory:"):
            raise ConfigError(f"ledger.url {url!r}: holds nothing; expected a file, as in sqlite:///ledger.db")
        engine = create_engine(parsed, connect_args={"timeout": lock_seconds})
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise ConfigError(f"ledger.url: not a database that can be used ({error})") from error

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.isolation_level = None  # else the driver decides where transactions begin
        _write_ahead(connection, lock_seconds)
        connection.execute(f"PRAGMA synchronous={synchronous}").close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that begins by reading cannot become a writing one while another process writes.
        writes = connection.get_execution_options().get("ledger_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _write_ahead(connection: sqlite3.Connection, lock_seconds: float) -> None:
    """Give the file a write-ahead log; one that has it is not touched.

    Whoever changes the journal reads the file first and locks it then. Of several who found a new file at once each holds a
    lock that the others wait for, so SQLite leaves its busy timeout aside and fails at once, as it does wherever waiting could
    go on for ever (https://www.sqlite.org/c3ref/busy_handler.html). By failing it lets go; so it is tried again, as long as
    another lock would be waited for.
    """
    ends = time.monotonic() + lock_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > ends:
                raise
            time.sleep(_BUSY_PAUSE_SECONDS)


def without_password(address: str) -> str:
    """Return a database's address as errors may show it."""
    return re.sub(r"(://[^:/]*):.*@", r"\1:***@", address)


def existing(url: str) -> Engine:
    """Return an engine for reading the ledger at `url`, which must be there.

    Raises
    ------
    InputError
        There is no such file; or see `engine_for`.
    """
    engine = engine_for(url)
    path = engine.url.database
    if engine.dialect.name == "sqlite" and path and not Path(path).is_file():
        raise InputError(f"{url}: there is no ledger; expected the file {path}, which `learnedrouter serve` writes")
    return engine


def writing(engine: Engine) -> Engine:
    """Return the same engine, its transactions writing ones from their beginning."""
    return engine.execution_options(ledger_writes=True)


def _positional(engine: Engine) -> Engine:
    """Return an engine whose driver takes parameters in order, so that one statement can insert many rows."""
    named = engine.dialect.paramstyle == "pyformat"
    return create_engine(engine.url, pool_pre_ping=True, paramstyle="format") if named else engine


def migrate(engine: Engine) -> None:
    """Bring the tables up to date; make them, where there are none. Costs one query where there is nothing to do.

    Raises
    ------
    sqlalchemy.exc.SQLAlchemyError
        The database cannot be used.
    alembic.util.CommandError
        It was made by a newer learnedrouter.
    """
    if (database := engine.url.database) and engine.dialect.name == "sqlite":
        _make_private(Path(database))
    with engine.connect() as connection:
        if current_version(connection) == HEAD:
            return
    from alembic import command  # imported on use: serving needs it once in a database's life
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "learnedrouter.sinks.ledger:migrations")
    with writing(engine).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _make_private(path: Path) -> None:
    """Make an empty file that nobody else may read, where there is none: what is captured is nobody else's.

    A file that is there is not touched. To open and close it would let go of every lock that SQLite holds on it in this process, and
    another process that closes the ledger would take itself for the last one, and remove the log under our hands
    (https://www.sqlite.org/howtocorrupt.html, section 2.2). The log takes the file's permissions over.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _MAKING:
        if not path.exists():
            path.touch(0o600)


def bring_up_to_date(url: str) -> str:
    """Migrate the ledger at `url`, and return the version that it is at then.

    Raises
    ------
    InputError
        It cannot be migrated.
    """
    from alembic.util import CommandError

    engine = engine_for(url)
    try:
        migrate(engine)
    except (SQLAlchemyError, CommandError, OSError) as error:
        raise InputError(f"{engine.url}: cannot be brought up to date ({str(error).splitlines()[0]})") from error
    finally:
        engine.dispose()
    return HEAD


def current_version(connection: Connection) -> str | None:
    """Return the version of the tables; None where there are none."""
    if not inspect(connection).has_table(version.name):
        return None
    return connection.execute(select(version.c.version_num)).scalar()
