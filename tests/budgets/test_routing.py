"""Budgets as requests meet them: the real router, over the built-in provider."""

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from learnedrouter.budgets.opening import standing
from learnedrouter.chat import Caller, ChatRequest
from learnedrouter.classifier import artifact
from learnedrouter.classifier.worker import ClassifierWorker
from learnedrouter.config import AnswerSettings, BreakerSettings, BudgetSettings, LedgerSettings, PriceSettings, Settings
from learnedrouter.conversations import ConversationMode, Conversations
from learnedrouter.dialects.openai_chat import read_request
from learnedrouter.errors import BudgetExceeded, RequestError
from learnedrouter.events import RoutedCompletion
from learnedrouter.planning import RouteOptions
from learnedrouter.providers.fallback import FallbackChain
from learnedrouter.router import Limits, Router, RoutingFailed
from learnedrouter.service.wiring import make_gate, make_models, make_router

EASY = "translate to French: good morning"


class Events(list[RoutedCompletion]):
    def record(self, event: RoutedCompletion) -> None:
        self.append(event)


@pytest.fixture
def priced(settings: Settings, tmp_path: Path) -> Settings:
    """The shipped ladder, a dollar for a thousand tokens of output and nothing for input, times ten from tier to tier."""
    prices = {
        name: PriceSettings(input_mtok=Decimal(0), output_mtok=Decimal(10**place * 1_000)) for place, name in enumerate(settings.models)
    }
    models = {name: model.model_copy(update={"price": prices[name]}) for name, model in settings.models.items()}
    update = {"models": models, "expected_output_tokens": 40, "ledger": LedgerSettings(url=f"sqlite:///{tmp_path}/ledger.db")}
    return settings.model_copy(update=update)


def budget(limit: str, **more: Any) -> BudgetSettings:
    return BudgetSettings.model_validate({"period": "day", "limit_usd": limit, **more})


def ask(prompt: str, **more: Any) -> ChatRequest:
    return read_request({"messages": [{"role": "user", "content": prompt}], **more})


def cost(events: Sequence[RoutedCompletion]) -> Decimal:
    return sum((event.cost_usd or Decimal(0) for event in events), Decimal(0))


def balances(settings: Settings, *budgets: BudgetSettings) -> dict[str, tuple[Decimal, Decimal]]:
    """What is spent and what is reserved, by budget or by key."""
    rows = standing(settings.model_copy(update={"budgets": budgets}), datetime.now(UTC))
    return {row.key or row.budget: (row.spent_usd, row.reserved_usd) for row in rows}


def route(
    settings: Settings, budgets: Sequence[BudgetSettings], *asked: tuple[ChatRequest, RouteOptions], **changes: Any
) -> list[RoutedCompletion]:
    """Route requests one after the other; give their events. A request that a model did not answer is in them like any other."""
    events = Events()
    router = make_router(settings.model_copy(update={"budgets": tuple(budgets), **changes}), [events])

    async def ask_all() -> None:
        for request, options in asked:
            with suppress(RoutingFailed):
                await router.route(request, options)
        await router.aclose()

    asyncio.run(ask_all())
    return events


BULK, COMPLEX, DEAR = RouteOptions(tier="bulk"), RouteOptions(tier="complex"), RouteOptions(threshold=1.0)
"""The last takes the top tier by the rule, and is forced by nobody."""


def test_a_thousand_at_once(priced: Settings) -> None:
    """A thousand concurrent requests never overshoot, and what was let in is booked to the cent."""
    limit, events = budget("1"), Events()
    router = make_router(priced.model_copy(update={"budgets": (limit,)}), [events])

    async def flood() -> list[Any]:
        done = await asyncio.gather(*(router.route(ask(EASY), BULK) for _ in range(1_000)), return_exceptions=True)
        await router.aclose()
        return done

    refused = [result for result in asyncio.run(flood()) if isinstance(result, RoutingFailed)]

    assert len(events) == 1_000
    assert len(refused) == len([event for event in events if event.outcome == "budget_exceeded"]) > 0
    assert Decimal("0.5") < cost(events) <= 1  # 25 estimates of 0.04 USD
    assert balances(priced, limit) == {"global-day": (cost(events), Decimal(0))}


def test_refused(priced: Settings) -> None:
    """What a budget does not cover is refused before any call, in words that say which budget, how it stands, and until when."""
    limit = budget("0.05", name="team")
    router = make_router(priced.model_copy(update={"budgets": (limit,)}), [events := Events()])

    async def twice() -> None:
        await router.route(ask(EASY), BULK)
        await router.route(ask(EASY), BULK)

    with pytest.raises(RoutingFailed) as caught:
        asyncio.run(twice())
    asyncio.run(router.aclose())
    error = caught.value.cause

    assert isinstance(error, BudgetExceeded)
    assert re.match(r"budget 'team' does not cover this request: of 0\.05 USD a day, 0\.02\d USD are spent and 0 USD reserved", str(error))
    assert "estimated at 0.04 USD. The budget resets at " in str(error)
    assert (error.budget, error.resets_at.hour) == ("team", 0)
    assert 0 < error.retry_after_seconds <= 86_400
    assert [(event.outcome, event.cost_usd, event.attempts) for event in events[1:]] == [("budget_exceeded", Decimal(0), ())]
    assert balances(priced, limit)["team"] == (events[0].cost_usd, Decimal(0))


def test_what_runs_now_may_leave_room_soon(priced: Settings) -> None:
    """Where only requests under way are in the way, the caller is told to come again in seconds, not tomorrow."""
    router = make_router(priced.model_copy(update={"budgets": (budget("0.05"),)}), [])

    async def two_at_once() -> list[Any]:
        stream = await router.stream(ask(EASY), BULK)
        refused = await asyncio.gather(router.route(ask(EASY), BULK), return_exceptions=True)
        await stream.aclose()
        await router.aclose()
        return refused

    (failed,) = asyncio.run(two_at_once())

    assert failed.cause.retry_after_seconds == 5


@pytest.mark.parametrize(
    ("options", "more", "tier"),
    [
        (DEAR, {}, "bulk"),
        (RouteOptions(threshold=1.0, min_tier="structured"), {}, "structured"),
        (DEAR, {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "string"}}}}, "structured"),
        (BULK, {}, "bulk"),
        (RouteOptions(model="deepseek-v3"), {}, "bulk"),
        (COMPLEX, {}, None),
        (RouteOptions(model="claude-opus"), {}, None),
    ],
)
def test_degraded(priced: Settings, options: RouteOptions, more: dict[str, Any], tier: str | None) -> None:
    """Past its limit a budget that degrades lets requests in at the cheapest tier that can serve them, again and again.

    What the request needs and `min_tier` hold all the same. A tier or model that the caller names cannot be degraded.
    """
    asked = ask(EASY, **more), options
    events = route(priced, [budget("0.01", past="degrade")], asked, asked, answers=AnswerSettings(invalid_structure="pass"))

    if tier is None:
        assert [event.outcome for event in events] == ["budget_exceeded"] * 2
        return
    assert [event.outcome for event in events] == ["ok", "ok"]
    assert {event.decision.tier for event in events} == {event.served_tier for event in events} == {tier}
    assert all(event.decision.reasons[-1] == "budget" for event in events)


def test_not_degraded_too_early(priced: Settings) -> None:
    """As long as there is money, a budget that degrades changes nothing."""
    (event,) = route(priced, [budget("50", past="degrade")], (ask(EASY), DEAR))

    assert (event.served_tier, "budget" in event.decision.reasons) == ("complex", False)


def test_a_hard_limit_above_a_soft_one(priced: Settings) -> None:
    """Degraded requests are booked on every budget, and one that refuses stops them."""
    soft, hard = budget("0.01", name="soft", past="degrade"), budget("0.05", name="hard")
    served, refused = route(priced, [soft, hard], (ask(EASY), DEAR), (ask(EASY), DEAR))

    assert (served.served_tier, refused.outcome) == ("bulk", "budget_exceeded")
    assert balances(priced, soft, hard) == dict.fromkeys(("soft", "hard"), (served.cost_usd, Decimal(0)))


def test_fallbacks_are_covered_or_passed_over(priced: Settings) -> None:
    """Each further call reserves its own estimate; a model that a budget does not cover is passed over, and said so."""
    failing = ask("[offline: fail deepseek-v3] good morning"), RouteOptions(max_tier="structured", threshold=0.0)
    (poor,) = route(priced, [budget("0.3")], failing)
    (rich,) = route(priced, [budget("0.5", name="rich")], failing)

    assert [attempt.outcome for attempt in poor.attempts] == ["unavailable", "over_budget"]
    assert poor.outcome == "unavailable"
    assert balances(priced, budget("0.3")) == {"global-day": (Decimal(0), Decimal(0))}
    assert [attempt.outcome for attempt in rich.attempts] == ["unavailable", "ok"]
    assert balances(priced, budget("0.5", name="rich")) == {"rich": (rich.cost_usd, Decimal(0))}


def test_a_model_that_is_not_asked_costs_nothing(priced: Settings) -> None:
    """While a breaker is open, what was reserved for its model pays for the next one: 0.4 USD, and not 0.44."""
    failing = ask("[offline: fail deepseek-v3] good morning"), RouteOptions(max_tier="structured", threshold=0.0)
    asked, passed_by = route(priced, [limit := budget("0.42")], failing, failing, breaker=BreakerSettings(failures=1))

    assert [attempt.outcome for attempt in asked.attempts] == ["unavailable", "over_budget"]
    assert [attempt.outcome for attempt in passed_by.attempts] == ["circuit_open", "ok"]
    assert balances(priced, limit) == {"global-day": (passed_by.cost_usd, Decimal(0))}


@pytest.mark.parametrize(("limit", "tiers"), [("4.2", ["structured"]), ("5", ["structured", "standard"])])
def test_the_limit_of_a_request_holds_for_all_its_answers(priced: Settings, limit: str, tiers: list[str]) -> None:
    """`max_cost_usd` holds for an answer that falls short and a better one together."""
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "string"}}}
    options = RouteOptions(threshold=0.0, max_cost_usd=Decimal(limit))
    (event,) = route(priced, [], (ask(EASY, response_format=schema), options))

    assert [attempt.tier for attempt in event.attempts] == tiers


@pytest.mark.parametrize("budgets", [[budget("100")], []])
def test_a_model_without_a_price(priced: Settings, budgets: list[BudgetSettings]) -> None:
    """Where a budget or a request's own limit holds, a model whose price is unknown is not tried; forced, it is refused."""
    unpriced = priced.models["deepseek-v3"].model_copy(update={"price": None, "upstream_model": "nobody-knows-it"})
    changed = priced.model_copy(update={"models": {**priced.models, "deepseek-v3": unpriced}})
    limit = None if budgets else Decimal(100)
    (event,) = route(changed, budgets, (ask(EASY), RouteOptions(threshold=0.0, max_cost_usd=limit)))

    assert event.served_tier == "structured"
    assert event.decision.reasons[-1] == ("needs_price" if budgets else "needs_max_cost_usd")
    with pytest.raises(RequestError, match="no model of the allowed tiers"):
        route(changed, budgets, (ask(EASY), RouteOptions(model="deepseek-v3", max_cost_usd=limit)))


def test_keys(priced: Settings) -> None:
    """Each key has its own part of a budget of every key; one key's budget is nobody else's; a global one is everybody's."""
    each, alices, everybody = budget("0.05", scope="each-key", name="each"), budget("9", scope="key:alice", name="hers"), budget("9")
    alice, bob = (replace(BULK, caller=Caller(name)) for name in ("alice", "bob"))
    events = route(priced, [each, alices, everybody], (ask(EASY), alice), (ask(EASY), alice), (ask(EASY), bob))

    assert [event.outcome for event in events] == ["ok", "budget_exceeded", "ok"]
    assert balances(priced, each) == {"alice": (events[0].cost_usd, Decimal(0)), "bob": (events[2].cost_usd, Decimal(0))}
    assert balances(priced, alices) == {"alice": (events[0].cost_usd, Decimal(0))}
    assert balances(priced, everybody) == {"global-day": (cost(events), Decimal(0))}


def test_a_stream(priced: Settings) -> None:
    """A streamed answer is settled when it is closed; until then its estimate is reserved."""
    limit = budget("1")
    router = make_router(priced.model_copy(update={"budgets": (limit,)}), [])

    async def listen() -> tuple[dict[str, Any], RoutedCompletion]:
        stream = await router.stream(ask(EASY), BULK)
        before = balances(priced, limit)
        async for _ in stream.chunks():
            pass
        event = await stream.aclose()
        await router.aclose()
        return before, event

    before, event = asyncio.run(listen())

    assert before == {"global-day": (Decimal(0), Decimal("0.04"))}
    assert balances(priced, limit) == {"global-day": (event.cost_usd, Decimal(0))}


@pytest.mark.parametrize(("unavailable", "outcome"), [("open", "ok"), ("closed", "budgets_unavailable")])
def test_a_database_that_cannot_be_used(priced: Settings, tmp_path: Path, unavailable: str, outcome: str) -> None:
    """Where the budgets' database fails, requests are let in or refused, as configured; nothing breaks."""
    (tmp_path / "file").touch()
    broken = LedgerSettings(url=f"sqlite:///{tmp_path}/file/ledger.db")
    events = route(priced, [budget("1")], (ask(EASY), BULK), (ask(EASY), BULK), ledger=broken, budgets_unavailable=unavailable)

    assert [event.outcome for event in events] == [outcome] * 2


def test_a_fault_of_ours_reserves_nothing_for_ever(priced: Settings) -> None:
    """A request that ends by a bug leaves its event like any other, and its money is given back."""
    limit, events = budget("1"), Events()
    gate = make_gate(priced.model_copy(update={"budgets": (limit,)}))
    assert gate
    unheard_of = FallbackChain({}, failures=5, recovery_seconds=1)  # no model's provider is among them
    worker, conversations = ClassifierWorker(artifact.load(priced.artifact)), Conversations(ConversationMode.OFF)
    router = Router(worker, make_models(priced), unheard_of, [events, gate], Limits(5, 40), conversations, gate)

    async def fail() -> None:
        with pytest.raises(KeyError):
            await router.route(ask(EASY), BULK)
        await router.aclose()

    asyncio.run(fail())

    assert [event.outcome for event in events] == ["internal_error"]
    assert balances(priced, limit) == {"global-day": (Decimal(0), Decimal(0))}


def test_without_budgets_there_is_nothing(priced: Settings) -> None:
    """No budget, no gate, no database."""
    router = make_router(priced, [])
    asyncio.run(router.aclose())

    assert router.budgets is None
    assert standing(priced, datetime.now(UTC)) == []
