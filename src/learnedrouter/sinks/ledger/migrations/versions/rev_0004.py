"""Which kind of encoder decided: in a cascade it is not always the same."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column."""
    op.add_column("requests", sa.Column("encoder", sa.Text))
