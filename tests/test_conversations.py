"""When a conversation stays with its model: rules on a clock that the test turns."""

from decimal import Decimal
from typing import Any

import pytest

from learnedrouter.chat import ModelRef, Usage
from learnedrouter.conversations import CACHE_SECONDS, ConversationMode, Conversations, switch_saving
from learnedrouter.dialects.openai_chat import read_request
from learnedrouter.planning import RoutedModel
from learnedrouter.pricing import Price
from learnedrouter.providers.bodies import Link


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def model(name: str, price: str, cached: str | None = None) -> RoutedModel:
    link = Link(ModelRef("p", name), "tier", name, 1_000, 10.0)
    known = Price(Decimal(price), Decimal(price), Decimal(cached) if cached else None)
    return RoutedModel(link, known, 100_000, frozenset())


DEAR, CHEAP = model("dear", "3", "0.3"), model("cheap", "1")
TURNS: list[dict[str, Any]] = [
    {"role": "system", "content": "s"},
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "b"},
    {"role": "user", "content": "c"},
]


def talk(mode: ConversationMode, prefix_tokens: int, clock: Clock | None = None, idle_seconds: float = 600.0) -> Conversations:
    talk = Conversations(mode, idle_seconds=idle_seconds, clock=clock or Clock())
    talk.remember("key", "dear", Usage(prefix_tokens, output_tokens=0))
    return talk


def test_one_is_known_by_its_id_or_by_its_opening() -> None:
    """Later turns do not change the key, another opening does, and an id comes before all."""
    kept = talk(ConversationMode.CACHE_AWARE, 10)
    later, first = read_request({"messages": TURNS}), read_request({"messages": TURNS[:2]})
    other = read_request({"messages": [{"role": "user", "content": "x"}]})

    assert kept.key(first, None) == kept.key(later, None) != kept.key(other, None)
    assert kept.key(first, "id") == kept.key(other, "id") != kept.key(first, None)


def test_only_one_that_goes_on_is_recalled() -> None:
    """Two strangers with the same opening do not share a model; with ``off`` nothing is kept."""
    kept = talk(ConversationMode.PINNED, 10)
    off = talk(ConversationMode.OFF, 10)

    assert kept.recall("key", read_request({"messages": TURNS})) is not None
    assert kept.recall("key", read_request({"messages": TURNS[:2]})) is None
    assert kept.recall("key", read_request({"messages": TURNS[:2]}), "named by its caller") is not None
    assert off.recall("key", read_request({"messages": TURNS})) is None


@pytest.mark.parametrize(
    ("mode", "step", "pause_seconds", "stays"),
    [
        ("pinned", 1, 0, True),
        ("pinned", -1, 3_000, True),
        ("cache-aware", 1, 0, False),
        ("cache-aware", -1, 599, True),
        ("cache-aware", -1, 601, False),
    ],
)
def test_up_at_once_down_after_a_pause(mode: str, step: int, pause_seconds: float, stays: bool) -> None:
    """Pinned stays anyway; otherwise up at once, and down once the pause is over and the cache has gone cold."""
    clock = Clock()
    kept = talk(ConversationMode(mode), 1_000, clock)
    clock.seconds = pause_seconds
    held = kept.recall("key", read_request({"messages": TURNS}))

    assert held is not None
    assert kept.stays(held, DEAR, CHEAP, step, Usage(1_000, output_tokens=100)) is stays


@pytest.mark.parametrize(("prefix", "stays"), [(900, True), (100, False)])
def test_a_warm_cache_is_weighed_against_the_switch(prefix: int, stays: bool) -> None:
    """1,000 tokens at 3 USD, cached at 0.30, against 1 USD: 900 cached keep the dear model, 100 do not."""
    clock = Clock()
    kept = talk(ConversationMode.CACHE_AWARE, prefix, clock, idle_seconds=0)
    clock.seconds = CACHE_SECONDS - 1
    held = kept.recall("key", read_request({"messages": TURNS}))

    assert held is not None
    assert kept.stays(held, DEAR, CHEAP, -1, Usage(1_000, output_tokens=0)) is stays


def test_the_saving_is_the_sum_of_its_parts() -> None:
    """Stay: 100 x 3 + 900 x 0.3 + 50 x 3 = 720; go: 1,000 x 1 + 50 x 1 = 1,050; all per million."""
    saving = switch_saving(DEAR, CHEAP, Usage(1_000, output_tokens=50), 900)

    assert saving == Decimal(720 - 1_050) / 1_000_000


def test_number_and_age_are_bounded() -> None:
    """The one not used for longest goes first, and a pause makes forget."""
    clock = Clock()
    kept = Conversations(ConversationMode.PINNED, size=2, forget_seconds=10.0, clock=clock)
    request = read_request({"messages": TURNS})
    for key in "abc":
        kept.remember(key, "m", Usage())

    assert [kept.recall(key, request) is not None for key in "abc"] == [False, True, True]
    clock.seconds = 11
    assert kept.recall("c", request) is None
