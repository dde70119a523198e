"""How long a streamed answer's first content took."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column."""
    op.add_column("requests", sa.Column("first_token_us", sa.BigInteger))
