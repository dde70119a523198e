"""Events as requests leave them, and someone who watches the ledger."""

import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np

from learnedrouter.chat import Caller, Dialect, ModelRef, Usage
from learnedrouter.events import Asked, RoutedCompletion
from learnedrouter.providers.bodies import Adjusted
from learnedrouter.providers.trying import Attempt
from learnedrouter.tiers import Decision
from tests.made import ask

CHEAP, DEAR = ModelRef("deepseek", "deepseek-v3"), ModelRef("anthropic", "claude-opus")
SECRET = "the launch code is swordfish"
ASK = ask(SECRET)
USAGE = Usage(100, 900, 50, 20, 15, 10)


@dataclass
class Watched:
    """Counts what the ledger tells."""

    rows: int = 0
    groups: int = 0
    failures: int = 0
    dropped: int = 0
    late: int = 0

    def ledger_wrote(self, rows: int, seconds: float, queued: int) -> None:
        self.rows += rows
        self.groups += 1

    def ledger_failed(self, queued: int) -> None:
        self.failures += 1

    def ledger_dropped(self, rows: int) -> None:
        self.dropped += rows

    def ledger_late(self) -> None:
        self.late += 1


def event(**changes: Any) -> RoutedCompletion:
    """A request that a second model answered after a first had failed."""
    decision = Decision(
        tier="structured",
        predicted_tier="bulk",
        sufficiency={"bulk": 0.8125, "structured": 0.9375, "standard": 0.96875, "complex": 1.0},
        confidence=0.9375,
        threshold=0.9,
        reasons=("escalated",),
        artifact="default-abc",
        ask_tokens=12,
        truncated=False,
        escalated=True,
        probabilities=(0.8125, 0.125, 0.03125, 0.03125),
    )
    attempts = (
        Attempt(CHEAP, "bulk", "timeout", None, f"no answer to {SECRET!r}", 250.25),
        Attempt(DEAR, "complex", "ok", 200, "", 1.5, USAGE, Decimal("0.0010575"), "router.toml"),
    )
    made = RoutedCompletion(
        id=f"rt_{uuid.uuid4().hex}",
        at=datetime(2026, 11, 23, 23, 59, 59, 999_999, tzinfo=UTC),
        dialect=Dialect.ANTHROPIC,
        conversation="c" * 64,
        asked=Asked(len(SECRET), "a" * 64, ASK, np.arange(4, dtype=np.float32)),
        decision=decision,
        model=DEAR,
        served_tier="complex",
        outcome="ok",
        attempts=attempts,
        usage=USAGE,
        cost_usd=Decimal("0.0010575"),
        baseline_usd=Decimal("0.0020575"),
        baseline_model="claude-opus",
        decision_seconds=0.001,
        provider_seconds=0.25175,
        total_seconds=0.3,
        first_token_seconds=0.125,
        adjusted=Adjusted("max_tokens=8000", ("temperature=drop",)),
        streamed=True,
        caller=Caller("0123456789ab", {"team": "suche \udcff\0"}),
    )
    return replace(made, **changes)
