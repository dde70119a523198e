import json
import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Engine, update

from learnedrouter.chat import Caller
from learnedrouter.errors import ConfigError
from learnedrouter.sinks.ledger.database import current_version, engine_for, migrate, writing
from learnedrouter.sinks.ledger.migrations import HEAD, version
from learnedrouter.sinks.ledger.rows import rows_of
from learnedrouter.sinks.ledger.store import Store
from learnedrouter.sinks.ledger.tables import metadata
from tests.conftest import ROOT
from tests.ledger.world import event


def test_there_is_one_head() -> None:
    """Two steps that follow the same one would be two databases; the newest is the one that the code names."""
    config = Config()
    config.set_main_option("script_location", "learnedrouter.sinks.ledger:migrations")

    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_the_steps_lead_to_the_tables(engine: Engine) -> None:
    """A database that went through all steps has the tables that the code writes, column for column."""
    migrate(engine)
    migrate(engine)

    with engine.connect() as connection:
        assert current_version(connection) == HEAD
        context = MigrationContext.configure(connection, opts={"version_table": version.name, "compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_of_several_processes_that_start_one_migrates(engine: Engine) -> None:
    """All of them find the tables made, and none fails."""
    url = engine.url.render_as_string(hide_password=False)
    failures: list[Exception] = []

    together = threading.Barrier(4)

    def start() -> None:
        own = engine_for(url)
        together.wait()
        try:
            migrate(own)
        except Exception as error:
            failures.append(error)
        own.dispose()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    with engine.connect() as connection:
        assert current_version(connection) == HEAD


def test_migrating_again_lets_go_of_no_lock(tmp_path: Path) -> None:
    """A service opens its ledger more than once; another process that closes it then does not take itself for the last one.

    The last one writes the log back and removes it, and so whoever still uses it would damage the file.
    """
    path = tmp_path / "ledger.db"
    used, other = (engine_for(f"sqlite:///{path}") for _ in range(2))
    migrate(used)
    with used.connect() as connection:
        assert current_version(connection) == HEAD
        migrate(other)
        reads = "import sqlite3, sys; own = sqlite3.connect(sys.argv[1]); own.execute('SELECT * FROM requests').fetchall(); own.close()"
        subprocess.run([sys.executable, "-c", reads, str(path)], check=True)

        assert Path(f"{path}-wal").exists()
    used.dispose()
    other.dispose()


def test_who_finds_a_new_file_in_use_waits(tmp_path: Path) -> None:
    """Giving a file its write-ahead log is nothing for which SQLite by itself waits for another process that is about to write."""
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("CREATE TABLE of_another (n)")
        other.execute("BEGIN IMMEDIATE")
        ends = threading.Timer(0.2, other.execute, ["ROLLBACK"])
        ends.start()
        engine = engine_for(f"sqlite:///{path}")
        migrate(engine)
        ends.join()

    with engine.connect() as connection:
        assert current_version(connection) == HEAD
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    engine.dispose()


def test_a_newer_ledger_is_not_touched(engine: Engine) -> None:
    """A database that a newer version made is refused, whatever is in it."""
    migrate(engine)
    with writing(engine).begin() as connection:
        connection.execute(update(version).values(version_num="9999"))

    with pytest.raises(CommandError, match="9999"):
        migrate(engine)


def test_the_file_is_its_owners(tmp_path: Path) -> None:
    """The folder is made, and nobody else on the machine reads the file."""
    engine = engine_for(f"sqlite:///{tmp_path}/new/ledger.db")
    migrate(engine)

    assert (tmp_path / "new" / "ledger.db").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "no address", "nosuch://host/base", "oracle://host/base"])
def test_what_is_no_database_is_told_at_once(url: str) -> None:
    """An address that holds nothing or has no driver is one clear error that names the key."""
    with pytest.raises(ConfigError, match=r"ledger\.url"):
        engine_for(url)


def test_the_command_migrates_and_explains(tmp_path: Path) -> None:
    """`migrate` makes the configured ledger; `explain --ledger` reads one without a service; what is none is one line."""
    path, told = tmp_path / "ledger.db", event(caller=Caller("0123456789ab", {"team": "search"}))
    environment = {**os.environ, "LEARNEDROUTER_LEDGER__URL": f"sqlite:///{path}"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "learnedrouter", *arguments]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)

    assert "no ledger" in run("explain", told.id, "--ledger", f"sqlite:///{path}").stderr
    assert HEAD in run("migrate").stdout
    store = Store(engine_for(f"sqlite:///{path}"))
    store.write([rows_of(told, "off")])
    store.close()
    shown = json.loads(run("explain", told.id, "--ledger", f"sqlite:///{path}", "--json").stdout)
    assert (shown["id"], shown["cost"]["usd"], shown["tags"]) == (told.id, 0.0010575, dict(told.caller.tags))
    unknown = run("explain", "rt_unknown", "--ledger", f"sqlite:///{path}")
    assert (unknown.returncode, len(unknown.stderr.splitlines())) == (2, 1)
