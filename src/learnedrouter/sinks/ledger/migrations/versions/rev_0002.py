"""Budgets: what was spent and is reserved of each, and for which requests."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make their tables."""
    op.create_table(
        "budget_balances",
        sa.Column("budget", sa.String(100), primary_key=True),
        sa.Column("subject", sa.String(100), primary_key=True),
        sa.Column("period", sa.String(10), primary_key=True),
        sa.Column("spent_pico_usd", sa.BigInteger, nullable=False),
        sa.Column("reserved_pico_usd", sa.BigInteger, nullable=False),
        sa.Column("refused", sa.BigInteger, nullable=False),
        sa.Column("degraded", sa.BigInteger, nullable=False),
        sa.Column("unknown", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "budget_reservations",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("budget", sa.String(100), nullable=False),
        sa.Column("subject", sa.String(100), nullable=False),
        sa.Column("period", sa.String(10), nullable=False),
        sa.Column("amount_pico_usd", sa.BigInteger, nullable=False),
        sa.Column("expires_at_us", sa.BigInteger, nullable=False),
    )
    op.create_index("budget_reservations_request_id", "budget_reservations", ["request_id"])
    op.create_index("budget_reservations_expires_at_us", "budget_reservations", ["expires_at_us"])
