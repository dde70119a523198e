"""Which model a conversation stays with, and when it leaves it.

Routing each turn afresh throws away what the provider has cached of the conversation, and a model that reads it for the
first time pays in full for what the other would read at a tenth of the price. So a conversation keeps its model, while

- a higher tier is not needed: it goes up at once;
- a lower one would not pay: it goes down only after a pause, and only where the switch saves more than the cached part
  of the conversation is worth, by prices and token counts.

A conversation is known by the id that its caller gives it, else by a hash of its opening. Nothing of what was said is
kept, and what is kept is bounded in number and age.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from cachetools import TTLCache

from learnedrouter.chat import ChatRequest, Usage
from learnedrouter.planning import RoutedModel, in_order
from learnedrouter.tiers import Decision, Ladder

CACHE_SECONDS = 300.0
"""How long providers keep a prefix that is not read: Anthropic five minutes from the last read
(https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching), OpenAI five to ten
(https://platform.openai.com/docs/guides/prompt-caching)."""


class ConversationMode(StrEnum):
    """How firmly a conversation keeps its model."""

    OFF = "off"
    CACHE_AWARE = "cache-aware"
    PINNED = "pinned"


@dataclass(frozen=True, slots=True)
class Held:
    """What is remembered of a conversation.

    Parameters
    ----------
    model
        The model that answered last.
    prefix_tokens
        Tokens of its last request and answer: what the provider may have cached.
    at_seconds
        When that was, on the clock.
    """

    model: str
    prefix_tokens: int
    at_seconds: float


class Conversations:
    """Remembers conversations.

    Parameters
    ----------
    mode
        How firmly they keep their models.
    size
        How many are remembered; the one not used for longest goes first.
    idle_seconds
        The pause after which one may go down a tier.
    forget_seconds
        The pause after which one is forgotten.
    clock
        Gives seconds.
    """

    def __init__(
        self,
        mode: ConversationMode,
        *,
        size: int = 10_000,
        idle_seconds: float = 300.0,
        forget_seconds: float = 3_600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.mode = mode
        self._idle_seconds, self._clock = idle_seconds, clock
        self._held: TTLCache[str, Held] = TTLCache(maxsize=size, ttl=forget_seconds, timer=clock)

    def key(self, request: ChatRequest, identity: str | None) -> str:
        """Return what `request`'s conversation is known by.

        Parameters
        ----------
        identity
            The caller's name for it; None takes a hash of its opening: the system prompt and the first turn after it.
        """
        if identity is not None:
            opening = f"id\0{identity}"
        else:
            head = next((place for place, turn in enumerate(request.turns) if turn.role != "system"), 0)
            opening = "\0".join(f"{turn.role}\0{turn.text}" for turn in request.turns[: head + 1])
        return hashlib.sha256(f"{request.dialect}\0{opening}".encode("utf-8", "surrogatepass")).hexdigest()

    def recall(self, key: str, request: ChatRequest, identity: str | None = None) -> Held | None:
        """Return what is known of a conversation that goes on; None where it is new, or nothing is kept.

        One that its caller names goes on when it says so; two strangers may open theirs with the same words, so without
        a name one goes on only where there is an answer in it.
        """
        goes_on = identity is not None or any(turn.role == "assistant" for turn in request.turns)
        return self._held.get(key) if goes_on and self.mode is not ConversationMode.OFF else None

    def remember(self, key: str, model: str, usage: Usage) -> None:
        """Take note of which model answered, and how much it read and wrote."""
        if self.mode is ConversationMode.OFF:
            return
        read = (usage.input_tokens or 0) + usage.cache_read_tokens + usage.cache_write_tokens
        self._held[key] = Held(model, read + (usage.output_tokens or 0), self._clock())

    def stays(self, held: Held, model: RoutedModel, chosen: RoutedModel, step: int, tokens: Usage) -> bool:
        """Return whether a conversation stays with `model`, which answered last, though a fresh decision takes `chosen`.

        Parameters
        ----------
        step
            How many tiers `chosen` lies above `model`; below 0 where it lies under it.
        tokens
            What the next turn is expected to read and write.
        """
        if self.mode is ConversationMode.PINNED or model is chosen:
            return True
        if step > 0:
            return False
        pause = self._clock() - held.at_seconds
        if step < 0 and pause < self._idle_seconds:
            return True
        return switch_saving(model, chosen, tokens, held.prefix_tokens if pause < CACHE_SECONDS else 0) <= 0

    def kept(
        self, held: Held, decision: Decision, models: tuple[RoutedModel, ...], tokens: Usage, ladder: Ladder
    ) -> tuple[Decision, tuple[RoutedModel, ...]]:
        """Return decision and models for a conversation that may stay with the model that answered last.

        Parameters
        ----------
        models
            In the order in which they would be tried.
        tokens
            What the turn is expected to read, none of it cached, and to write.
        """
        model = next((model for model in models if model.link.ref.model == held.model), None)
        if model is None or model is models[0]:
            return decision, models
        tier = ladder.index(model.link.tier)
        if not self.stays(held, model, models[0], ladder.index(decision.tier) - tier, tokens):
            return decision, models
        others = (other for other in in_order(models, tier, ladder) if other is not model)
        stayed = replace(
            decision,
            tier=model.link.tier,
            confidence=decision.sufficiency[model.link.tier],
            reasons=(*decision.reasons, "conversation"),
            escalated=tier > ladder.index(decision.predicted_tier),
        )
        return stayed, (model, *others)


def switch_saving(held: RoutedModel, other: RoutedModel, tokens: Usage, cached_tokens: int) -> Decimal:
    """Return what the next turn costs less, in USD, with `other` than with `held`, which has cached part of it.

    Where a price is unknown, switching saves nothing.

    Parameters
    ----------
    tokens
        What the turn is expected to read, none of it cached, and to write.
    cached_tokens
        What `held` may read from its cache.
    """
    if held.price is None or other.price is None or tokens.input_tokens is None:
        return Decimal(0)
    cached = min(cached_tokens, tokens.input_tokens)
    stay = held.price.cost(replace(tokens, input_tokens=tokens.input_tokens - cached, cache_read_tokens=cached))
    go = other.price.cost(tokens)
    return Decimal(0) if stay is None or go is None else stay - go
