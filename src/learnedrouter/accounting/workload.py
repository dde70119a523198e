"""A workload: how many requests a day, how long they are, where they are sent, and what they need.

The file is TOML; ``examples/article.toml`` is one. Its tiers stand cheapest first::

    requests_per_day = 200
    tokens_in = 37_500           # of a request, cached ones included
    tokens_out = 37_500
    cached_share = 0.0           # of the tokens in, read from the provider's cache; whichever model reads them
    compare_with = ["big"]       # the models that savings are against; the top tier's by default

    [[tiers]]
    name = "bulk"
    model = "small"
    share = 0.6                  # of the requests, sent here
    needed = 0.5                 # of the requests, for which this is the cheapest tier that will do (see below)
    tokens_in = 2_000            # of a request that is sent here, where these are longer or shorter than others
    price = { input_mtok = "1", output_mtok = "2" }      # else the configuration's

What requests *need* is what a perfect router would send: each to exactly the cheapest tier that will do. It can be given
in two ways, and where it is not, the shares are taken for it.

- ``needed``, for each tier. Which requests are sent wrong does not follow from two lists of shares; they are taken to be
  out by as few tiers in total as possible.
- ``under_route`` and ``over_route``: the shares of all requests that the router sends below and above their need, as
  `learnedrouter evaluate` measures them. Each is taken to be out by one tier, and any request that is sent to a tier from
  which one can be out that way to be out with the same probability.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from learnedrouter.accounting.price_list import read_toml, validated
from learnedrouter.chat import Usage
from learnedrouter.errors import InputError
from learnedrouter.price_settings import PriceSettings
from learnedrouter.pricing import Price

Share = Annotated[Decimal, Field(ge=0, le=1)]
Tokens = Annotated[int, Field(ge=0)]

AS_SENT = "nothing says what the requests need, so what they are sent is taken for it: the perfect router is the ladder"
AS_GIVEN = "the perfect router sends each tier the share that the workload says it is needed by"
BY_RATES = "the perfect router differs from the ladder by the workload's under- and over-routed shares, each out by one tier"


@dataclass(frozen=True, slots=True)
class Rung:
    """A tier, its model, and what that model costs."""

    tier: str
    model: str
    price: Price


@dataclass(frozen=True, slots=True)
class Segment:
    """Requests that are alike.

    Parameters
    ----------
    share
        Of all requests.
    usage
        Of one of them.
    sent, needed
        The tier that they are sent to, and the cheapest that will do; 0 is the cheapest of all.
    """

    share: Decimal
    usage: Usage
    sent: int
    needed: int


@dataclass(frozen=True, slots=True)
class Workload:
    """What is to be priced.

    Parameters
    ----------
    requests_per_day
        How many.
    rungs
        The ladder, cheapest first.
    segments
        The requests; their shares sum to 1.
    compare_with
        The models that savings are against.
    needs
        How it is known what requests need, as a sentence.
    """

    requests_per_day: int
    rungs: tuple[Rung, ...]
    segments: tuple[Segment, ...]
    compare_with: tuple[str, ...]
    needs: str


class _Tier(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    model: str
    share: Share
    needed: Share | None = None
    tokens_in: Tokens | None = None
    tokens_out: Tokens | None = None
    price: PriceSettings | None = None


class _WorkloadFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    requests_per_day: Annotated[int, Field(gt=0)]
    tokens_in: Tokens
    tokens_out: Tokens
    cached_share: Share = Decimal(0)
    under_route: Share | None = None
    over_route: Share | None = None
    compare_with: tuple[str, ...] = ()
    tiers: Annotated[tuple[_Tier, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _hangs_together(self) -> "_WorkloadFile":
        needed = [tier.needed for tier in self.tiers if tier.needed is not None]
        if needed and len(needed) < len(self.tiers):
            raise ValueError("tiers: expected needed for every tier, or for none")
        if needed and (self.under_route is not None or self.over_route is not None):
            raise ValueError("needed of the tiers, and under_route and over_route: expected one of them")
        for key, shares in (("share", [tier.share for tier in self.tiers]), ("needed", needed)):
            if shares and sum(shares) != 1:
                raise ValueError(f"tiers: {key} sums to {sum(shares)}; expected 1")
        models = {tier.model for tier in self.tiers}
        if unknown := sorted(set(self.compare_with) - models):
            raise ValueError(f"compare_with: {unknown[0]!r} is not one of the tiers' models {sorted(models)}")
        return self


def load_workload(path: Path, prices: Mapping[str, Price], fallback: Mapping[str, Price] | None = None) -> Workload:
    """Return the workload that stands in the file `path`.

    Parameters
    ----------
    prices
        By model; come before the file's own.
    fallback
        By model; come after them.

    Raises
    ------
    InputError
        It is none, or a model has no price; names the file, the key, and what was expected.
    """
    stated = validated(_WorkloadFile, read_toml(path), path)
    rungs = tuple(Rung(tier.name, tier.model, _price(tier, path, prices, fallback or {})) for tier in stated.tiers)
    try:
        segments, needs = _segments(stated)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return Workload(stated.requests_per_day, rungs, segments, stated.compare_with or (rungs[-1].model,), needs)


def models_without_price(path: Path) -> list[str]:
    """Return the models that the workload file `path` gives no price for.

    Raises
    ------
    InputError
        See `load_workload`.
    """
    return [tier.model for tier in validated(_WorkloadFile, read_toml(path), path).tiers if tier.price is None]


def _price(tier: _Tier, path: Path, prices: Mapping[str, Price], fallback: Mapping[str, Price]) -> Price:
    own = tier.price.price(path.name) if tier.price else None
    price = prices.get(tier.model) or own or fallback.get(tier.model)
    if price is None:
        raise InputError(
            f"{path}: tier {tier.name!r}: the price of {tier.model!r} is unknown; expected one in the file or the configuration"
        )
    return price


def _segments(stated: _WorkloadFile) -> tuple[tuple[Segment, ...], str]:
    shares = [tier.share for tier in stated.tiers]
    usages = [_usage(stated, tier) for tier in stated.tiers]
    if stated.tiers[0].needed is not None:
        pairs, needs = coupled(shares, [tier.needed or Decimal(0) for tier in stated.tiers]), AS_GIVEN
    elif stated.under_route is not None or stated.over_route is not None:
        pairs, needs = out_by_one(shares, stated.under_route or Decimal(0), stated.over_route or Decimal(0)), BY_RATES
    else:
        pairs, needs = {(tier, tier): share for tier, share in enumerate(shares)}, AS_SENT
    return tuple(Segment(share, usages[sent], sent, needed) for (sent, needed), share in pairs.items() if share), needs


def _usage(stated: _WorkloadFile, tier: _Tier) -> Usage:
    tokens_in = stated.tokens_in if tier.tokens_in is None else tier.tokens_in
    tokens_out = stated.tokens_out if tier.tokens_out is None else tier.tokens_out
    cached = int((tokens_in * stated.cached_share).to_integral_value())
    return Usage(tokens_in - cached, cache_read_tokens=cached, output_tokens=tokens_out)


def coupled(sent: list[Decimal], needed: list[Decimal]) -> dict[tuple[int, int], Decimal]:
    """Return the shares of the requests by where they are sent and what they need, with as little out as possible.

    Requests in order of what they need are sent in order of where they are sent (the optimal transport between two
    distributions on a line; Villani 2003, "Topics in Optimal Transportation", section 2.2).
    """
    pairs: dict[tuple[int, int], Decimal] = {}
    left, wanting = list(sent), list(needed)
    here = there = 0
    while here < len(left) and there < len(wanting):
        moved = min(left[here], wanting[there])
        if moved:
            pairs[here, there] = moved
        left[here] -= moved
        wanting[there] -= moved
        if left[here]:
            there += 1
        else:
            here += 1
    return pairs


def out_by_one(sent: list[Decimal], under: Decimal, over: Decimal) -> dict[tuple[int, int], Decimal]:
    """Return the shares of the requests by where they are sent and what they need, where some are out by one tier.

    Parameters
    ----------
    sent
        Share of the requests that is sent to each tier.
    under, over
        Shares of all requests that need the next tier up, and for which the next one down would do.

    Raises
    ------
    InputError
        More requests would be out than are sent.
    """
    top = len(sent) - 1
    may_be_under, may_be_over = sum(sent[:top]), sum(sent[1:])
    if under > may_be_under or over > may_be_over:
        raise InputError(f"under_route {under} and over_route {over}: expected at most {may_be_under} and {may_be_over}, by the shares")
    pairs: dict[tuple[int, int], Decimal] = {}
    for tier, share in enumerate(sent):
        up = under * share / may_be_under if tier < top and may_be_under else Decimal(0)
        down = over * share / may_be_over if tier > 0 and may_be_over else Decimal(0)
        if up + down > share:
            raise InputError(f"under_route {under} and over_route {over}: more requests would be out than are sent to one of the tiers")
        pairs |= {(tier, tier): share - up - down, (tier, tier + 1): up, (tier, tier - 1): down}
    return pairs
