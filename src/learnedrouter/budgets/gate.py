"""Where a request meets the budgets: let in before its first call, asked again before every further one, settled by its event.

A request is let in with the estimate for the model that is called first; each further call, be it a fallback or an answer
that falls short, reserves its own estimate on top, and a model that does not fit any more is passed over. Reserving at once
for the dearest model that *might* be called would refuse cheap requests for money that is hardly ever spent.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

import structlog
from cachetools import TTLCache

from learnedrouter.budgets.books import Balance, Claim, Reserve, Settle
from learnedrouter.budgets.clerk import Clerk
from learnedrouter.budgets.policy import Budget, Past, to_pico, to_usd
from learnedrouter.budgets.statement import exposition, periods, statements
from learnedrouter.chat import ChatRequest
from learnedrouter.errors import BudgetExceeded, BudgetsUnavailable
from learnedrouter.events import RoutedCompletion
from learnedrouter.planning import Plan, RoutedModel, RouteOptions, estimated_cost
from learnedrouter.providers.bodies import Link
from learnedrouter.providers.trying import Attempt, Covers

RESERVATION_SECONDS = 3_600.0
"""After which nobody is expected to settle a reservation any more: requests have deadlines of minutes, streams may take long."""

BUSY_SECONDS = 5.0
"""When to come again where requests under way hold what is missing."""

MOST_HOLDS = 100_000
"""How many requests can be under way; a reservation beyond counts as spent once it expires."""

REASON = "budget"
"""Why a decision names the cheapest tier."""


@dataclass(slots=True)
class _Hold:
    """What is reserved for a request under way, in picodollars."""

    claims: tuple[Claim, ...]
    estimated: int
    reserved: int = 0


class Gate:
    """Lets requests in as far as budgets go; a sink, which is how it learns what they cost (`learnedrouter.recording.Sink`).

    Parameters
    ----------
    budgets
        All of them.
    clerk
        Keeps the books; closed with the gate.
    expected_output_tokens
        For estimates, where a request sets no limit.
    lowest_tier
        The cheapest of all: who names it need not be degraded.
    unavailable
        What becomes of requests while the books cannot be kept: ``open`` lets them in, and books them later; ``closed``
        refuses them.
    now
        Tells the time.
    """

    def __init__(
        self,
        budgets: Sequence[Budget],
        clerk: Clerk,
        *,
        expected_output_tokens: int,
        lowest_tier: str,
        unavailable: Literal["open", "closed"] = "open",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._budgets = {budget.name: budget for budget in budgets}
        self._clerk, self._unavailable, self._now = clerk, unavailable, now
        self._expected_output_tokens, self._lowest_tier = expected_output_tokens, lowest_tier
        self._holds: TTLCache[str, _Hold] = TTLCache(MOST_HOLDS, RESERVATION_SECONDS)
        self._log = structlog.get_logger("learnedrouter")

    def holds_for(self, key: str) -> bool:
        """Return whether any budget holds for the caller `key`."""
        return any(budget.account(key, self._now()) for budget in self._budgets.values())

    async def admit(self, plan: Plan, request: ChatRequest, options: RouteOptions) -> Plan:
        """Reserve what `plan` is likely to cost with its first model, and return what may be called: the plan, or its cheapest tier.

        Where the caller names a tier or a model, that cannot be degraded.

        Raises
        ------
        BudgetExceeded
            A budget does not cover it.
        BudgetsUnavailable
            It cannot be told whether one does, and the configuration says to refuse then.
        """
        claims = self._claims(options.caller.key or "")
        if not claims:
            return plan
        first, cheapest = (self._estimate(models[0], request) for models in (plan.models, plan.cheapest))
        fixed = (options.tier is not None or options.model is not None) and plan.models[0].link.tier != self._lowest_tier
        asked = Reserve(plan.id, claims, first, None if fixed else cheapest, _expiry_us())
        hold = _Hold(claims, first)
        try:
            verdict = await self._clerk.reserve(asked)
        except BudgetsUnavailable:
            if self._unavailable == "closed":
                self._release(plan.id, claims)
                raise
            self._holds[plan.id] = hold
            return plan
        except asyncio.CancelledError:
            self._release(plan.id, claims)
            raise
        if verdict.reserved is None:
            found = (self._exceeded(claim, balance, first) for claim, balance in verdict.short)
            raise max(found, key=lambda error: error.retry_after_seconds)
        hold.estimated = hold.reserved = verdict.reserved
        self._holds[plan.id] = hold
        return _degraded(plan, to_usd(cheapest)) if verdict.degraded else plan

    def covers(self, plan: Plan, request: ChatRequest, tried: Sequence[Attempt]) -> Covers | None:
        """Return what is to be asked before each call of a request that was let in; None where no budget holds for it.

        What was reserved when the request was let in pays for the first call that reaches a provider, whichever that is.

        Parameters
        ----------
        tried
            What was tried for the request so far; may grow.
        """
        hold = self._holds.get(plan.id)
        if hold is None:
            return None
        cheapest = plan.cheapest[0].link.tier

        async def covered(link: Link) -> bool:
            model = next(model for model in plan.models if model.link is link)
            spent = any(attempt.asked for attempt in tried)
            missing = self._estimate(model, request) - (0 if spent else hold.estimated)
            return missing <= 0 or await self._more(plan.id, hold, missing, soft=link.tier == cheapest)

        return covered

    def record(self, event: RoutedCompletion) -> None:
        """Settle a request with what it cost: with its estimate where that is unknown, with nothing where nothing was billed."""
        hold = self._holds.pop(event.id, None)
        if hold is None:
            return
        unknown = event.cost_usd is None or event.unaccounted_attempts > 0
        known = to_pico(event.known_usd)
        cost = max(known, hold.estimated) if unknown else known
        accounts = tuple(claim.account for claim in hold.claims)
        self._clerk.settle(Settle(event.id, accounts, hold.reserved, cost, unknown))

    async def exposition(self) -> bytes:
        """Return how the budgets stand, in Prometheus' text format; nothing while their database fails."""
        try:
            return await asyncio.to_thread(self._exposition)
        except Exception as error:  # whatever a database can think of: other metrics are told all the same
            self._log.error("the budgets cannot be read", error=str(error))
            return b""

    async def aclose(self) -> None:
        """Book what is not booked yet, and end."""
        await asyncio.to_thread(self._clerk.close)

    def _exposition(self) -> bytes:
        budgets, now, store = tuple(self._budgets.values()), self._now(), self._clerk.store
        return exposition(statements(budgets, store.balances(periods(budgets, now)), now), store.totals())

    def _estimate(self, model: RoutedModel, request: ChatRequest) -> int:
        usd = estimated_cost(model, request, self._expected_output_tokens)
        if usd is None:  # where a budget holds, only models that have a price are able
            raise ValueError(f"{model.link.ref}: has no price")
        return to_pico(usd)

    def _claims(self, key: str) -> tuple[Claim, ...]:
        now = self._now()
        found = ((budget, budget.account(key, now)) for budget in self._budgets.values())
        return tuple(Claim(account, to_pico(budget.limit_usd), budget.past is Past.DEGRADE) for budget, account in found if account)

    async def _more(self, id: str, hold: _Hold, amount: int, *, soft: bool) -> bool:
        """Reserve `amount` on top; where `soft`, past the limits of budgets that degrade."""
        claims = tuple(replace(claim, limit=None if claim.soft and soft else claim.limit, soft=False) for claim in hold.claims)
        try:
            verdict = await self._clerk.reserve(Reserve(id, claims, amount, None, _expiry_us(), counted=False))
        except BudgetsUnavailable:
            if opened := self._unavailable == "open":
                hold.estimated += amount
            return opened
        if verdict.reserved is not None:
            hold.reserved += verdict.reserved
            hold.estimated += verdict.reserved
        return verdict.reserved is not None

    def _release(self, id: str, claims: Sequence[Claim]) -> None:
        """Take back what may have been reserved for a request that is not let in."""
        self._clerk.settle(Settle(id, tuple(claim.account for claim in claims), 0, 0))

    def _exceeded(self, claim: Claim, balance: Balance, amount: int) -> BudgetExceeded:
        budget, now = self._budgets[claim.account.budget], self._now()
        resets_at = budget.period.ends(now)
        busy = balance.spent + amount <= to_pico(budget.limit_usd)
        wait = BUSY_SECONDS if busy else max((resets_at - now).total_seconds(), 1.0)
        whose = f" of the key {claim.account.subject!r}" if claim.account.subject else ""
        spent, reserved, wanted = _shown(balance.spent), _shown(balance.reserved), _shown(amount)
        message = (
            f"budget {budget.name!r}{whose} does not cover this request: of {budget.limit_usd:f} USD a {budget.period}, "
            f"{spent} USD are spent and {reserved} USD reserved by requests under way; this one is estimated at {wanted} USD. "
            f"The budget resets at {resets_at:%Y-%m-%d %H:%M} UTC"
        )
        return BudgetExceeded(message, budget=budget.name, resets_at=resets_at, retry_after_seconds=wait)


def _degraded(plan: Plan, estimate_usd: Decimal) -> Plan:
    """Return a plan that keeps to the cheapest tier that can serve the request."""
    tier, decision = plan.cheapest[0].link.tier, plan.decision
    escalated = decision.escalated and tier == decision.tier
    confidence = decision.sufficiency.get(tier, decision.confidence)
    cheap = replace(decision, tier=tier, confidence=confidence, reasons=(*decision.reasons, REASON), escalated=escalated)
    return replace(plan, decision=cheap, models=plan.cheapest, estimated_cost_usd=estimate_usd)


def _expiry_us() -> int:
    return time.time_ns() // 1000 + int(RESERVATION_SECONDS * 1_000_000)


def _shown(pico: int) -> str:
    return f"{to_usd(pico):.6f}".rstrip("0").rstrip(".")
