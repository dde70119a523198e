"""What is certain of the cost of an attempt whose cost is unknown."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column."""
    op.add_column("attempts", sa.Column("part_pico_usd", sa.BigInteger))
