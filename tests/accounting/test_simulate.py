"""What a workload costs, by hand and by property."""

from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnedrouter.accounting.price_list import load_prices
from learnedrouter.accounting.simulate import Mix, priced, reach, saved_share, simulate
from learnedrouter.accounting.workload import AS_SENT, Rung, Segment, Workload, coupled, load_workload, out_by_one
from learnedrouter.chat import Usage
from learnedrouter.errors import InputError
from learnedrouter.pricing import Price, Step
from tests.conftest import ROOT

ARTICLE = ROOT / "examples" / "article.toml"
WORKLOAD = """
requests_per_day = 1_000
tokens_in = 2_000
tokens_out = 500

[[tiers]]
name = "small"
model = "cheap"
share = 0.75
price = { input_mtok = "1", output_mtok = "4" }

[[tiers]]
name = "big"
model = "dear"
share = 0.25
price = { input_mtok = "10", output_mtok = "40" }
"""
shares = st.lists(st.integers(0, 100), min_size=2, max_size=5).filter(any).map(lambda parts: [Decimal(p) / sum(parts) for p in parts])


@pytest.fixture
def write(tmp_path: Path):
    """Writes a workload file, and returns the workload."""

    def write(text: str) -> Workload:
        path = tmp_path / "workload.toml"
        path.write_text(text, encoding="utf-8")
        return load_workload(path, {})

    return write


def article() -> Mix:
    return priced(load_workload(ARTICLE, {}), {})


def usd_per_day(workload: Workload) -> dict[str, Decimal]:
    return {option.name: option.usd_per_day for option in simulate(priced(workload, {})).options}


def test_the_article_by_hand() -> None:
    """15 million tokens a day, half in, half out, at the article's prices: not 1,200 USD a month, but 3,179.14."""
    workload = load_workload(ARTICLE, {})
    found = simulate(priced(workload, {}))

    assert {option.name: option.usd_per_month for option in found.options} == {
        "deepseek-v3": Decimal("308.25"),  # 30 x (7.5 x 0.27 + 7.5 x 1.10)
        "gpt-5.5": Decimal("3375"),  # 30 x (7.5 x 3 + 7.5 x 12)
        "claude-sonnet-4.6": Decimal("4050"),  # 30 x (7.5 x 3 + 7.5 x 15) = 30 x 135
        "claude-opus": Decimal("6750"),  # 30 x (7.5 x 5 + 7.5 x 25)
        "ladder": Decimal("3179.1375"),  # 0.35 x 308.25 + 0.15 x 3375 + 0.30 x 4050 + 0.20 x 6750
        "perfect router": Decimal("3179.1375"),
    }
    ladder = found.option("ladder")
    saved = [found.saved(ladder, model) for model in ("claude-sonnet-4.6", "claude-opus")]
    assert [round(share, 3) for share in saved if share is not None] == [Decimal("0.215"), Decimal("0.529")]
    assert workload.needs == AS_SENT


@pytest.mark.parametrize(
    ("against", "moved", "mix"),
    [
        # 225 x 0.3 = 67.50 a day; 105.97125 - 67.50 = 38.47125 = 0.17917 x (225 - 10.275)
        ("claude-opus", "0.17917", {"bulk": "0.52917", "structured": "0.15", "standard": "0.30", "complex": "0.02083"}),
        # 135 x 0.3 = 40.50 a day; all of Opus saves 42.945, and 22.52625 = 0.18061 x (135 - 10.275) of Sonnet the rest
        ("claude-sonnet-4.6", "0.38061", {"bulk": "0.73061", "structured": "0.15", "standard": "0.11939", "complex": "0"}),
    ],
)
def test_the_mix_that_saves_seventy_percent_by_hand(against: str, moved: str, mix: dict[str, str]) -> None:
    """The dearest tiers give to the cheapest until the target is kept, and not a request more."""
    reached = reach(article(), Decimal("0.7"), against)

    assert reached.feasible
    assert round(reached.moved, 5) == Decimal(moved)
    assert {tier: round(share, 5) for tier, share in reached.shares.items()} == {tier: Decimal(share) for tier, share in mix.items()}
    assert Decimal("0.7") <= reached.saved < Decimal("0.70001")


def test_a_target_that_no_mix_reaches_is_infeasible() -> None:
    """The answer is then the mix that comes nearest: all of it to the cheapest tier."""
    reached = reach(article(), Decimal("0.99"), "claude-opus")

    assert not reached.feasible
    assert reached.shares["bulk"] == 1
    assert round(reached.saved, 4) == Decimal("0.9543")


def test_a_target_that_is_kept_already_moves_nobody() -> None:
    """Half is saved against Opus as it is."""
    reached = reach(article(), Decimal("0.5"), "claude-opus")

    assert (reached.feasible, reached.moved) == (True, 0)


def test_cached_input_is_billed_as_cached(write) -> None:
    """Half of the input read from the cache at a tenth of the price."""
    text = WORKLOAD.replace("tokens_out = 500", "tokens_out = 500\ncached_share = 0.5", 1)
    costs = usd_per_day(write(text.replace('input_mtok = "10",', 'input_mtok = "10", cache_read_mtok = "1",', 1)))

    assert costs["dear"] == Decimal("31")  # 1,000 x (1,000 x 10 + 1,000 x 1 + 500 x 40) / 10^6
    assert costs["cheap"] == Decimal("4")  # whose cache has no price


def test_tiers_have_requests_of_their_own_length(write) -> None:
    """One model for all serves the long ones too; long requests are billed by the steps of its price."""
    text = WORKLOAD.replace('model = "dear"', 'model = "dear"\ntokens_in = 20_000', 1)
    costs = usd_per_day(write(text))

    assert costs["cheap"] == Decimal("8.5")  # 750 x (0.002 + 0.002) + 250 x (0.020 + 0.002)
    assert costs["ladder"] == Decimal("58")  # 750 x 0.004 + 250 x (0.20 + 0.02)


def test_what_is_needed_sets_the_perfect_router_apart(write) -> None:
    """A quarter is sent to the dear model, a tenth needs it: the perfect router pays for a tenth."""
    text = WORKLOAD.replace("share = 0.75", "share = 0.75\nneeded = 0.9").replace("share = 0.25", "share = 0.25\nneeded = 0.1")
    costs = usd_per_day(write(text))

    assert costs["ladder"] == Decimal("13")  # 750 x 0.004 + 250 x 0.04
    assert costs["perfect router"] == Decimal("7.6")  # 900 x 0.004 + 100 x 0.04


def test_rates_of_wrong_routing_set_the_perfect_router_apart(write) -> None:
    """15 % go too high and 2 % too low: the perfect router sends 0.25 - 0.15 + 0.02 = 12 % to the dear model."""
    costs = usd_per_day(write("under_route = 0.02\nover_route = 0.15\n" + WORKLOAD))

    assert costs["perfect router"] == Decimal("8.32")  # 880 x 0.004 + 120 x 0.04


def test_prices_given_beside_the_file_win(tmp_path: Path) -> None:
    """A what-if: one model's price changes, and further models are tried."""
    path, prices = tmp_path / "workload.toml", tmp_path / "prices.toml"
    path.write_text(WORKLOAD, encoding="utf-8")
    prices.write_text(
        '[prices.dear]\ninput_mtok = "5"\noutput_mtok = "20"\n[prices.other]\ninput_mtok = "2"\noutput_mtok = "2"\n', encoding="utf-8"
    )
    others = load_prices(prices)
    costs = {option.name: option.usd_per_day for option in simulate(priced(load_workload(path, others), others)).options}

    assert (costs["cheap"], costs["dear"], costs["other"]) == (Decimal("4"), Decimal("20"), Decimal("5"))


def test_a_configuration_is_a_price_list() -> None:
    """`--prices router.toml` takes its models' prices."""
    assert {name: float(price.input_mtok) for name, price in load_prices(ROOT / "router.toml").items()} == {
        "deepseek-v3": 0.27,
        "gpt-5.5": 3,
        "claude-sonnet-4.6": 3,
        "claude-opus": 5,
    }


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("requests_per_day = 1_000", "requests_per_day = 0", "requests_per_day: Input should be greater than 0"),
        ("tokens_in = 2_000", "tokens_inn = 2_000", "tokens_in: Field required"),
        ("share = 0.75", "share = 0.74", "share sums to 0.99; expected 1"),
        ("share = 0.75", "share = 1.75", "tiers.0.share: Input should be less than or equal to 1"),
        ("share = 0.75", "share = 0.75\nneeded = 1", "expected needed for every tier, or for none"),
        ('price = { input_mtok = "1", output_mtok = "4" }', "", "tier 'small': the price of 'cheap' is unknown"),
        ("tokens_out = 500", 'tokens_out = 500\ncompare_with = ["huge"]', "compare_with: 'huge' is not one of"),
        ("tokens_out = 500", "tokens_out = 500\nover_route = 0.3", "over_route 0.3: expected at most 0.75 and 0.25"),
        ("tokens_out = 500", "tokens_out = ", "not TOML"),
    ],
)
def test_a_wrong_workload_is_named(write, old: str, new: str, problem: str) -> None:
    """One line with the file, the key, and what was expected."""
    assert old in WORKLOAD
    with pytest.raises(InputError) as caught:
        write(WORKLOAD.replace(old, new, 1))

    assert problem in str(caught.value)
    assert "workload.toml: " in str(caught.value)
    assert "\n" not in str(caught.value)


@given(shares, st.data())
def test_coupled_shares_keep_both_sums(sent: list[Decimal], data: st.DataObject) -> None:
    """Nobody is lost, nobody is invented, and no two requests are out in opposite directions across the same tier."""
    parts = data.draw(st.lists(st.integers(0, 100), min_size=len(sent), max_size=len(sent)).filter(any))
    needed = [Decimal(part) / sum(parts) for part in parts]
    pairs = coupled(sent, needed)

    for tier in range(len(sent)):
        assert abs(sum(share for (here, _), share in pairs.items() if here == tier) - sent[tier]) < Decimal("1e-20")
        assert abs(sum(share for (_, there), share in pairs.items() if there == tier) - needed[tier]) < Decimal("1e-20")
    places = sorted(pairs)
    assert all(one[1] <= other[1] for one, other in pairwise(places))


@given(shares, st.integers(0, 100), st.integers(0, 100))
def test_requests_that_are_out_by_one_are_still_requests(sent: list[Decimal], under: int, over: int) -> None:
    """The shares are none below 0 and sum to 1, and the rates come out as they were put in; or it is refused."""
    try:
        pairs = out_by_one(sent, Decimal(under) / 100, Decimal(over) / 100)
    except InputError:
        return
    assert min(pairs.values()) >= 0
    assert abs(sum(pairs.values()) - 1) < Decimal("1e-20")
    assert abs(sum(share for (here, there), share in pairs.items() if here < there) * 100 - under) < Decimal("1e-20")


prices = st.builds(
    lambda rates, edge: Price(Decimal(rates[0]), Decimal(rates[1]), steps=(Step(edge, Price(Decimal(rates[0] * 2), Decimal(rates[1]))),)),
    st.tuples(st.integers(0, 50), st.integers(0, 100)),
    st.integers(1, 5_000),
)
usages = st.builds(lambda read, cached, out: Usage(read, cached, 0, out), *(st.integers(0, 10_000),) * 3)


@given(shares, st.data(), st.integers(1, 99))
def test_costs_stay_between_the_cheapest_and_the_dearest(sent: list[Decimal], data: st.DataObject, percent: int) -> None:
    """No router costs less than each request at its cheapest tier; a target that is feasible is kept, and shares sum to 1."""
    ladder = tuple(Rung(f"tier-{place}", f"model-{place}", data.draw(prices)) for place in range(len(sent)))
    needs = st.integers(0, len(sent) - 1)
    parts = tuple(Segment(share, data.draw(usages), place, data.draw(needs)) for place, share in enumerate(sent))
    workload = Workload(100, ladder, parts, ("model-0",), AS_SENT)
    mix = priced(workload, {})
    found = simulate(mix)

    costs = [[rung.price.cost(part.usage) or Decimal(0) for rung in ladder] for part in parts]
    floor = sum(100 * part.share * min(row) for part, row in zip(parts, costs, strict=True))
    ceiling = sum(100 * part.share * max(row) for part, row in zip(parts, costs, strict=True))
    slack = Decimal("1e-18")
    assert all(option.usd_per_day >= 0 for option in found.options)
    assert all(floor - slack <= option.usd_per_day <= ceiling + slack for option in found.options if option.kind != "model")

    target = Decimal(percent) / 100
    reached = reach(mix, target, "model-0")
    assert abs(sum(reached.shares.values()) - 1) < slack
    assert min(reached.shares.values()) >= 0
    assert floor - slack <= reached.usd_per_day <= found.option("ladder").usd_per_day + slack
    baseline = found.option("model-0").usd_per_day
    if reached.feasible and baseline:
        saved = saved_share(reached.usd_per_day, baseline)
        assert saved is not None
        assert saved >= target - slack
    elif not reached.feasible:
        assert abs(reached.usd_per_day - floor) < slack
