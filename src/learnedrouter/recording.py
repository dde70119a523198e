"""The event of a request: made when it is over, however it ended, and told to every sink exactly once."""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Protocol

from learnedrouter.chat import Chunk, Completion, Usage
from learnedrouter.conversations import Conversations
from learnedrouter.errors import ProviderError
from learnedrouter.events import RoutedCompletion
from learnedrouter.planning import Plan, RoutedModel
from learnedrouter.providers.bodies import Adjusted, Link
from learnedrouter.providers.fallback import Attempt, OpenedStream

OK, DISCONNECTED = "ok", "disconnected"


class Sink(Protocol):
    """Is told of every routed request."""

    def record(self, event: RoutedCompletion) -> None:
        """Take note of `event`; must neither raise nor block."""


class Recorder:
    """Makes a request's event and tells the sinks.

    Parameters
    ----------
    plan
        What was decided.
    baseline
        The model whose price the baseline takes.
    sinks
        Whom to tell.
    began
        When the request came, on the clock of `time.perf_counter`.
    streamed
        Whether the answer is to be streamed.
    conversations
        Remember who answered.
    """

    def __init__(
        self,
        plan: Plan,
        baseline: RoutedModel | None,
        sinks: Sequence[Sink],
        began: float,
        *,
        streamed: bool,
        conversations: Conversations,
    ) -> None:
        self.plan = plan
        self._conversations = conversations
        self._discarded: list[tuple[Link, Usage]] = []
        self._baseline, self._sinks, self._began, self._streamed = baseline, sinks, began, streamed

    @property
    def elapsed_seconds(self) -> float:
        """How long ago the request came."""
        return time.perf_counter() - self._began

    def answered(self, link: Link, outcome: str, attempts: Sequence[Attempt], usage: Usage, adjusted: Adjusted) -> RoutedCompletion:
        """Record a request that a model answered, be it to the end or not."""
        event = self._event(outcome, attempts, usage)
        costs = [self._cost(*billed) for billed in ((link, usage), *self._discarded)]
        cost = None if None in costs else sum(filter(None, costs), Decimal(0))
        self._conversations.remember(self.plan.conversation, link.ref.model, usage)
        return self._tell(replace(event, model=link.ref, served_tier=link.tier, cost_usd=cost, adjusted=adjusted))

    def discard(self, link: Link, usage: Usage, reason: str) -> None:
        """Book an answer that the caller does not get, and note for which reason another model was asked."""
        self._discarded.append((link, usage))
        decision = self.plan.decision
        self.plan = replace(self.plan, decision=replace(decision, reasons=(*decision.reasons, reason)))

    def unanswered(self, outcome: str, attempts: Sequence[Attempt]) -> RoutedCompletion:
        """Record a request that no model answered."""
        return self._tell(self._event(outcome, attempts, Usage()))

    def _cost(self, link: Link, usage: Usage) -> Decimal | None:
        price = next((model.price for model in self.plan.models if model.link is link), None)
        return price.cost(usage) if price else None

    def _event(self, outcome: str, attempts: Sequence[Attempt], usage: Usage) -> RoutedCompletion:
        baseline = self._baseline.price if self._baseline else None
        return RoutedCompletion(
            id=self.plan.id,
            decision=self.plan.decision,
            model=None,
            served_tier="",
            outcome=outcome,
            attempts=tuple(attempts),
            usage=usage,
            cost_usd=None,
            baseline_usd=baseline.cost(usage) if baseline else None,
            decision_seconds=self.plan.decision_seconds,
            provider_seconds=sum(attempt.duration_ms for attempt in attempts) / 1000,
            total_seconds=self.elapsed_seconds,
            streamed=self._streamed,
        )

    def _tell(self, event: RoutedCompletion) -> RoutedCompletion:
        for sink in self._sinks:
            sink.record(event)
        return event


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
        """Close the provider's connection, and return the event, which the first call records."""
        if self._event is None:
            # Recorded before anything is awaited: whoever closes may be cancelled meanwhile.
            opened = self._opened
            *before, last = opened.attempts
            duration_ms = last.duration_ms + (time.perf_counter() - self._first_content) * 1000
            attempt = replace(last, outcome=self._outcome, message=self._message, status=self._status, duration_ms=duration_ms)
            usage = opened.reader.usage
            self._event = self._recorder.answered(opened.link, self._outcome, (*before, attempt), usage, opened.adjusted)
            await opened.aclose()
        return self._event
