"""Databases of the tests' own: SQLite files, and a Postgres server where one is installed."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import Engine

from learnedrouter.sinks.ledger.database import engine_for


def postgres_program(name: str) -> str | None:
    """A program of Postgres' server, which distributions keep off the path."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Postgres server of the tests' own; skipped where it is not installed."""
    pytest.importorskip("psycopg")
    initdb, postgres = postgres_program("initdb"), postgres_program("postgres")
    if not initdb or not postgres:
        pytest.skip("Postgres is not installed")
    folder = Path("/tmp") / f"learnedrouter-postgres-{os.getpid()}"
    folder.mkdir()
    user = "postgres" if os.geteuid() == 0 else None  # its server refuses to be root's
    if user:
        shutil.chown(folder, user)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    try:
        options = ["-D", str(folder / "data"), "-A", "trust", "-U", "tester", "-E", "UTF8"]
        subprocess.run([initdb, *options], check=True, capture_output=True, user=user, cwd="/")
        server = subprocess.Popen(
            [postgres, "-D", str(folder / "data"), "-p", str(port), "-k", str(folder), "-c", "fsync=off"],
            user=user,
            cwd="/",
            stderr=subprocess.DEVNULL,
        )
        try:
            url = f"postgresql+psycopg://tester@127.0.0.1:{port}/postgres"
            for _ in range(100):
                try:
                    sqlalchemy.create_engine(url).connect().close()
                    break
                except sqlalchemy.exc.OperationalError:
                    time.sleep(0.1)
            yield url
        finally:
            server.terminate()
            server.wait(20)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty database, of either kind."""
    if request.param == "sqlite":
        made = engine_for(f"sqlite:///{tmp_path}/ledger.db")
    else:
        server = sqlalchemy.create_engine(request.getfixturevalue("postgres_server"), isolation_level="AUTOCOMMIT")
        name = f"ledger_{time.monotonic_ns()}"
        with server.connect() as connection:
            connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
        server.dispose()
        made = engine_for(server.url.set(database=name).render_as_string(hide_password=False))
    yield made
    made.dispose()
