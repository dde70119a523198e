"""Routing one request: decide, call, account, and tell the sinks. Knows no HTTP."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

from learnedrouter.arrival import current_id
from learnedrouter.ask import extract_ask
from learnedrouter.chat import ChatRequest, Usage
from learnedrouter.checking import shortcoming
from learnedrouter.classifier.worker import ClassifierWorker, Judgement
from learnedrouter.conversations import Conversations
from learnedrouter.errors import BudgetError, NoModelAnswered, ProviderError, RequestError
from learnedrouter.planning import (
    Plan,
    Refusal,
    RoutedModel,
    RouteOptions,
    crossings,
    estimated_cost,
    has_room,
    in_order,
    nobody_can,
    unable,
)
from learnedrouter.providers.bodies import Link
from learnedrouter.providers.fallback import FallbackChain, Served
from learnedrouter.providers.trying import DISCONNECTED, Attempt
from learnedrouter.recording import OK, Asker, Recorder, RoutedStream, Sink, asked
from learnedrouter.routed import Limits, Routed, RoutingFailed
from learnedrouter.tiers import Decision, decide_tier, decide_unfamiliar

if TYPE_CHECKING:  # at run time it comes with a database, which a router without budgets does not need
    from learnedrouter.budgets.gate import Gate

__all__ = ["Limits", "Plan", "Routed", "RoutedStream", "Router", "RoutingFailed", "Sink"]

T = TypeVar("T")


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
    conversations
        Remember which model each stays with.
    budgets
        Let requests in as far as they go; None where there are none.
    """

    def __init__(
        self,
        worker: ClassifierWorker,
        models: Sequence[RoutedModel],
        chain: FallbackChain,
        sinks: Sequence[Sink],
        limits: Limits,
        conversations: Conversations,
        budgets: "Gate | None" = None,
    ) -> None:
        self._worker, self._models, self._chain, self._sinks, self._limits = worker, tuple(models), chain, tuple(sinks), limits
        self._conversations, self._budgets = conversations, budgets
        self._ladder = worker.classifier.ladder
        self._baseline = max(models, key=lambda model: self._ladder.index(model.link.tier), default=None)

    @property
    def artifact(self) -> str:
        """Name and version of the classifier."""
        return self._worker.classifier.name

    @property
    def models(self) -> tuple[RoutedModel, ...]:
        """Every model that can be called."""
        return self._models

    @property
    def budgets(self) -> "Gate | None":
        """What lets requests in as far as budgets go; None where there are none."""
        return self._budgets

    async def breaker_states(self) -> Mapping[str, str]:
        """Return the state of each model's circuit breaker: ``closed``, ``half-opened`` or ``opened``."""
        return {model.link.ref.model: await self._chain.breaker_state(model.link.ref) for model in self._models}

    async def aclose(self) -> None:
        """Stop the classifier's thread and close the providers' connections."""
        self._worker.close()
        await self._chain.aclose()
        if self._budgets:
            await self._budgets.aclose()

    async def plan(self, request: ChatRequest, options: RouteOptions) -> Plan:
        """Decide, and say who would be called.

        Raises
        ------
        RequestError
            An option names an unknown tier or model or contradicts another, or no model can serve the request.
        """
        began, at = time.perf_counter(), datetime.now(UTC)
        allowed = options.allowed(self._ladder)
        able, refusals = self._able(request, options, allowed)
        ask = extract_ask(request)
        judgement = await self._worker.judge(ask)
        decision = self._decide(judgement, options, allowed, {self._ladder.index(model.link.tier) for model in able}, refusals)
        models = in_order(able, self._ladder.index(decision.tier), self._ladder)
        conversation = self._conversations.key(request, options.conversation_id)
        held = self._conversations.recall(conversation, request, options.conversation_id)
        if held and options.tier is None and options.model is None:
            tokens = Usage(request.input_tokens_estimate, output_tokens=self._limits.expected_output_tokens)
            decision, models = self._conversations.kept(held, decision, models, tokens, self._ladder)
        lowest = min(self._ladder.index(model.link.tier) for model in able)
        cheapest = tuple(model for model in able if self._ladder.index(model.link.tier) == lowest)
        if options.fallback == "off" or options.model is not None:
            models, cheapest = models[:1], cheapest[:1]
        return Plan(
            id=current_id(),
            decision=decision,
            models=models,
            cheapest=cheapest,
            estimated_cost_usd=self._estimate(request, models[0]),
            decision_seconds=time.perf_counter() - began,
            conversation=conversation,
            author=held.model if held else None,
            at=at,
            asked=asked(ask, judgement),
        )

    async def route(self, request: ChatRequest, options: RouteOptions) -> Routed:
        """Decide and answer.

        Raises
        ------
        RequestError
            See `plan`; or no model left can be written to in its dialect.
        RoutingFailed
            No model answered, or a budget does not cover the request.
        """
        recorder = await self._admit(request, options, streamed=False)
        served = await self._call(self._chain.complete, request, recorder)
        problem = shortcoming(request, served.completion, clamped=bool(served.adjusted.clamped))
        if problem in self._limits.escalated:
            served = await self._escalated(request, options, served, problem, recorder)
        usage = served.completion.usage
        event = recorder.answered(served.link, OK, served.attempts, usage, served.adjusted)
        await recorder.kept()
        return Routed(served.completion, event)

    async def stream(self, request: ChatRequest, options: RouteOptions) -> RoutedStream:
        """Decide, and return a streamed answer once its first content is there; to be closed by the caller.

        Raises
        ------
        RequestError, RoutingFailed
            See `route`.
        """
        recorder = await self._admit(request, options, streamed=True)
        return RoutedStream(await self._call(self._chain.stream, request, recorder), recorder)

    async def count_tokens(self, request: ChatRequest, options: RouteOptions) -> int | None:
        """Return how many tokens of input a request is, counted by a provider; None where no provider can tell.

        The first model that may serve the request, cheapest tier first, whose provider speaks the caller's dialect, is
        asked; the classifier is not.

        Raises
        ------
        RequestError
            See `plan`.
        """
        able, _ = self._able(request, options, options.allowed(self._ladder))
        model = next((model for model in able if model.dialect is request.dialect), None)
        if model is None:
            return None
        try:
            return await self._chain.count_tokens(request, model.link)
        except ProviderError:
            return None

    async def _escalated(self, request: ChatRequest, options: RouteOptions, served: Served, problem: str, recorder: Recorder) -> Served:
        """Return the answer of the next model up in place of one that falls short; that one, where there is no other."""
        tier = self._ladder.index(served.link.tier)
        costs = recorder.cost(served.link, served.completion.usage)
        above = [
            model.link
            for model in recorder.plan.models
            if self._ladder.index(model.link.tier) > tier and has_room(options.max_cost_usd, costs, self._estimate(request, model))
        ]
        left = self._limits.deadline_seconds - recorder.elapsed_seconds
        if not above or left <= 0:
            return served
        *before, last = served.attempts
        attempts = (*before, replace(last, outcome=problem, usage=served.completion.usage))
        trail: list[Attempt] = []
        try:
            asked = replace(request, author=recorder.plan.author)
            covers = self._budgets.covers(recorder.plan, request, attempts) if self._budgets else None
            better = await self._chain.complete(asked, above[:1], deadline_seconds=left, covers=covers, trail=trail)
        except (NoModelAnswered, RequestError):
            return replace(served, attempts=(*trail, *served.attempts))  # the last attempt is always the answer
        except asyncio.CancelledError:
            recorder.answered(served.link, DISCONNECTED, (*trail, *served.attempts), served.completion.usage, served.adjusted)
            raise
        recorder.escalate(problem)
        return replace(better, attempts=(*attempts, *better.attempts))

    async def _admit(self, request: ChatRequest, options: RouteOptions, *, streamed: bool) -> Recorder:
        """Plan a request and let it in, and return what will record it; one that a budget does not cover is recorded here."""
        began = time.perf_counter()
        plan = await self.plan(request, options)
        asker = Asker(request.dialect, options.caller, streamed)
        try:
            plan = await self._budgets.admit(plan, request, options) if self._budgets else plan
        except BudgetError as error:
            recorder = Recorder(plan, asker, self._baseline, self._sinks, began, self._conversations)
            event = recorder.unanswered(error.code, ())
            await recorder.kept()
            raise RoutingFailed(event, error) from error
        return Recorder(plan, asker, self._baseline, self._sinks, began, self._conversations)

    def _estimate(self, request: ChatRequest, model: RoutedModel) -> Decimal | None:
        return estimated_cost(model, request, self._limits.expected_output_tokens)

    async def _call(self, ask: Callable[..., Awaitable[T]], request: ChatRequest, recorder: Recorder) -> T:
        """Return what the chain answers; a request that ends without an answer is recorded here."""
        links: list[Link] = [model.link for model in recorder.plan.models]
        trail: list[Attempt] = []
        try:
            asked = replace(request, author=recorder.plan.author)
            covers = self._budgets.covers(recorder.plan, request, trail) if self._budgets else None
            return await ask(asked, links, deadline_seconds=self._limits.deadline_seconds, covers=covers, trail=trail)
        except NoModelAnswered as error:
            event = recorder.unanswered(error.cause.code if error.cause else "unavailable", error.attempts)
            await recorder.kept()
            raise RoutingFailed(event, error) from error
        except RequestError:
            recorder.unanswered("invalid_request", ())
            await recorder.kept()
            raise
        except asyncio.CancelledError:
            recorder.unanswered(DISCONNECTED, trail)
            raise
        except Exception:  # ours, and still a request that reserved money and may have cost some
            recorder.unanswered("internal_error", trail)
            raise

    def _able(self, request: ChatRequest, options: RouteOptions, allowed: range) -> tuple[list[RoutedModel], dict[int, Refusal]]:
        """Return the models of the allowed tiers that can serve `request`, and by tier why others cannot."""
        named = [model for model in self._models if options.model in (None, model.link.ref.model)]
        if not named and self._models:
            known = ", ".join(dict.fromkeys(model.link.ref.model for model in self._models))
            raise RequestError(
                f"model {options.model!r} is not configured; expected auto, tier:NAME or one of {known}", field="model", status=404
            )
        crossed = crossings(request, named)
        budgeted = self._budgets is not None and self._budgets.holds_for(options.caller.key or "")
        able: list[RoutedModel] = []
        refusals: dict[int, Refusal] = {}
        for model in named:
            tier = self._ladder.index(model.link.tier)
            if tier not in allowed:
                continue
            refusal = unable(model, request, options, self._limits.expected_output_tokens) or crossed.get(model.dialect)
            if refusal is None and budgeted and self._estimate(request, model) is None:
                refusal = Refusal("price")
            if refusal is None:
                able.append(model)
            else:
                refusals[tier] = refusal
        if not able:
            raise nobody_can({self._ladder.names[tier]: refusal for tier, refusal in refusals.items()})
        return able, refusals

    def _decide(
        self, judgement: Judgement, options: RouteOptions, allowed: range, able: set[int], refusals: Mapping[int, Refusal]
    ) -> Decision:
        classifier = self._worker.classifier
        threshold = next(value for value in (options.threshold, self._limits.threshold, classifier.threshold) if value is not None)
        if judgement.unfamiliar:
            tier, reasons = decide_unfamiliar(len(self._ladder), allowed)
        else:
            tier, reasons = decide_tier(judgement.sufficiency, judgement.predicted, threshold, allowed)
        if options.tier is not None:
            reasons = (*reasons, "forced_tier")
        if tier not in able and options.model is None:
            reasons = (*reasons, f"needs_{refusals[tier].code}" if tier in refusals else "tier_has_no_model")
        if tier not in able:
            tier = min(able, key=lambda other: (other < tier, abs(other - tier)))
        if options.model is not None:
            reasons = (*reasons, "forced_model")
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
            probabilities=judgement.probabilities,
            encoder=judgement.encoder,
        )
