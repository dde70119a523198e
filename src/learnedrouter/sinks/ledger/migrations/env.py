"""What alembic runs for each command: the steps, on the connection that it is given."""

from alembic import context

from learnedrouter.sinks.ledger.budget_tables import balances
from learnedrouter.sinks.ledger.migrations import version

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=balances.metadata, version_table=version.name, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
