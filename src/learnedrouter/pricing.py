"""What tokens cost, exactly: Decimal, USD per million tokens. Unknown is unknown, never 0."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from learnedrouter.chat import Usage

MTOK = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Price:
    """A model's price, in USD per million tokens.

    Parameters
    ----------
    input_mtok, output_mtok
        Uncached input, and output (reasoning included).
    cache_read_mtok, cache_write_mtok
        Input read from, and written to, the provider's prompt cache. None is billed as `input_mtok`.
    source
        Where the price comes from, with its date.
    """

    input_mtok: Decimal
    output_mtok: Decimal
    cache_read_mtok: Decimal | None = None
    cache_write_mtok: Decimal | None = None
    source: str = ""

    def cost(self, usage: Usage) -> Decimal | None:
        """Return what `usage` costs in USD, or None where its tokens are unknown.

        Examples
        --------
        >>> Price(Decimal("3"), Decimal("15")).cost(Usage(input_tokens=2_000, output_tokens=100))
        Decimal('0.0075')
        """
        if usage.input_tokens is None or usage.output_tokens is None:
            return None
        read = self.input_mtok if self.cache_read_mtok is None else self.cache_read_mtok
        write = self.input_mtok if self.cache_write_mtok is None else self.cache_write_mtok
        total = (
            usage.input_tokens * self.input_mtok
            + usage.cache_read_tokens * read
            + usage.cache_write_tokens * write
            + usage.output_tokens * self.output_mtok
        )
        return total / MTOK


def list_price(model: str, provider: str) -> Price | None:
    """Return the public list price of a model from the installed genai-prices data, or None where it has none.

    Where a provider's price depends on the hour, it is the price at noon UTC.
    """
    from genai_prices import Usage as ListUsage  # imported on use: its data takes a while to load
    from genai_prices import __version__, calc_price

    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)

    def rate(usage: ListUsage) -> Decimal:
        return calc_price(usage, model, provider_id=provider, genai_request_timestamp=noon).total_price

    try:
        base = rate(ListUsage(input_tokens=1_000))
        return Price(
            input_mtok=base * 1_000,
            output_mtok=rate(ListUsage(output_tokens=1_000)) * 1_000,
            cache_read_mtok=rate(ListUsage(input_tokens=1_000, cache_read_tokens=1_000)) * 1_000,
            cache_write_mtok=rate(ListUsage(input_tokens=1_000, cache_write_tokens=1_000)) * 1_000,
            source=f"genai-prices {__version__}, {noon:%Y-%m-%d}",
        )
    except LookupError:
        return None
