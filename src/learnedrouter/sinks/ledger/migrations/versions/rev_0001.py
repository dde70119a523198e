"""The first tables: requests, their attempts, and what was captured of them."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

USAGE = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "output_tokens", "reasoning_tokens")


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "requests",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("dialect", sa.String(16), nullable=False),
        sa.Column("streamed", sa.Boolean, nullable=False),
        sa.Column("key", sa.String(64)),
        sa.Column("conversation", sa.String(64), nullable=False),
        sa.Column("tags", sa.JSON, nullable=False),
        sa.Column("outcome", sa.String(64), nullable=False),
        sa.Column("artifact", sa.Text, nullable=False),
        sa.Column("tier", sa.Text, nullable=False),
        sa.Column("predicted_tier", sa.Text, nullable=False),
        sa.Column("confidence", sa.Float(53), nullable=False),
        sa.Column("threshold", sa.Float(53), nullable=False),
        sa.Column("escalated", sa.Boolean, nullable=False),
        sa.Column("sufficiency", sa.JSON, nullable=False),
        sa.Column("probabilities", sa.JSON, nullable=False),
        sa.Column("reasons", sa.JSON, nullable=False),
        sa.Column("ask_characters", sa.BigInteger, nullable=False),
        sa.Column("ask_tokens", sa.BigInteger, nullable=False),
        sa.Column("ask_truncated", sa.Boolean, nullable=False),
        sa.Column("ask_sha256", sa.String(64), nullable=False),
        sa.Column("provider", sa.Text),
        sa.Column("model", sa.Text),
        sa.Column("served_tier", sa.Text),
        sa.Column("clamped", sa.Text),
        sa.Column("params", sa.JSON, nullable=False),
        *(sa.Column(name, sa.BigInteger) for name in USAGE),
        sa.Column("cost_pico_usd", sa.BigInteger),
        sa.Column("baseline_pico_usd", sa.BigInteger),
        sa.Column("baseline_model", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("unaccounted_attempts", sa.Integer, nullable=False),
        sa.Column("decision_us", sa.BigInteger, nullable=False),
        sa.Column("provider_us", sa.BigInteger, nullable=False),
        sa.Column("total_us", sa.BigInteger, nullable=False),
    )
    op.create_index("requests_at_us", "requests", ["at_us"])
    op.create_table(
        "attempts",
        sa.Column("request_id", sa.String(64), primary_key=True),
        sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("tier", sa.Text, nullable=False),
        sa.Column("outcome", sa.String(64), nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("message", sa.Text),
        sa.Column("duration_us", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.BigInteger) for name in USAGE),
        sa.Column("cost_pico_usd", sa.BigInteger),
        sa.Column("price_source", sa.Text),
        sa.Column("unaccounted", sa.Boolean, nullable=False),
    )
    op.create_table(
        "captures",
        sa.Column("request_id", sa.String(64), primary_key=True),
        sa.Column("ask", sa.JSON),
        sa.Column("embedding", sa.LargeBinary),
    )
