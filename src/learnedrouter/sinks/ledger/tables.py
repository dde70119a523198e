"""The ledger's tables, as `migrations` makes them.

Everything is stored so that sums are exact and the same in any database: moments as microseconds since 1970 (UTC),
durations as microseconds, money as whole pico-USD (10^-12 USD), which is exact for prices of up to six decimals per
million tokens. NULL is unknown, or not there, and never 0.
"""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from sqlalchemy import JSON, BigInteger, Boolean, Column, Float, Index, Integer, LargeBinary, MetaData, String, Table, Text

PICO = Decimal(10) ** 12
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

metadata = MetaData()

_json = JSON(none_as_null=True)


USAGE = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "output_tokens", "reasoning_tokens")
"""Tokens billed, as `chat.Usage` has them."""


def _usage() -> list[Column[int]]:
    return [Column(name, BigInteger) for name in USAGE]


requests = Table(
    "requests",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("at_us", BigInteger, nullable=False),
    Column("dialect", String(16), nullable=False),
    Column("streamed", Boolean, nullable=False),
    Column("key", String(64)),
    Column("conversation", String(64), nullable=False),
    Column("tags", _json, nullable=False),
    Column("outcome", String(64), nullable=False),
    # What was decided.
    Column("artifact", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("predicted_tier", Text, nullable=False),
    Column("confidence", Float(53), nullable=False),
    Column("threshold", Float(53), nullable=False),
    Column("escalated", Boolean, nullable=False),
    Column("sufficiency", _json, nullable=False),
    Column("probabilities", _json, nullable=False),
    Column("reasons", _json, nullable=False),
    # What was asked.
    Column("ask_characters", BigInteger, nullable=False),
    Column("ask_tokens", BigInteger, nullable=False),
    Column("ask_truncated", Boolean, nullable=False),
    Column("ask_sha256", String(64), nullable=False),
    # Who answered, and what it cost.
    Column("provider", Text),
    Column("model", Text),
    Column("served_tier", Text),
    Column("clamped", Text),
    Column("params", _json, nullable=False),
    *_usage(),
    Column("cost_pico_usd", BigInteger),
    Column("baseline_pico_usd", BigInteger),
    Column("baseline_model", Text),
    Column("attempts", Integer, nullable=False),
    Column("unaccounted_attempts", Integer, nullable=False),
    # How long it took.
    Column("decision_us", BigInteger, nullable=False),
    Column("provider_us", BigInteger, nullable=False),
    Column("total_us", BigInteger, nullable=False),
    Column("first_token_us", BigInteger),  # of a stream's first content
    Column("encoder", Text),  # that decided
    Index("requests_at_us", "at_us"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("request_id", String(64), primary_key=True),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("outcome", String(64), nullable=False),
    Column("status", Integer),
    Column("message", Text),  # providers like to quote the request: kept where text may be
    Column("duration_us", BigInteger, nullable=False),
    *_usage(),
    Column("cost_pico_usd", BigInteger),
    Column("price_source", Text),
    Column("unaccounted", Boolean, nullable=False),
    Column("part_pico_usd", BigInteger),  # where the cost is unknown, what of it is certain
)

captures = Table(
    "captures",
    metadata,
    Column("request_id", String(64), primary_key=True),
    Column("ask", _json),  # every field of `learnedrouter.ask.Ask`
    Column("embedding", LargeBinary),  # float32, little-endian
)


def pico(usd: Decimal | None) -> int | None:
    """Return an amount in whole pico-USD; None stays unknown."""
    return None if usd is None else int((usd * PICO).to_integral_value(ROUND_HALF_EVEN))


def usd(pico_usd: int | None) -> Decimal | None:
    """Return an amount of whole pico-USD in USD; None stays unknown."""
    return None if pico_usd is None else Decimal(pico_usd) / PICO
