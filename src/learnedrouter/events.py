"""The one event that every routed request leaves behind, for every sink alike."""

from dataclasses import dataclass
from decimal import Decimal

from learnedrouter.chat import ModelRef, Usage
from learnedrouter.providers.bodies import UNADJUSTED, Adjusted
from learnedrouter.providers.fallback import Attempt
from learnedrouter.tiers import Decision


@dataclass(frozen=True, slots=True)
class RoutedCompletion:
    """What became of one request.

    Parameters
    ----------
    id
        The request's id, as its answer shows it.
    decision
        The tier chosen, and why.
    model
        The model that answered; None where none did.
    served_tier
        The tier that this model stands in; differs from the decision's after a fallback.
    outcome
        ``ok``, the code of the error that the caller got, or ``disconnected`` where the caller did not wait for the end.
    attempts
        What was tried, in order.
    usage
        Tokens billed.
    cost_usd
        What they cost; None where tokens or price are unknown.
    baseline_usd
        What the same tokens would have cost at the top tier's first model.
    decision_seconds, provider_seconds, total_seconds
        How long deciding, the providers, and everything together took.
    adjusted
        What of the request was changed for the model that answered.
    streamed
        Whether the answer was, or was to be, streamed.
    """

    id: str
    decision: Decision
    model: ModelRef | None
    served_tier: str
    outcome: str
    attempts: tuple[Attempt, ...]
    usage: Usage
    cost_usd: Decimal | None
    baseline_usd: Decimal | None
    decision_seconds: float
    provider_seconds: float
    total_seconds: float
    adjusted: Adjusted = UNADJUSTED
    streamed: bool = False

    @property
    def fallbacks(self) -> int:
        """How many attempts came before the last."""
        return max(len(self.attempts) - 1, 0)

    @property
    def saved_usd(self) -> Decimal | None:
        """Baseline less cost; None where one of them is unknown."""
        return None if self.cost_usd is None or self.baseline_usd is None else self.baseline_usd - self.cost_usd
