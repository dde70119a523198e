from decimal import Decimal

import pytest
from genai_prices import Usage as ListUsage
from genai_prices import calc_price
from hypothesis import given
from hypothesis import strategies as st

from learnedrouter.chat import Usage
from learnedrouter.pricing import Price, Step, list_price

SONNET = Price(Decimal("3"), Decimal("15"), Decimal("0.30"), Decimal("3.75"), cache_write_1h_mtok=Decimal("6"))
tokens = st.integers(0, 10**9)


@pytest.mark.parametrize(
    ("usage", "usd"),
    [
        (Usage(1_000_000, output_tokens=0), "3"),
        (Usage(0, output_tokens=1_000_000), "15"),
        (Usage(1, output_tokens=0), "0.000003"),
        (Usage(0, cache_read_tokens=1_000_000, output_tokens=0), "0.30"),
        (Usage(0, cache_write_tokens=1_000_000, output_tokens=0), "3.75"),
        (Usage(0, cache_write_tokens=1_000_000, cache_write_1h_tokens=400_000, output_tokens=0), "4.65"),  # 0.6 x 3.75 + 0.4 x 6
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


@pytest.mark.parametrize(
    ("usage", "usd"),
    [
        (Usage(272_000, output_tokens=1_000), "0.832"),  # 0.272 x 3 + 0.001 x 16
        (Usage(272_001, output_tokens=1_000), "1.656006"),  # every token at the higher price: 0.272001 x 6 + 0.001 x 24
        (Usage(2_000, cache_read_tokens=270_000, output_tokens=0), "0.087"),  # 0.002 x 3 + 0.27 x 0.3
        (Usage(2_000, cache_read_tokens=270_001, output_tokens=0), "0.1740006"),  # cached input counts towards the edge
        (Usage(500_001, output_tokens=0), "4.500009"),  # past the second edge: x 9
    ],
)
def test_past_an_edge_the_whole_request_is_billed_higher(usage: Usage, usd: str) -> None:
    """As providers bill it: the tokens under the edge as well, and nothing at the edge itself."""
    long = Price(Decimal("6"), Decimal("24"), cache_read_mtok=Decimal("0.6"))
    longer = Price(Decimal("9"), Decimal("30"))
    price = Price(Decimal("3"), Decimal("16"), Decimal("0.3"), steps=(Step(272_000, long), Step(500_000, longer)))

    assert price.cost(usage) == Decimal(usd)


def test_a_write_for_an_hour_without_a_price_is_billed_at_twice_the_input() -> None:
    """Only Anthropic bills it apart, and that is its rule."""
    usage = Usage(0, cache_write_tokens=1_000_000, cache_write_1h_tokens=1_000_000, output_tokens=0)

    assert Price(Decimal("3"), Decimal("15"), cache_write_mtok=Decimal("3.75")).cost(usage) == Decimal("6")


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


@pytest.mark.parametrize(
    ("model", "provider", "edge"),
    [("claude-sonnet-4-5", "anthropic", 200_000), ("gpt-5.5", "openai", 272_000), ("gpt-5.4", "openai", 272_000)],
)
def test_list_prices_of_long_requests_agree_with_their_source(model: str, provider: str, edge: int) -> None:
    """On both sides of the edge the bill is genai-prices' own, cache and output included."""
    price = list_price(model, provider)
    assert price is not None
    assert [step.over_input_tokens for step in price.steps] == [edge]

    for input_tokens in (0, edge - 10_000, edge - 10_000 + 1, edge):
        ours = price.cost(Usage(input_tokens, cache_read_tokens=10_000, output_tokens=777))
        listed = ListUsage(input_tokens=input_tokens + 10_000, cache_read_tokens=10_000, output_tokens=777)
        assert ours == calc_price(listed, model, provider_id=provider).total_price


def test_a_model_that_bills_more_than_tokens_has_no_price() -> None:
    """A fee for each request would be left out, and the model would look cheaper than it is."""
    assert list_price("sonar-deep-research", "perplexity") is None
