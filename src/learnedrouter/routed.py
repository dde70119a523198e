"""What routing goes by, and what it gives: an answer and its event, or the reason why there is none and its event."""

from dataclasses import dataclass

from learnedrouter.chat import Completion
from learnedrouter.errors import BudgetError, LearnedRouterError, NoModelAnswered
from learnedrouter.events import RoutedCompletion


@dataclass(frozen=True, slots=True)
class Routed:
    """An answer and its event."""

    completion: Completion
    event: RoutedCompletion


class RoutingFailed(LearnedRouterError):
    """No model answered, or none was called; carries the event, so that the caller still learns who was tried and why."""

    def __init__(self, event: RoutedCompletion, cause: NoModelAnswered | BudgetError) -> None:
        super().__init__(str(cause))
        self.event, self.cause = event, cause


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds for every request.

    Parameters
    ----------
    deadline_seconds
        For a request as a whole, every fallback included.
    expected_output_tokens
        For estimates, where a request sets no limit.
    threshold
        In place of the artefact's; None leaves that one.
    escalated
        What may be wrong with a whole answer (`checking.shortcoming`) for the next model up to be asked, once.
    """

    deadline_seconds: float
    expected_output_tokens: int
    threshold: float | None = None
    escalated: frozenset[str] = frozenset()
