"""Budgets as requests meet them: the real router, over the built-in provider."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from learnedrouter.budgets.opening import open_gate
from learnedrouter.chat import ChatRequest
from learnedrouter.config import BudgetSettings, LedgerSettings, PriceSettings, Settings
from learnedrouter.dialects.openai_chat import read_request
from learnedrouter.events import RoutedCompletion
from learnedrouter.planning import RouteOptions
from learnedrouter.router import Router, RoutingFailed
from learnedrouter.service.wiring import make_router

HARD = "Prove that the halting problem is undecidable, then extend the proof to Rice's theorem, step by step."
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
    update = {"models": models, "expected_output_tokens": 20, "ledger": LedgerSettings(url=f"sqlite:///{tmp_path}/ledger.db")}
    return settings.model_copy(update=update)


def budget(limit: str, **more: Any) -> BudgetSettings:
    return BudgetSettings.model_validate({"period": "day", "limit_usd": limit, **more})


@contextmanager
def routing(settings: Settings, *budgets: BudgetSettings, **changes: Any) -> Iterator[tuple[Router, Events]]:
    events = Events()
    yield make_router(settings.model_copy(update={"budgets": budgets, **changes}), [events]), events


def ask(prompt: str, **more: Any) -> ChatRequest:
    return read_request({"messages": [{"role": "user", "content": prompt}], **more})


def tier(name: str) -> RouteOptions:
    return RouteOptions(tier=name)


def cost(events: Sequence[RoutedCompletion]) -> Decimal:
    return sum((event.cost_usd or Decimal(0) for event in events), Decimal(0))


def spent(settings: Settings, *budgets: BudgetSettings) -> list[tuple[Decimal, Decimal]]:
    from learnedrouter.budgets.policy import to_usd

    gate = open_gate(settings.model_copy(update={"budgets": budgets}))
    balances = gate._clerk._store.history()
    asyncio.run(gate.aclose())
    return [(to_usd(balance.spent), to_usd(balance.reserved)) for balance in balances.values()]


def test_a_thousand_at_once(priced: Settings) -> None:
    """A thousand concurrent requests never overshoot by more than one estimate, and everyone that is let in is booked to the cent."""
    limit = budget("0.5")
    with routing(priced, limit) as (router, events):

        async def flood() -> list[Any]:
            asked = (router.route(ask(EASY), tier("bulk")) for _ in range(1_000))
            done = await asyncio.gather(*asked, return_exceptions=True)
            await router.aclose()
            return done

        done = asyncio.run(flood())
    refused = [result for result in done if isinstance(result, RoutingFailed)]

    assert len(events) == 1_000
    assert len(refused) == len([event for event in events if event.outcome == "budget_exceeded"]) > 0
    assert Decimal("0.25") < cost(events) <= Decimal("0.5") + Decimal("0.02")
    assert spent(priced, limit) == [(cost(events), Decimal(0))]
