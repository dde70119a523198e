import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import Engine
from structlog.testing import capture_logs

from learnedrouter.chat import Usage
from learnedrouter.sinks.ledger import reading
from learnedrouter.sinks.ledger.database import engine_for
from learnedrouter.sinks.ledger.sink import Ledger
from learnedrouter.sinks.ledger.store import Store
from tests.ledger.world import Watched, event


def ledger(engine: Engine, watched: Watched, **options: Any) -> Ledger:
    return Ledger(Store(engine), watched, **{"capture": "off", "queue_rows": 1_000, "wait_seconds": 20.0, "keep_days": None, **options})


def run(made: Ledger, story: Callable[[], Awaitable[None]]) -> None:
    made.start()
    try:
        asyncio.run(story())
    finally:
        made.close()


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(2_000):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not within twenty seconds")


def test_who_waited_has_its_row_and_many_share_a_transaction(engine: Engine) -> None:
    """What `record` returns is done when the row can be read; what waits meanwhile is committed together."""
    watched = Watched()

    async def one(made: Ledger) -> None:
        told = event()
        await made.record(told)
        assert reading.find(engine, told.id) is not None

    async def story() -> None:
        await one(made)
        await asyncio.gather(*(one(made) for _ in range(300)))

    made = ledger(engine, watched)
    run(made, story)

    assert watched.rows == 301
    assert watched.groups < 150
    assert (watched.failures, watched.dropped, watched.late) == (0, 0, 0)


def test_a_locked_database_holds_no_answer_up(tmp_path: Path) -> None:
    """The first transaction that fails lets all who wait go; the rows wait, as many as may, and are written when it heals.

    Whoever went without its row is counted.
    That it broke, that rows are lost and that it healed are one line each in the log, however many requests there were.
    """
    path, watched = tmp_path / "ledger.db", Watched()
    engine = engine_for(f"sqlite:///{path}", lock_seconds=0.05)
    told = [event() for _ in range(60)]

    async def story() -> None:
        await made.record(told[0])
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            await asyncio.gather(*filter(None, map(made.record, told[1:11])))
            assert not made.healthy
            assert [made.record(one) for one in told[11:]] == [None] * 49
            assert made.queued == 40
            assert watched.dropped == 20 - 1
            assert watched.late == 40
            other.execute("ROLLBACK")
        await until(lambda: made.healthy)
        late = event()
        await made.record(late)
        assert reading.find(engine, late.id) is not None

    made = ledger(engine, watched, queue_rows=40)
    with capture_logs() as logs:
        run(made, story)

    assert [one.id for one in told if reading.find(engine, one.id)] == [one.id for one in told[:41]]
    assert watched.failures > 0
    assert [line["log_level"] for line in logs] == ["error", "error", "warning"]
    assert "locked" in logs[0]["problem"]


def test_a_full_disk_holds_no_answer_up(tmp_path: Path) -> None:
    """SQLite says that the disk is full: rows wait until there is room, and none is lost."""
    watched = Watched()
    engine = engine_for(f"sqlite:///{tmp_path}/ledger.db")
    full = True
    told = [event() for _ in range(400)]

    @sqlalchemy.event.listens_for(engine, "connect")
    def limit(connection: Any, _: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {60 if full else 1_000_000}")

    async def story() -> None:
        nonlocal full
        for one in told:
            if (committed := made.record(one)) is not None:
                await committed
        assert not made.healthy
        assert 0 < made.queued < 400
        full = False
        await until(lambda: made.healthy)

    made = ledger(engine, watched)
    with capture_logs() as logs:
        run(made, story)

    assert {one.id for one in reading.events(engine)} == {one.id for one in told}
    assert watched.dropped == 0
    assert "full" in logs[0]["problem"]
    assert len(logs) == 2


def test_a_broken_database_holds_no_answer_up(tmp_path: Path) -> None:
    """A file that is no database: rows wait until it is one, or until the ledger is closed, which says how many are lost."""
    path, watched = tmp_path / "ledger.db", Watched()
    path.write_bytes(b"this is no database, but text of some length" * 100)
    engine = engine_for(f"sqlite:///{path}")

    async def story() -> None:
        await asyncio.gather(*filter(None, (made.record(event()) for _ in range(5))))
        assert not made.healthy

    made = ledger(engine, watched)
    with capture_logs() as logs:
        run(made, story)

    assert watched.dropped == 5
    assert [line.get("rows") for line in logs][1:] == [5]
    assert path.read_bytes().startswith(b"this is no database")


def test_a_database_that_hangs_is_waited_for_once(tmp_path: Path) -> None:
    """Past `wait_seconds` the answer goes out, and those after it do not wait at all until the database is back."""
    path, watched = tmp_path / "ledger.db", Watched()
    engine = engine_for(f"sqlite:///{path}", lock_seconds=20)  # SQLite itself waits for long
    told = [event() for _ in range(3)]

    async def story() -> None:
        await made.record(told[0])
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            await made.record(told[1])
            assert made.record(told[2]) is None
        await until(lambda: made.healthy)

    made = ledger(engine, watched, wait_seconds=0.1)
    run(made, story)

    assert [one.id for one in told if reading.find(engine, one.id)] == [one.id for one in told]
    assert (watched.late, watched.dropped) == (2, 0)


def test_a_row_that_cannot_be_held_stops_no_other(engine: Engine) -> None:
    """It is lost, counted and named; whoever shares its transaction is written, and nobody twice."""
    watched, bad, twice = Watched(), event(usage=Usage(2**80, output_tokens=1)), event()
    good = [event() for _ in range(10)]

    async def story() -> None:
        await made.record(twice)
        await asyncio.gather(*filter(None, map(made.record, (*good[:5], bad, twice, *good[5:]))))

    made = ledger(engine, watched)
    with capture_logs() as logs:
        run(made, story)

    assert {one.id for one in reading.events(engine)} == {one.id for one in (twice, *good)}
    assert watched.dropped == 1
    assert [line["id"] for line in logs] == [bad.id]


def test_whoever_hangs_up_leaves_its_row(tmp_path: Path) -> None:
    """A caller that is cancelled while it waits for its row changes nothing about the row, nor about other callers."""
    engine, watched = engine_for(f"sqlite:///{tmp_path}/ledger.db"), Watched()
    gone, stays = event(), event()

    async def wait(committed: Awaitable[None]) -> None:
        await committed

    async def story() -> None:
        waiting = [asyncio.ensure_future(wait(future)) for future in map(made.record, (gone, stays)) if future]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await waiting[1]

    made = ledger(engine, watched)
    run(made, story)

    assert {one.id for one in reading.events(engine)} == {gone.id, stays.id}


def test_old_rows_go_when_there_is_nothing_else_to_do(tmp_path: Path) -> None:
    """With `keep_days`, what is older is deleted."""
    engine, watched = engine_for(f"sqlite:///{tmp_path}/ledger.db"), Watched()
    first = ledger(engine, watched)
    old = event(at=datetime.now(UTC) - timedelta(days=10))

    async def keep() -> None:
        await first.record(old)

    run(first, keep)
    later = ledger(engine, watched, keep_days=11)
    run(later, lambda: asyncio.sleep(0))
    assert reading.find(engine, old.id) is not None

    last = ledger(engine, watched, keep_days=9)

    async def wait() -> None:
        await until(lambda: reading.find(engine, old.id) is None)

    run(last, wait)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Any:
    """Every ledger's thread ends with it; a service that other tests share may have one too."""
    before = threading.enumerate()
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "ledger" and thread not in before]
