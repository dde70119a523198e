from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnedrouter.chat import Usage
from learnedrouter.pricing import Price, list_price

SONNET = Price(Decimal("3"), Decimal("15"), cache_read_mtok=Decimal("0.30"), cache_write_mtok=Decimal("3.75"))
tokens = st.integers(0, 10**9)


@pytest.mark.parametrize(
    ("usage", "usd"),
    [
        (Usage(1_000_000, output_tokens=0), "3"),
        (Usage(0, output_tokens=1_000_000), "15"),
        (Usage(1, output_tokens=0), "0.000003"),
        (Usage(0, cache_read_tokens=1_000_000, output_tokens=0), "0.30"),
        (Usage(0, cache_write_tokens=1_000_000, output_tokens=0), "3.75"),
        (Usage(100, cache_read_tokens=900, cache_write_tokens=50, output_tokens=20, reasoning_tokens=15), "0.0010575"),
    ],
)
def test_each_class_of_tokens_has_its_own_price(usage: Usage, usd: str) -> None:
    """Cached input is billed as cached, and reasoning once, as the output that it is part of."""
    assert SONNET.cost(usage) == Decimal(usd)


@pytest.mark.parametrize("usage", [Usage(), Usage(10), Usage(output_tokens=10)])
def test_unknown_tokens_have_an_unknown_cost(usage: Usage) -> None:
    """What was not counted did not cost nothing."""
    assert SONNET.cost(usage) is None


def test_a_cache_without_a_price_is_billed_as_input() -> None:
    """The dearer reading is taken where the configuration is silent."""
    assert Price(Decimal("3"), Decimal("15")).cost(Usage(0, cache_read_tokens=1_000_000, output_tokens=0)) == Decimal("3")


@given(tokens, tokens, tokens, tokens)
def test_cost_is_exact_and_adds_up(one: int, two: int, out_one: int, out_two: int) -> None:
    """Two bills are together what one bill over both would be, to the last digit."""
    apart = [SONNET.cost(Usage(one, output_tokens=out_one)), SONNET.cost(Usage(two, output_tokens=out_two))]

    assert sum(cost for cost in apart if cost is not None) == SONNET.cost(Usage(one + two, output_tokens=out_one + out_two))


def test_list_prices_come_from_the_installed_data() -> None:
    """A known model has its public price and its source; an unknown one has none."""
    listed = list_price("claude-sonnet-4-6", "anthropic")

    assert listed is not None
    assert (listed.input_mtok, listed.output_mtok, listed.cache_read_mtok) == (3, 15, Decimal("0.3"))
    assert listed.source.startswith("genai-prices ")
    assert list_price("no-such-model", "anthropic") is None
    assert list_price("gpt-5.5", "no-such-provider") is None
