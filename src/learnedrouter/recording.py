"""The event of a request: made when it is over, however it ended, and told to every sink exactly once."""

import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Protocol

from learnedrouter.ask import Ask
from learnedrouter.chat import UNTOLD, Caller, Chunk, Completion, Dialect, Usage
from learnedrouter.classifier.worker import Judgement
from learnedrouter.conversations import Conversations
from learnedrouter.errors import ProviderError
from learnedrouter.events import Asked, RoutedCompletion
from learnedrouter.planning import Plan, RoutedModel
from learnedrouter.providers.bodies import Adjusted, Link
from learnedrouter.providers.fallback import OpenedStream
from learnedrouter.providers.trying import Attempt

OK, DISCONNECTED = "ok", "disconnected"


class Sink(Protocol):
    """Is told of every routed request."""

    def record(self, event: RoutedCompletion) -> Awaitable[None] | None:
        """Take note of `event`; must neither raise nor block.

        An answer is not complete before what is returned here is done, where anything is; it must not fail, and must be
        done soon, whatever happens.
        """


@dataclass(frozen=True, slots=True)
class Asker:
    """What a request's event tells of how it came: in which dialect, from whom, and whether to be streamed."""

    dialect: Dialect
    caller: Caller
    streamed: bool


class Recorder:
    """Makes a request's event and tells the sinks.

    Parameters
    ----------
    plan
        What was decided.
    asker
        How the request came.
    baseline
        The model whose price the baseline takes.
    sinks
        Whom to tell.
    began
        When the request came, on the clock of `time.perf_counter`.
    conversations
        Remember who answered.
    """

    def __init__(
        self,
        plan: Plan,
        asker: Asker,
        baseline: RoutedModel | None,
        sinks: Sequence[Sink],
        began: float,
        conversations: Conversations,
    ) -> None:
        self.plan = plan
        self._asker, self._baseline, self._sinks, self._began, self._conversations = asker, baseline, sinks, began, conversations
        self._prices = {(model.link.ref, model.link.tier): model.price for model in plan.models}
        self._waited_for: list[Awaitable[None]] = []
        self.first_token_seconds: float | None = None

    @property
    def elapsed_seconds(self) -> float:
        """How long ago the request came."""
        return time.perf_counter() - self._began

    def answered(self, link: Link, outcome: str, attempts: Sequence[Attempt], usage: Usage, adjusted: Adjusted) -> RoutedCompletion:
        """Record a request that a model answered, be it to the end or not; the last attempt is the answer."""
        *before, last = attempts
        event = self._event(outcome, (*before, replace(last, usage=usage)), usage)
        cost = None if event.attempts[-1].cost_usd is None else _sum(event.attempts)
        self._conversations.remember(self.plan.conversation, link.ref.model, usage)
        return self._tell(replace(event, model=link.ref, served_tier=link.tier, cost_usd=cost, adjusted=adjusted))

    def escalate(self, reason: str) -> None:
        """Note for which reason another model was asked, though one had answered."""
        decision = self.plan.decision
        self.plan = replace(self.plan, decision=replace(decision, reasons=(*decision.reasons, reason)))

    def unanswered(self, outcome: str, attempts: Sequence[Attempt]) -> RoutedCompletion:
        """Record a request that no model answered; failed attempts may have cost something all the same."""
        event = self._event(outcome, attempts, UNTOLD)
        unknown = outcome == DISCONNECTED or any(attempt.unaccounted for attempt in event.attempts)
        cost = _sum(event.attempts)
        return self._tell(replace(event, cost_usd=None if unknown and not cost else cost))

    def cost(self, link: Link, usage: Usage) -> Decimal | None:
        """Return what an answer cost; None where that is unknown."""
        price = self._prices.get((link.ref, link.tier))
        return price.cost(usage) if price else None

    async def kept(self) -> None:
        """Wait until every sink has what it was told, as far as it wants to be waited for."""
        while self._waited_for:
            await self._waited_for.pop()

    def _priced(self, attempt: Attempt) -> Attempt:
        price = self._prices.get((attempt.ref, attempt.tier))
        if attempt.usage is None or price is None:
            return attempt
        return replace(attempt, cost_usd=price.cost(attempt.usage), price_source=price.source)

    def _event(self, outcome: str, attempts: Sequence[Attempt], usage: Usage) -> RoutedCompletion:
        plan, baseline = self.plan, self._baseline
        return RoutedCompletion(
            id=plan.id,
            at=plan.at,
            dialect=self._asker.dialect,
            conversation=plan.conversation,
            asked=plan.asked,
            decision=plan.decision,
            model=None,
            served_tier="",
            outcome=outcome,
            attempts=tuple(map(self._priced, attempts)),
            usage=usage,
            cost_usd=None,
            baseline_usd=baseline.price.cost(usage) if baseline and baseline.price else None,
            baseline_model=baseline.link.ref.model if baseline else None,
            decision_seconds=plan.decision_seconds,
            provider_seconds=sum(attempt.duration_ms for attempt in attempts) / 1000,
            total_seconds=self.elapsed_seconds,
            first_token_seconds=self.first_token_seconds,
            streamed=self._asker.streamed,
            caller=self._asker.caller,
        )

    def _tell(self, event: RoutedCompletion) -> RoutedCompletion:
        for sink in self._sinks:
            if (kept := sink.record(event)) is not None:
                self._waited_for.append(kept)
        return event


def _sum(attempts: Sequence[Attempt]) -> Decimal:
    return sum((attempt.cost_usd for attempt in attempts if attempt.cost_usd is not None), Decimal(0))


def asked(ask: Ask, judgement: Judgement) -> Asked:
    """Return what the record knows of an ask."""
    digest = hashlib.sha256(ask.text.encode("utf-8", "surrogatepass")).hexdigest()
    return Asked(ask.characters, digest, ask, judgement.embedding)


class RoutedStream:
    """A streamed answer, its event recorded when it is closed: `aclose` must be called, however far it was read.

    Parameters
    ----------
    opened
        The answer.
    recorder
        Records it.
    """

    def __init__(self, opened: OpenedStream, recorder: Recorder) -> None:
        self._opened, self._recorder = opened, recorder
        self._outcome, self._message = DISCONNECTED, ""
        self._status: int | None = 200
        self._first_content = time.perf_counter()
        recorder.first_token_seconds = recorder.elapsed_seconds
        self._event: RoutedCompletion | None = None

    @property
    def plan(self) -> Plan:
        """What was decided."""
        return self._recorder.plan

    @property
    def opened(self) -> OpenedStream:
        """Who answers, and what was tried before."""
        return self._opened

    @property
    def completion(self) -> Completion:
        """What came so far."""
        return self._opened.reader.completion()

    async def chunks(self) -> AsyncIterator[Chunk]:
        """Yield the answer, in the caller's dialect.

        Raises
        ------
        ProviderError
            The stream broke.
        """
        try:
            async for chunk in self._opened.chunks():
                yield chunk
        except ProviderError as error:
            self._outcome, self._message, self._status = error.code, str(error), error.status
            raise
        self._outcome = OK

    async def aclose(self) -> RoutedCompletion:
        """Close the provider's connection, and return the event, which the first call records, once the sinks have it."""
        if self._event is None:
            # Recorded before anything is awaited: whoever closes may be cancelled meanwhile.
            opened = self._opened
            *before, last = opened.attempts
            duration_ms = last.duration_ms + (time.perf_counter() - self._first_content) * 1000
            attempt = replace(last, outcome=self._outcome, message=self._message, status=self._status, duration_ms=duration_ms)
            usage = opened.reader.usage
            self._event = self._recorder.answered(opened.link, self._outcome, (*before, attempt), usage, opened.adjusted)
            await opened.aclose()
        await self._recorder.kept()
        return self._event
