"""How the ledger's tables came to be, step by step: alembic's scripts, run when the service starts.

To change the tables: change `tables` (or `budget_tables`), add a script beside the last in ``versions``, and name it here.
"""

from sqlalchemy import Column, MetaData, String, Table

HEAD = "0005"
"""The newest step."""

version = Table("learnedrouter_ledger_version", MetaData(), Column("version_num", String(32), primary_key=True))
"""Where alembic notes how far it came; under a name of its own, for the database may serve others too."""
