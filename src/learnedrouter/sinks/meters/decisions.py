"""What was decided: the mix of tiers, how sure the classifier was, and why the tier is another than the predicted one."""

from learnedrouter.checking import SHORTCOMINGS
from learnedrouter.events import RoutedCompletion
from learnedrouter.sinks.meters.base import Meters

_SECONDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_SHARES = tuple(step / 20 for step in range(1, 21))


class DecisionMeters:
    """Measures decisions."""

    def __init__(self, meters: Meters) -> None:
        self._decisions = meters.counter("decisions", "Decisions: the tier mix.", "tier", "predicted_tier")
        self._reasons = meters.counter("decision_reasons", "Reasons of decisions; one decision may have several.", "reason")
        self._escalations = meters.counter(
            "escalations", "Decisions above the predicted tier, by the reason that decided.", "from", "to", "reason"
        )
        self._cut = meters.counter("truncated_asks", "Asks that were too long for the classifier to read whole.")
        self._confidence = meters.histogram("confidence", "Sufficiency of the tier chosen.", _SHARES, "tier")
        self._seconds = meters.histogram("decision_seconds", "Time to decide.", _SECONDS)

    def record(self, event: RoutedCompletion) -> None:
        """Measure the decision of `event`."""
        decision = event.decision
        self._decisions(decision.tier, decision.predicted_tier).inc()
        for reason in decision.reasons:
            self._reasons(reason).inc()
        if decision.escalated:
            decided = next(reason for reason in reversed(decision.reasons) if reason not in SHORTCOMINGS)  # those came after an answer
            self._escalations(decision.predicted_tier, decision.tier, decided).inc()
        if decision.truncated:
            self._cut().inc()
        self._confidence(decision.tier).observe(decision.confidence)
        self._seconds().observe(event.decision_seconds)
