"""The thread that keeps the books: it does in one transaction whatever has been asked of it by then.

One connection, one transaction for many requests at once, and no event loop that waits for a disk.
"""

import asyncio
import threading
import time
from collections import deque
from contextlib import suppress
from queue import Empty, SimpleQueue

import structlog
from sqlalchemy.exc import DataError, IntegrityError

from learnedrouter.budgets.books import Reserve, Settle, Verdict
from learnedrouter.budgets.store import Operation, Store
from learnedrouter.errors import BudgetsUnavailable

GROUP = 256
"""The most operations of one transaction: some milliseconds of work, for which other processes have to wait."""

RETRY_SECONDS = 1.0
"""How long the database is left alone after it failed; meanwhile nobody has to wait for it in vain."""

SWEEP_SECONDS = 60.0
"""How often reservations that nobody settled are looked for."""

MOST_WAITING = 100_000
"""How many settlements wait, at most, for a database that fails; the rest count as estimated once their reservations expire."""

WAIT_SECONDS = 2.0
"""How long a request waits, at most, for the database."""

_CLOSING_SECONDS = 10.0


class _Asked:
    """A `Reserve`, and who waits for its verdict."""

    __slots__ = ("asked", "future", "loop")

    def __init__(self, asked: Reserve) -> None:
        self.asked, self.loop = asked, asyncio.get_running_loop()
        self.future: asyncio.Future[Verdict] = self.loop.create_future()


class Clerk:
    """Keeps the books of a `Store`, on a thread of its own.

    Parameters
    ----------
    store
        Written by this thread alone from now on; closed with it.
    wait_seconds, retry_seconds
        See `WAIT_SECONDS` and `RETRY_SECONDS`.
    """

    def __init__(self, store: Store, *, wait_seconds: float = WAIT_SECONDS, retry_seconds: float = RETRY_SECONDS) -> None:
        self.store, self._wait_seconds, self._retry_seconds = store, wait_seconds, retry_seconds
        self._queue: SimpleQueue[_Asked | Settle | None] = SimpleQueue()
        self._waiting: deque[Settle] = deque(maxlen=MOST_WAITING)
        self._closing, self._rests_until, self._swept_at = False, 0.0, 0.0
        self._log = structlog.get_logger("learnedrouter")
        self._thread = threading.Thread(target=self._work, name="budgets", daemon=True)
        self._thread.start()

    async def reserve(self, asked: Reserve) -> Verdict:
        """Return what becomes of `asked`, once that is committed.

        Raises
        ------
        BudgetsUnavailable
            The database fails, failed just now, or does not answer. It may still do what was asked: to be settled either way.
        """
        waiting = _Asked(asked)
        self._queue.put(waiting)
        try:
            async with asyncio.timeout(self._wait_seconds):
                return await waiting.future
        except TimeoutError:
            raise BudgetsUnavailable(f"the budgets' database did not answer within {self._wait_seconds:g} s") from None

    def settle(self, settled: Settle) -> None:
        """Book what a request cost, as soon as the database can; neither blocks nor raises."""
        self._queue.put(settled)

    def close(self) -> None:
        """Do what has been asked by now, and end."""
        self._queue.put(None)
        self._thread.join(_CLOSING_SECONDS)
        if self._waiting:
            self._log.error("settlements are lost; they count as their estimates once their reservations expire", lost=len(self._waiting))
        self.store.close()

    def _work(self) -> None:
        while not self._closing:
            jobs = self._taken()
            if time.monotonic() >= self._rests_until or self._closing:
                self._do(jobs)
                self._sweep()
            else:
                self._turn_away(jobs, "failed a moment ago")

    def _taken(self) -> list[_Asked | Settle]:
        """Wait for work, and return all that has come by then."""
        jobs: list[_Asked | Settle] = []
        try:
            job = self._queue.get(timeout=self._retry_seconds if self._waiting else SWEEP_SECONDS)
            while job is not None:
                jobs.append(job)
                if len(jobs) == GROUP:
                    return jobs
                job = self._queue.get_nowait()
            self._closing = True
        except Empty:
            pass
        return jobs

    def _do(self, jobs: list[_Asked | Settle]) -> None:
        """Do what waited and what is new in one transaction; where one of it cannot be done at all, the rest without it."""
        overdue = [self._waiting.popleft() for _ in range(min(len(self._waiting), GROUP))]
        everything: list[_Asked | Settle] = [*overdue, *jobs]
        try:
            self._answer(everything, self._applied(everything))
        except Exception as error:  # the thread must live: without it, nobody is answered any more
            if _is_trouble(error):
                self._rest(everything, error)
            else:
                for job in everything:
                    self._do_alone(job)

    def _do_alone(self, job: _Asked | Settle) -> None:
        try:
            self._answer([job], self._applied([job]))
        except Exception as error:
            if _is_trouble(error) or isinstance(job, _Asked):
                self._rest([job], error)
            else:
                self._log.error("a request cannot be booked", id=job.id, error=_said(error))

    def _rest(self, jobs: list[_Asked | Settle], error: Exception) -> None:
        self._rests_until = time.monotonic() + self._retry_seconds
        self._log.error("the budgets' database fails", error=_said(error), waiting=len(self._waiting) + len(jobs))
        self._turn_away(jobs, f"fails: {_said(error)}")

    def _applied(self, jobs: list[_Asked | Settle]) -> list[Verdict | None]:
        operations: list[Operation] = [job.asked if isinstance(job, _Asked) else job for job in jobs]
        if not operations:
            return []
        try:
            return self.store.apply(operations)
        except IntegrityError:  # another process opened the same account at the same time
            return self.store.apply(operations)

    def _sweep(self) -> None:
        if time.monotonic() < max(self._swept_at + SWEEP_SECONDS, self._rests_until) or self._closing:
            return
        self._swept_at = time.monotonic()
        try:
            if gone := self.store.sweep(time.time_ns() // 1000):
                self._log.warning("reservations that nobody settled are booked as spent", requests=gone)
        except Exception as error:
            self._log.error("expired reservations cannot be looked for", error=_said(error))

    def _answer(self, jobs: list[_Asked | Settle], verdicts: list[Verdict | None]) -> None:
        for job, verdict in zip(jobs, verdicts, strict=True):
            if isinstance(job, _Asked) and verdict:
                _tell(job, verdict)

    def _turn_away(self, jobs: list[_Asked | Settle], why: str) -> None:
        for job in jobs:
            if isinstance(job, _Asked):
                _tell(job, BudgetsUnavailable(f"the budgets' database {why}"))
            else:
                self._waiting.append(job)


def _is_trouble(error: Exception) -> bool:
    """Say whether the database fails, and not what was asked of it."""
    return not isinstance(error, DataError | IntegrityError | OverflowError | ValueError)


def _said(error: Exception) -> str:
    """Return what the driver said, without the statement that SQLAlchemy adds."""
    return str(error.__cause__ or error)


def _tell(job: _Asked, verdict: Verdict | BudgetsUnavailable) -> None:
    def wake() -> None:
        if job.future.done():  # its caller is gone
            return
        if isinstance(verdict, Verdict):
            job.future.set_result(verdict)
        else:
            job.future.set_exception(verdict)

    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        job.loop.call_soon_threadsafe(wake)
