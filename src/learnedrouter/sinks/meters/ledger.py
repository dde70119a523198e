"""How the ledger fares; what tells it is `learnedrouter.sinks.ledger.sink.Watch`."""

from learnedrouter.sinks.meters.base import Meters

_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0)


class LedgerMeters:
    """Measures the ledger."""

    def __init__(self, meters: Meters) -> None:
        self._rows = meters.counter("ledger_rows", "Requests written to the ledger.")
        self._errors = meters.counter("ledger_write_errors", "Transactions of the ledger that failed.")
        self._dropped = meters.counter("ledger_dropped_rows", "Requests that the ledger will never hold.")
        self._late = meters.counter("ledger_late_answers", "Answers that went out before their row was committed.")
        self._commit = meters.histogram("ledger_commit_seconds", "Time that a transaction of the ledger took.", _SECONDS)
        self._queued = meters.gauge("ledger_queued_rows", "Rows that wait for the ledger.", "livesum")

    def ledger_wrote(self, rows: int, seconds: float, queued: int) -> None:
        """See `Watch`."""
        self._rows().inc(rows)
        self._commit().observe(seconds)
        self._queued().set(queued)

    def ledger_failed(self, queued: int) -> None:
        """See `Watch`."""
        self._errors().inc()
        self._queued().set(queued)

    def ledger_dropped(self, rows: int) -> None:
        """See `Watch`."""
        self._dropped().inc(rows)

    def ledger_late(self) -> None:
        """See `Watch`."""
        self._late().inc()
