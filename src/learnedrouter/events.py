"""The one event that every routed request leaves behind, for every sink alike."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from learnedrouter.ask import Ask
from learnedrouter.chat import ANYBODY, Caller, Dialect, ModelRef, Usage
from learnedrouter.classifier.features import FloatArray
from learnedrouter.providers.bodies import UNADJUSTED, Adjusted
from learnedrouter.providers.trying import Attempt
from learnedrouter.tiers import Decision


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked. Its measures may be kept by any sink; the rest only by one that was told to.

    Parameters
    ----------
    characters
        Length of the newest human ask.
    sha256
        Of that ask as the classifier read it, in hexadecimal; the same ask has the same one.
    ask
        The ask itself; None where it was not kept.
    embedding : (dimension,)
        What the classifier's encoder made of it; None where it was not kept.
    """

    characters: int
    sha256: str
    ask: Ask | None = field(default=None, repr=False, compare=False)
    embedding: FloatArray | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class RoutedCompletion:
    """What became of one request.

    Parameters
    ----------
    id
        The request's id, as its answer shows it.
    at
        When the request came, in UTC.
    dialect
        The caller's.
    conversation
        What its conversation is known by.
    asked
        What was asked.
    decision
        The tier chosen, and why.
    model
        The model that answered; None where none did.
    served_tier
        The tier that this model stands in; differs from the decision's after a fallback.
    outcome
        ``ok``, the code of the error that the caller got, or ``disconnected`` where the caller did not wait for the end.
    attempts
        What was tried, in order, each with what it used and cost; the last attempt of an answered request is the answer.
    usage
        Tokens of the answer.
    cost_usd
        What all attempts cost together; None where tokens or price of the answer are unknown. What a failed attempt may
        have cost without telling is not in it: see `unaccounted_attempts`.
    baseline_usd
        What the answer's tokens would have cost at the top tier's first model.
    baseline_model
        That model; None where there is none.
    decision_seconds, provider_seconds, total_seconds
        How long deciding, the providers, and everything together took.
    adjusted
        What of the request was changed for the model that answered.
    streamed
        Whether the answer was, or was to be, streamed.
    caller
        Who asked.
    first_token_seconds
        From the request to the first content of its streamed answer; None where there was none.
    """

    id: str
    at: datetime
    dialect: Dialect
    conversation: str
    asked: Asked
    decision: Decision
    model: ModelRef | None
    served_tier: str
    outcome: str
    attempts: tuple[Attempt, ...]
    usage: Usage
    cost_usd: Decimal | None
    baseline_usd: Decimal | None
    baseline_model: str | None
    decision_seconds: float
    provider_seconds: float
    total_seconds: float
    adjusted: Adjusted = UNADJUSTED
    streamed: bool = False
    caller: Caller = ANYBODY
    first_token_seconds: float | None = None

    @property
    def fallbacks(self) -> int:
        """How many attempts came before the last."""
        return max(len(self.attempts) - 1, 0)

    @property
    def unaccounted_attempts(self) -> int:
        """How many attempts, the answer aside, may have cost money that nobody told us."""
        return sum(attempt.unaccounted for attempt in (self.attempts[:-1] if self.model else self.attempts))

    @property
    def saved_usd(self) -> Decimal | None:
        """Baseline less cost; None where one of them is unknown."""
        return None if self.cost_usd is None or self.baseline_usd is None else self.baseline_usd - self.cost_usd
