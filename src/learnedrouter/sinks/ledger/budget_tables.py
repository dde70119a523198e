"""The tables that budgets are kept in, in the ledger's database and in its units: whole pico-USD, microseconds since 1970 (UTC).

``subject`` is the key whose part of a budget it is, empty where all callers share one; ``period`` is 2026-11-23 or 2026-11;
``unknown`` counts requests that are booked at their estimates.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table

from learnedrouter.sinks.ledger.tables import metadata

balances = Table(
    "budget_balances",
    metadata,
    Column("budget", String(100), primary_key=True),
    Column("subject", String(100), primary_key=True),
    Column("period", String(10), primary_key=True),
    Column("spent_pico_usd", BigInteger, nullable=False),
    Column("reserved_pico_usd", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("degraded", BigInteger, nullable=False),
    Column("unknown", BigInteger, nullable=False),
)

reservations = Table(
    "budget_reservations",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),  # SQLite counts INTEGER keys up, no other
    Column("request_id", String(64), nullable=False),
    Column("budget", String(100), nullable=False),
    Column("subject", String(100), nullable=False),
    Column("period", String(10), nullable=False),
    Column("amount_pico_usd", BigInteger, nullable=False),
    Column("expires_at_us", BigInteger, nullable=False),
    Index("budget_reservations_request_id", "request_id"),
    Index("budget_reservations_expires_at_us", "expires_at_us"),
)
