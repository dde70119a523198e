"""The sink: an answer waits for its row, its row for nobody but the rows before it.

One thread writes. What waits while it commits goes into the next transaction, all of it at once (group commit): under
load one commit serves many requests, and a request that comes alone waits for nothing but its own.

Where the database cannot be written (locked, full, gone), no answer fails, and none waits once the first transaction has
failed: rows queue up, as many as the configuration allows, and are written when it heals. That it broke and that it healed
are a line in the log each.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from queue import Empty, SimpleQueue
from typing import NamedTuple, Protocol

import structlog

from learnedrouter.events import RoutedCompletion
from learnedrouter.sinks.ledger.rows import Capture, Rows, microseconds, rows_of
from learnedrouter.sinks.ledger.store import BadRow, Store

GROUP = 256
"""Requests that one transaction takes at most; more would only make the first of them wait longer."""

RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.1, 5.0
"""Pauses between attempts at a database that cannot be written: doubled from the first to the longest."""

_FORGET_EVERY_SECONDS = 3_600.0


class Watch(Protocol):
    """Is told how the ledger fares; from its thread as from others."""

    def ledger_wrote(self, rows: int, seconds: float, queued: int) -> None:
        """Note that rows were committed, in so many seconds; so many wait."""

    def ledger_failed(self, queued: int) -> None:
        """Note that a transaction failed; so many rows wait."""

    def ledger_dropped(self, rows: int) -> None:
        """Note that rows will never be written."""

    def ledger_late(self) -> None:
        """Note that an answer went out before its row was committed."""


class _Entry(NamedTuple):
    event: RoutedCompletion
    committed: asyncio.Future[None] | None
    limit: asyncio.TimerHandle | None


class Ledger:
    """Keeps a row for each request; see `learnedrouter.recording.Sink`.

    Parameters
    ----------
    store
        Where the rows go.
    watch
        Is told how it fares.
    capture
        What is kept of the ask beside its length and its hash.
    queue_rows
        How many rows may wait for a database that cannot be written; those after them are dropped.
    wait_seconds
        The longest that an answer waits for its row: long enough for a database that is only busy. One that fails lets all
        answers go at once; this is for one that hangs.
    keep_days
        How long rows are kept; None keeps them for ever.
    """

    def __init__(
        self, store: Store, watch: Watch, *, capture: Capture, queue_rows: int, wait_seconds: float, keep_days: int | None
    ) -> None:
        self._store, self._watch, self._capture = store, watch, capture
        self._queue_rows, self._wait_seconds, self._keep_days = queue_rows, wait_seconds, keep_days
        self._queue: SimpleQueue[_Entry | None] = SimpleQueue()
        self._backlog: deque[_Entry] = deque()  # taken from the queue, not yet written; the thread's own
        self._healthy, self._full = True, False
        self._stopping = threading.Event()
        self._pause_seconds = RETRY_SECONDS
        self._forget_at = 0.0
        self._log = structlog.get_logger("learnedrouter")
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)

    @property
    def healthy(self) -> bool:
        """Whether the database could be written when it was last tried."""
        return self._healthy

    @property
    def queued(self) -> int:
        """How many rows wait."""
        return len(self._backlog) + self._queue.qsize()

    def find(self, identity: str) -> RoutedCompletion | None:
        """Return the event of a request, see `reading.find`; blocks."""
        return self._store.find(identity)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self) -> None:
        """Write what waits, if it can be written now, and stop."""
        self._stopping.set()
        self._queue.put(None)
        self._thread.join()

    def record(self, event: RoutedCompletion) -> asyncio.Future[None] | None:
        """See `Sink.record`; what is returned is done once the row is committed, or cannot be for now."""
        if self.queued >= self._queue_rows:
            self._drop()
            return None
        if not self._healthy:
            self._watch.ledger_late()
            self._queue.put(_Entry(event, None, None))
            return None
        loop = asyncio.get_running_loop()
        committed = loop.create_future()
        self._queue.put(_Entry(event, committed, loop.call_later(self._wait_seconds, self._give_up, committed)))
        return committed

    def _give_up(self, committed: asyncio.Future[None]) -> None:
        if not committed.done():
            self._let_go(committed)
            self._note_trouble(f"no row was committed for {self._wait_seconds} s")

    def _let_go(self, committed: asyncio.Future[None]) -> None:
        self._watch.ledger_late()
        committed.set_result(None)

    def _drop(self) -> None:
        self._watch.ledger_dropped(1)
        if not self._full:
            self._full = True
            self._log.error("the ledger's queue is full: rows are lost", queue_rows=self._queue_rows)

    def _run(self) -> None:
        try:
            self._store.open()
        except Exception as error:  # see below
            self._ail(error)
        while self._take():
            group = [self._backlog[place] for place in range(min(GROUP, len(self._backlog)))]
            try:
                began = time.perf_counter()
                self._write(group)
            except Exception as error:  # whatever a database can think of: this thread must go on
                self._ail(error)
                if self._stopping.is_set():
                    break
                self._stopping.wait(self._pause_seconds)
                self._pause_seconds = min(self._pause_seconds * 2, LONGEST_RETRY_SECONDS)
            else:
                for _ in group:
                    self._backlog.popleft()
                self._watch.ledger_wrote(len(group), time.perf_counter() - began, self.queued)
                _release(group, _done)
                self._heal()
        if self._backlog:
            self._watch.ledger_dropped(len(self._backlog))
            self._log.error("the ledger is closed: rows are lost", rows=len(self._backlog))
        self._store.close()

    def _take(self) -> bool:
        """Fill the backlog with all that waits; where nothing does, wait for it. Return False where nothing will come."""
        while not self._backlog and self._queue.empty() and not self._stopping.is_set():
            if self._keep_days is None:
                self._add(self._queue.get())
            else:
                self._forget()
                with suppress(Empty):
                    self._add(self._queue.get(timeout=_FORGET_EVERY_SECONDS))
        with suppress(Empty):
            while len(self._backlog) < GROUP or not self._healthy:
                self._add(self._queue.get_nowait())
        return bool(self._backlog)

    def _add(self, entry: _Entry | None) -> None:
        if entry is not None:  # which only wakes the thread
            self._backlog.append(entry)

    def _write(self, group: Sequence[_Entry]) -> None:
        rows = [rows_of(entry.event, self._capture) for entry in group]
        try:
            self._store.write(rows)
        except BadRow:  # one by one, so that the others are not lost with it
            for row in rows:
                self._write_alone(row)

    def _write_alone(self, row: Rows) -> None:
        identity = row.request["id"]
        try:
            self._store.write([row])
        except BadRow as error:
            if not self._store.holds(identity):  # a commit may have been done, though its answer was lost
                self._watch.ledger_dropped(1)
                self._log.error("the ledger cannot hold a row", id=identity, error=str(error))

    def _ail(self, error: Exception) -> None:
        self._note_trouble(str(error).strip() or type(error).__name__)
        with suppress(Empty):
            while True:
                self._add(self._queue.get_nowait())
        _release(self._backlog, self._let_go)
        self._watch.ledger_failed(self.queued)

    def _note_trouble(self, problem: str) -> None:
        if self._healthy:
            self._healthy = False
            self._log.error("the ledger cannot be written: rows wait, answers do not", problem=problem, rows=self.queued)

    def _heal(self) -> None:
        self._pause_seconds = RETRY_SECONDS
        if not self._healthy and not self._backlog:
            self._healthy, self._full = True, False
            self._log.warning("the ledger is written again, and what waited with it")

    def _forget(self) -> None:
        """Delete what is older than it is to be kept; called when nothing else is to be done, and once an hour at most."""
        if self._keep_days is None or time.monotonic() < self._forget_at:
            return
        self._forget_at = time.monotonic() + _FORGET_EVERY_SECONDS
        before = microseconds(datetime.now(UTC) - timedelta(days=self._keep_days))
        with suppress(Exception):  # it is tried again in an hour; that the database ails, the next row will tell
            while self._queue.empty() and self._store.forget(before):
                pass


def _release(entries: Sequence[_Entry] | deque[_Entry], resolve: Callable[[asyncio.Future[None]], None]) -> None:
    """Let the answers of `entries` go that still wait, each on its own event loop."""
    loops: dict[asyncio.AbstractEventLoop, list[_Entry]] = {}
    for entry in entries:
        if entry.committed is not None:
            loops.setdefault(entry.committed.get_loop(), []).append(entry)
    for loop, waiting in loops.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, waiting, resolve)


def _resolve(entries: Sequence[_Entry], resolve: Callable[[asyncio.Future[None]], None]) -> None:
    for entry in entries:
        if entry.limit:
            entry.limit.cancel()
        if entry.committed and not entry.committed.done():
            resolve(entry.committed)


def _done(committed: asyncio.Future[None]) -> None:
    committed.set_result(None)
