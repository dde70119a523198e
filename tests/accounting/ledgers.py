"""Ledgers made of a few words about each request."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from sqlalchemy import URL

from learnedrouter.ask import Ask
from learnedrouter.chat import UNTOLD, Caller, Dialect, ModelRef, Usage
from learnedrouter.events import Asked, RoutedCompletion
from learnedrouter.pricing import Price
from learnedrouter.providers.trying import Attempt
from learnedrouter.sinks.ledger.database import engine_for
from learnedrouter.sinks.ledger.rows import rows_of
from learnedrouter.sinks.ledger.store import Store
from learnedrouter.tiers import Decision

TIERS = ("bulk", "structured", "standard", "complex")
PRICES = {
    "deepseek-v3": Price(Decimal("0.27"), Decimal("1.10"), Decimal("0.07")),
    "gpt-5.5": Price(Decimal("3"), Decimal("12")),
    "claude-sonnet-4.6": Price(Decimal("3"), Decimal("15"), Decimal("0.30"), Decimal("3.75"), cache_write_1h_mtok=Decimal("6")),
    "claude-opus": Price(Decimal("5"), Decimal("25"), Decimal("0.50"), Decimal("6.25"), cache_write_1h_mtok=Decimal("10")),
}
"""Those of the shipped configuration."""

RUNGS = tuple(zip(TIERS, PRICES, strict=True))
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
SURE_OF = {
    "bulk": (0.97, 0.98, 0.99, 1.0),
    "structured": (0.2, 0.97, 0.99, 1.0),
    "standard": (0.1, 0.3, 0.96, 1.0),
    "complex": (0.1, 0.2, 0.4, 1.0),
}
"""What the classifier holds of a request for which it predicts a tier."""

_count = iter(range(10**9))


def attempt(tier: str, outcome: str = "ok", usage: Usage | None = None, status: int | None = 200) -> Attempt:
    """An attempt at a tier's model, at its price."""
    model = dict(RUNGS)[tier]
    cost = PRICES[model].cost(usage) if usage else None
    return Attempt(ModelRef("some", model), tier, outcome, status, "", 10.0, usage, cost, "router.toml" if usage else "")


def event(
    served: str | None = "bulk",
    usage: Usage = UNTOLD,
    *,
    tier: str | None = None,
    before: Sequence[Attempt] = (),
    reasons: tuple[str, ...] = ("predicted",),
    sufficiency: Sequence[float] | None = None,
    threshold: float = 0.9,
    at: timedelta = timedelta(0),
    key: str | None = None,
    tags: Mapping[str, str] | None = None,
    ask: str | None = None,
    decision_seconds: float = 0.004,
) -> RoutedCompletion:
    """A request that `served` answered, using `usage`, after some attempts in vain."""
    decided = tier or served or "bulk"
    sure = dict(zip(TIERS, sufficiency or SURE_OF[decided], strict=True))
    attempts = (*before, *([attempt(served, usage=usage)] if served else []))
    known = served is None or attempts[-1].cost_usd is not None
    return RoutedCompletion(
        id=f"rt_{next(_count)}",
        at=NOON + at,
        dialect=Dialect.OPENAI,
        conversation="c",
        asked=Asked(3, "0" * 64, Ask(ask, "", len(ask), 1, False) if ask else None),
        decision=Decision(decided, decided, sure, sure[decided], threshold, reasons, "small@1", 3, False, False, (0.25,) * 4),
        model=attempts[-1].ref if served else None,
        served_tier=served or "",
        outcome="ok" if served else "unavailable",
        attempts=attempts,
        usage=usage,
        cost_usd=sum((tried.cost_usd or Decimal(0) for tried in attempts), Decimal(0)) if known else None,
        baseline_usd=PRICES["claude-opus"].cost(usage),
        baseline_model="claude-opus",
        decision_seconds=decision_seconds,
        provider_seconds=1.0,
        total_seconds=1.1,
        caller=Caller(key, dict(tags or {})),
    )


def unpriced(answered: RoutedCompletion) -> RoutedCompletion:
    """The same request, answered by a model without a price."""
    *before, last = answered.attempts
    return replace(answered, attempts=(*before, replace(last, cost_usd=None, price_source="")), cost_usd=None)


def write_ledger(path: Path, events: Iterable[RoutedCompletion]) -> Path:
    """A ledger of these requests, asks and all, in one file."""
    engine = engine_for(URL.create("sqlite", database=str(path)).render_as_string())
    store = Store(engine)
    store.write([rows_of(told, "text") for told in events])
    store.close()
    engine.dispose()
    return path
