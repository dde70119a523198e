"""The traffic in a ledger: streamed, so that a ledger of any size takes the same memory, and read-only."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from sqlalchemy import URL, Engine, create_engine, select
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from learnedrouter.chat import Usage
from learnedrouter.errors import InputError
from learnedrouter.events import RoutedCompletion
from learnedrouter.providers.trying import Attempt
from learnedrouter.sinks.ledger.database import without_password
from learnedrouter.sinks.ledger.reading import events
from learnedrouter.sinks.ledger.tables import requests


@dataclass(frozen=True, slots=True)
class Period:
    """From when, included, to when, not included; None is open."""

    since: datetime | None = None
    until: datetime | None = None


@contextmanager
def read_traffic(address: str, period: Period) -> Iterator[Iterator[RoutedCompletion]]:
    """Give the requests of a period, in the order in which they came.

    Nothing is written, and whoever writes the ledger meanwhile is not kept waiting.

    Parameters
    ----------
    address
        An SQLAlchemy URL, or an SQLite file.

    Raises
    ------
    InputError
        There is no ledger, or it cannot be read; while they are given, too.
    """
    engine = _engine(address)
    try:
        with engine.connect() as connection:
            connection.execute(select(requests.c.id).limit(1))
        yield events(engine, period.since, period.until)
    except (SQLAlchemyError, ImportError) as error:
        cause = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise InputError(f"{without_password(address)}: no ledger can be read there ({cause})") from error
    finally:
        engine.dispose()


def counted(event: RoutedCompletion) -> Usage | None:
    """Return the tokens of the answer; None where they are not all known, or nobody answered."""
    usage = event.usage
    return usage if event.model and usage.input_tokens is not None and usage.output_tokens is not None else None


def answer_usd(event: RoutedCompletion) -> Decimal | None:
    """Return what the answer alone cost; None where that is unknown, or nobody answered."""
    return event.attempts[-1].cost_usd if event.model and event.attempts else None


def in_vain(event: RoutedCompletion) -> tuple[Attempt, ...]:
    """Return the attempts that were not the answer: failed ones, and answers that were discarded."""
    return event.attempts[:-1] if event.model else event.attempts


def _engine(address: str) -> Engine:
    """Return an engine that only reads: the ledger's own would keep the service from writing."""
    if "://" not in address or address.startswith("sqlite:///"):
        path = Path(address.removeprefix("sqlite:///")).absolute()
        if not path.is_file():
            raise InputError(f"{address}: does not exist; expected a ledger's file, or its URL")
        return create_engine(URL.create("sqlite", database=path.as_uri(), query={"mode": "ro", "uri": "true"}))
    try:
        return create_engine(address)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise InputError(f"{without_password(address)}: not a database that can be used ({error})") from error
