"""Many requests at once, several processes, and a database in trouble."""

import asyncio
import multiprocessing
import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from structlog.testing import capture_logs

from learnedrouter.budgets.books import Balance, Claim, Reserve, Settle
from learnedrouter.budgets.clerk import Clerk
from learnedrouter.budgets.policy import Account
from learnedrouter.budgets.store import Store
from learnedrouter.errors import BudgetsUnavailable
from learnedrouter.sinks.ledger.database import engine_for

ACCOUNT = Account("day", "", "2026-11-23")
CLAIMS = (Claim(ACCOUNT, 1_000),)


def store(url: str) -> Store:
    return Store(engine_for(url))


def asked(name: str, amount: int = 10) -> Reserve:
    return Reserve(name, CLAIMS, amount, None, expires_at_us=1 << 60)


@pytest.fixture
def url(engine: Engine) -> str:
    """An empty database, of either kind."""
    return engine.url.render_as_string(hide_password=False)


@pytest.fixture
def clerk(url: str) -> Iterator[Clerk]:
    clerk = Clerk(store(url))
    yield clerk
    clerk.close()


def balance(url: str) -> Balance:
    books = store(url)
    try:
        return books.balances([ACCOUNT.period]).get(ACCOUNT, Balance())
    finally:
        books.close()


async def ask_all(clerk: Clerk, prefix: str, count: int) -> int:
    """Ask for `count` requests at once; give how many were let in."""
    verdicts = await asyncio.gather(*(clerk.reserve(asked(f"{prefix}{place}")) for place in range(count)))
    return sum(verdict.reserved is not None for verdict in verdicts)


def test_a_thousand_at_once(clerk: Clerk, url: str) -> None:
    """Of a thousand requests at once exactly as many are let in as the limit holds; the others are counted."""
    assert asyncio.run(ask_all(clerk, "r", 1_000)) == 100
    assert balance(url) == Balance(reserved=1_000, refused=900)


def another_process(url: str, name: str) -> None:
    clerk = Clerk(store(url))
    asyncio.run(ask_all(clerk, name, 200))
    clerk.close()


def test_several_processes_share_a_budget(url: str) -> None:
    """Processes that ask at the same time let in, together, exactly as much as the limit holds."""
    balance(url)  # which makes the tables
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=another_process, args=(url, f"p{number}-")) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert balance(url) == Balance(reserved=1_000, refused=500)


def reserve_and_die(url: str) -> None:
    clerk = Clerk(store(url))
    asyncio.run(ask_all(clerk, "dying", 30))
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_leaks_nothing(url: str) -> None:
    """What a killed process had reserved stays taken, and counts as spent once nobody can settle it any more."""
    process = multiprocessing.get_context("spawn").Process(target=reserve_and_die, args=(url,))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert balance(url) == Balance(reserved=300)

    books = store(url)
    assert books.sweep(now_us=(1 << 60) + 1) == 30
    books.close()

    assert balance(url) == Balance(spent=300, unknown=30)


def test_what_was_asked_before_the_end_is_booked(clerk: Clerk, url: str) -> None:
    """Closing waits until every settlement is written."""
    asyncio.run(ask_all(clerk, "r", 50))
    for place in range(50):
        clerk.settle(Settle(f"r{place}", (ACCOUNT,), 10, 7))
    clerk.close()

    assert balance(url) == Balance(spent=350)


def test_a_locked_database(tmp_path: Path) -> None:
    """While another program holds the database, requests hear of it soon, and settlements wait until it lets go."""
    file = tmp_path / "ledger.db"
    url = f"sqlite:///{file}"
    clerk = Clerk(store(url), wait_seconds=0.2, retry_seconds=0.05)
    asyncio.run(ask_all(clerk, "r", 1))
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with capture_logs() as logs, pytest.raises(BudgetsUnavailable, match="did not answer"):
        asyncio.run(clerk.reserve(asked("late")))

    clerk.settle(Settle("r0", (ACCOUNT,), 10, 7))
    other.execute("ROLLBACK")
    other.close()
    clerk.settle(Settle("late", (ACCOUNT,), 0, 0))  # it may have been reserved after all
    clerk.close()

    assert balance(url) == Balance(spent=7)
    assert all("SELECT" not in str(line) for line in logs)


def test_a_caller_who_is_gone(clerk: Clerk, url: str) -> None:
    """A request that is given up while it waits is reserved or not; settled with nothing, it leaves nothing behind."""

    async def give_up() -> None:
        waiting = asyncio.create_task(clerk.reserve(asked("gone")))
        await asyncio.sleep(0)
        waiting.cancel()
        clerk.settle(Settle("gone", (ACCOUNT,), 0, 0))
        await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(give_up())
    clerk.close()

    assert balance(url) == Balance()


def test_what_cannot_be_booked_holds_nobody_up(clerk: Clerk, url: str) -> None:
    """A settlement that the database refuses is logged and given up; the others of its group are booked."""
    asyncio.run(ask_all(clerk, "r", 1))
    with capture_logs() as logs:
        clerk.settle(Settle("x", (ACCOUNT,), 0, 1 << 70))
        clerk.settle(Settle("r0", (ACCOUNT,), 10, 7))
        clerk.close()

    assert balance(url) == Balance(spent=7)
    assert [line["event"] for line in logs] == ["a request cannot be booked"]
