"""Prometheus metrics of everything that was routed, and of the service itself."""

from learnedrouter.events import RoutedCompletion
from learnedrouter.sinks.meters.answers import AnswerMeters
from learnedrouter.sinks.meters.base import Meters
from learnedrouter.sinks.meters.calls import CallMeters
from learnedrouter.sinks.meters.decisions import DecisionMeters
from learnedrouter.sinks.meters.health import HealthMeters
from learnedrouter.sinks.meters.ledger import LedgerMeters
from learnedrouter.sinks.meters.money import MoneyMeters

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class MetricsSink:
    """Counts what happened; see `learnedrouter.router.Sink`.

    Parameters
    ----------
    meters
        Makes the metrics; sinks that have some of their own take it too.
    health
        The service's own.
    ledger
        The ledger's.
    """

    def __init__(self) -> None:
        self.meters = Meters()
        self.health = HealthMeters(self.meters)
        self.ledger = LedgerMeters(self.meters)
        self._families = tuple(family(self.meters) for family in (DecisionMeters, AnswerMeters, CallMeters, MoneyMeters))

    def record(self, event: RoutedCompletion) -> None:
        """See `Sink.record`."""
        for family in self._families:
            family.record(event)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return self.meters.exposition()
