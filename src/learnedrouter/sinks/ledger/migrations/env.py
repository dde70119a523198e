"""What alembic runs for each command: the steps, on the connection that it is given."""

from alembic import context

from learnedrouter.sinks.ledger.migrations import version
from learnedrouter.sinks.ledger.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, version_table=version.name, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
