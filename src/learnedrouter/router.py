"""Routing one request: decide, call, account, and tell the sinks. Knows no HTTP."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from learnedrouter.ask import extract_ask
from learnedrouter.chat import ChatRequest, Completion, Usage
from learnedrouter.classifier.worker import ClassifierWorker, Judgement
from learnedrouter.errors import LearnedRouterError, NoModelAnswered, RequestError
from learnedrouter.events import RoutedCompletion
from learnedrouter.planning import RoutedModel, RouteOptions, estimated_cost, in_order, unable
from learnedrouter.providers.fallback import Attempt, FallbackChain, Link
from learnedrouter.tiers import Decision, decide_tier


class Sink(Protocol):
    """Is told of every routed request."""

    def record(self, event: RoutedCompletion) -> None:
        """Take note of `event`; must neither raise nor block."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A decision, and the models that will be tried for it, in order.

    Parameters
    ----------
    id
        The request's id.
    estimated_cost_usd
        With the first model; None where its price is unknown.
    """

    id: str
    decision: Decision
    models: tuple[RoutedModel, ...]
    estimated_cost_usd: Decimal | None
    decision_seconds: float


@dataclass(frozen=True, slots=True)
class Routed:
    """An answer and its event."""

    completion: Completion
    event: RoutedCompletion


class RoutingFailed(LearnedRouterError):
    """No model answered; carries the event, so that the caller still learns who was tried and why."""

    def __init__(self, event: RoutedCompletion, cause: NoModelAnswered) -> None:
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
    """

    deadline_seconds: float
    expected_output_tokens: int
    threshold: float | None = None


class Router:
    """Routes requests over a ladder of models.

    Parameters
    ----------
    worker
        The classifier.
    models
        Every model that can be called, in a tier in the order in which they are tried.
    chain
        Calls them.
    sinks
        Told of every request that was routed, answered or not.
    limits
        What holds for every request.
    """

    def __init__(
        self, worker: ClassifierWorker, models: Sequence[RoutedModel], chain: FallbackChain, sinks: Sequence[Sink], limits: Limits
    ) -> None:
        self._worker, self._models, self._chain, self._sinks, self._limits = worker, tuple(models), chain, tuple(sinks), limits
        self._ladder = worker.classifier.ladder
        self._baseline = max(models, key=lambda model: self._ladder.index(model.link.tier), default=None)

    @property
    def artifact(self) -> str:
        """Name and version of the classifier."""
        return self._worker.classifier.name

    async def aclose(self) -> None:
        """Stop the classifier's thread and close the providers' connections."""
        self._worker.close()
        await self._chain.aclose()

    async def plan(self, request: ChatRequest, options: RouteOptions) -> Plan:
        """Decide, and say who would be called.

        Raises
        ------
        RequestError
            An option names an unknown tier or contradicts another, or no model can serve the request.
        """
        began = time.perf_counter()
        allowed = options.allowed(self._ladder)
        able, refusals = self._able(request, options, allowed)
        judgement = await self._worker.judge(extract_ask(request))
        decision = self._decide(judgement, options, allowed, {self._ladder.index(model.link.tier) for model in able}, refusals)
        models = in_order(able, self._ladder.index(decision.tier), self._ladder)
        cost = estimated_cost(models[0], request, self._limits.expected_output_tokens)
        return Plan(f"rt_{uuid.uuid4().hex}", decision, models, cost, time.perf_counter() - began)

    async def route(self, request: ChatRequest, options: RouteOptions) -> Routed:
        """Decide and answer.

        Raises
        ------
        RequestError
            See `plan`; or no model left can be written to in its dialect.
        RoutingFailed
            No model answered.
        """
        began = time.perf_counter()
        plan = await self.plan(request, options)
        try:
            served = await self._chain.complete(
                request, [model.link for model in plan.models], deadline_seconds=self._limits.deadline_seconds
            )
        except NoModelAnswered as error:
            outcome = error.cause.code if error.cause else "unavailable"
            event = self._event(plan, None, outcome, error.attempts, Usage(), began)
            self._record(event)
            raise RoutingFailed(event, error) from error
        event = self._event(plan, served.link, "ok", served.attempts, served.completion.usage, began)
        self._record(event)
        return Routed(served.completion, event)

    def _able(self, request: ChatRequest, options: RouteOptions, allowed: range) -> tuple[list[RoutedModel], dict[int, str]]:
        """Return the models of the allowed tiers that can serve `request`, and by tier why others cannot."""
        able, refusals = [], {}
        for model in self._models:
            tier = self._ladder.index(model.link.tier)
            if tier not in allowed:
                continue
            reason = unable(model, request, options, self._limits.expected_output_tokens)
            if reason is None:
                able.append(model)
            else:
                refusals[tier] = reason
        if not able:
            told = ", ".join(f"{self._ladder.names[tier]}: {reason}" for tier, reason in refusals.items())
            raise RequestError(
                f"no model of the allowed tiers can serve this request ({told or 'none is configured with a key'})", status=422
            )
        return able, refusals

    def _decide(self, judgement: Judgement, options: RouteOptions, allowed: range, able: set[int], refusals: dict[int, str]) -> Decision:
        classifier = self._worker.classifier
        threshold = next(value for value in (options.threshold, self._limits.threshold, classifier.threshold) if value is not None)
        tier, reasons = decide_tier(judgement.sufficiency, judgement.predicted, threshold, allowed)
        if options.tier is not None:
            reasons = (*reasons, "forced_tier")
        if tier not in able:
            reasons = (*reasons, f"needs_{refusals[tier]}" if tier in refusals else "tier_has_no_model")
            tier = min(able, key=lambda other: (other < tier, abs(other - tier)))
        return Decision(
            tier=self._ladder.names[tier],
            predicted_tier=self._ladder.names[judgement.predicted],
            sufficiency=dict(zip(self._ladder.names, judgement.sufficiency, strict=True)),
            confidence=judgement.sufficiency[tier],
            threshold=threshold,
            reasons=reasons,
            artifact=classifier.name,
            ask_tokens=judgement.tokens,
            truncated=judgement.truncated,
            escalated=tier > judgement.predicted,
        )

    def _event(
        self, plan: Plan, link: Link | None, outcome: str, attempts: Sequence[Attempt], usage: Usage, began: float
    ) -> RoutedCompletion:
        answered = next((model for model in plan.models if model.link is link), None)
        return RoutedCompletion(
            id=plan.id,
            decision=plan.decision,
            model=link.ref if link else None,
            served_tier=link.tier if link else "",
            outcome=outcome,
            attempts=tuple(attempts),
            usage=usage,
            cost_usd=answered.price.cost(usage) if answered and answered.price else None,
            baseline_usd=self._baseline.price.cost(usage) if self._baseline and self._baseline.price else None,
            decision_seconds=plan.decision_seconds,
            provider_seconds=sum(attempt.duration_ms for attempt in attempts) / 1000,
            total_seconds=time.perf_counter() - began,
        )

    def _record(self, event: RoutedCompletion) -> None:
        for sink in self._sinks:
            sink.record(event)
