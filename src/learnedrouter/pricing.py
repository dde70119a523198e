"""What tokens cost, exactly: Decimal, USD per million tokens. Unknown is unknown, never 0.

Some providers bill long requests dearer: past so many tokens of input, cached ones included, *every* token of the request
has the higher price, those under the edge too ("prompts over 200K tokens", https://www.anthropic.com/pricing;
"prompts with >272K input tokens ... for the full session", https://openai.com/api/pricing). So a price may have `Step` after
`Step`, and the last that a request passes is the one that holds for it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from learnedrouter.chat import Usage

if TYPE_CHECKING:  # imported on use: its data takes a while to load
    from genai_prices.types import ModelPrice

MTOK = Decimal(1_000_000)

HOUR_WRITE_FACTOR = 2
"""What writing to the cache for an hour costs, in prices of input, where no price for it is known: only Anthropic bills it
apart (https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching#pricing, 2026-11-23)."""

_RATES = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok")
_UNBOOKED = ("requests_kcount", "output_reasoning_mtok", "output_citation_mtok")
"""What some list prices bill beside the classes of `Usage`; a model that has such a price would look cheaper than it is."""


@dataclass(frozen=True, slots=True)
class Price:
    """A model's price, in USD per million tokens.

    Parameters
    ----------
    input_mtok, output_mtok
        Uncached input, and output (reasoning included).
    cache_read_mtok, cache_write_mtok
        Input read from, and written to, the provider's prompt cache. None is billed as `input_mtok`.
    cache_write_1h_mtok
        Input written to the cache for an hour. None is billed as `HOUR_WRITE_FACTOR` times `input_mtok`.
    source
        Where the price comes from, with its date.
    steps
        The prices of longer requests, shortest first.

    Examples
    --------
    >>> Price(Decimal("3"), Decimal("15")).cost(Usage(input_tokens=2_000, output_tokens=100))
    Decimal('0.0075')
    """

    input_mtok: Decimal
    output_mtok: Decimal
    cache_read_mtok: Decimal | None = None
    cache_write_mtok: Decimal | None = None
    source: str = ""
    cache_write_1h_mtok: Decimal | None = None
    steps: "tuple[Step, ...]" = ()

    def cost(self, usage: Usage) -> Decimal | None:
        """Return what one request of `usage` costs in USD, or None where its tokens are unknown.

        Requests do not add up: two short ones are not billed as one long one.
        """
        return None if usage.input_tokens is None or usage.output_tokens is None else self.at_least(usage)

    def at_least(self, usage: Usage) -> Decimal:
        """Return what the known tokens of one request cost in USD; what of `usage` is unknown can only add to it.

        Examples
        --------
        >>> Price(Decimal("3"), Decimal("15")).at_least(Usage(input_tokens=2_000, output_tokens=None))
        Decimal('0.006')
        """
        input_tokens = usage.input_tokens or 0
        read = input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
        held = self
        for step in self.steps:
            if read > step.over_input_tokens:
                held = step.price
        return held._billed(usage, input_tokens, usage.output_tokens or 0)

    def _billed(self, usage: Usage, input_tokens: int, output_tokens: int) -> Decimal:
        read = self.input_mtok if self.cache_read_mtok is None else self.cache_read_mtok
        write = self.input_mtok if self.cache_write_mtok is None else self.cache_write_mtok
        hour = self.input_mtok * HOUR_WRITE_FACTOR if self.cache_write_1h_mtok is None else self.cache_write_1h_mtok
        for_an_hour = min(usage.cache_write_1h_tokens, usage.cache_write_tokens)
        total = (
            input_tokens * self.input_mtok
            + usage.cache_read_tokens * read
            + (usage.cache_write_tokens - for_an_hour) * write
            + for_an_hour * hour
            + output_tokens * self.output_mtok
        )
        return total / MTOK


@dataclass(frozen=True, slots=True)
class Step:
    """What holds for every token of a request of more than `over_input_tokens` tokens of input, cached ones included."""

    over_input_tokens: int
    price: Price


def list_price(model: str, provider: str) -> Price | None:
    """Return the public list price of a model from the installed genai-prices data, or None where it has none.

    Where a provider's price depends on the hour, it is the price at noon UTC. A model that bills something that `Usage`
    does not count, such as a fee for each request, has none: its cost would come out too low.
    """
    from genai_prices import Usage as ListUsage
    from genai_prices import __version__, calc_price

    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    try:
        listed = calc_price(ListUsage(), model, provider_id=provider, genai_request_timestamp=noon).model_price
    except LookupError:
        return None
    if listed.input_mtok is None or listed.output_mtok is None or any(getattr(listed, unit) is not None for unit in _UNBOOKED):
        return None
    source = f"genai-prices {__version__}, {noon:%Y-%m-%d}"
    steps = tuple(Step(start, _read(listed, start + 1, source)) for start in _starts(listed))
    base = _read(listed, 0, source)
    return Price(
        base.input_mtok, base.output_mtok, base.cache_read_mtok, base.cache_write_mtok, source, base.cache_write_1h_mtok, steps=steps
    )


def _starts(listed: "ModelPrice") -> list[int]:
    """Return the lengths past which any of the prices changes, shortest first."""
    from genai_prices.types import TieredPrices

    tiered = (rate for name in _RATES if isinstance(rate := getattr(listed, name), TieredPrices))
    return sorted({tier.start for rate in tiered for tier in rate.tiers})


def _read(listed: "ModelPrice", input_tokens: int, source: str) -> Price:
    """Return the prices of a request of so many tokens of input."""
    from genai_prices.types import TieredPrices

    def rate(name: str) -> Decimal | None:
        listed_rate: Decimal | TieredPrices | None = getattr(listed, name)
        if not isinstance(listed_rate, TieredPrices):
            return listed_rate
        return next((tier.price for tier in reversed(listed_rate.tiers) if input_tokens > tier.start), listed_rate.base)

    input_mtok, output_mtok, read, write, hour = map(rate, _RATES)
    return Price(input_mtok or Decimal(0), output_mtok or Decimal(0), read, write, source, hour)
