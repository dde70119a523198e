"""A database of its own for a test."""

from pathlib import Path

from sqlalchemy import Engine

from learnedrouter.budgets.store import engine_for
from learnedrouter.budgets.tables import METADATA


def opened(file: Path) -> Engine:
    """The database in `file`, its tables in place."""
    engine = engine_for(f"sqlite:///{file}")
    METADATA.create_all(engine)
    return engine
