"""Reading the traffic in a ledger for accounts: streamed, so that a ledger of any size takes the same memory, and read-only."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, and_, create_engine, or_, select
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from learnedrouter.ask import Ask
from learnedrouter.chat import Usage
from learnedrouter.errors import InputError
from learnedrouter.sinks.ledger.tables import attempts, captures, requests

_AT_ONCE = 1_000
_USAGE = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens", "cache_write_1h_tokens")
_READ = (
    "id at_us key tags outcome artifact tier predicted_tier sufficiency reasons model served_tier cost_pico_usd baseline_pico_usd "
    "unaccounted_attempts decision_us"
).split()


@dataclass(frozen=True, slots=True)
class Period:
    """From when, included, to when, not included, in microseconds since 1970; None is open."""

    since_us: int | None = None
    until_us: int | None = None

    def covers(self) -> ColumnElement[bool]:
        """Return the condition on requests."""
        bounds = []
        if self.since_us is not None:
            bounds.append(requests.c.at_us >= self.since_us)
        if self.until_us is not None:
            bounds.append(requests.c.at_us < self.until_us)
        return and_(True, *bounds)


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the ledger, as far as accounts need it.

    Parameters
    ----------
    usage
        Of the answer; None where its tokens are unknown, or nobody answered.
    cost_pico_usd
        Of all its attempts; None where it is unknown.
    answer_pico_usd
        Of the answer alone; None where it is unknown, or nobody answered.
    ask
        None where it was not captured, or not asked for.
    """

    id: str
    at_us: int
    key: str | None
    tags: Mapping[str, str]
    outcome: str
    artifact: str
    tier: str
    predicted_tier: str
    sufficiency: Mapping[str, float]
    reasons: tuple[str, ...]
    model: str | None
    served_tier: str | None
    cost_pico_usd: int | None
    baseline_pico_usd: int | None
    unaccounted_attempts: int
    decision_us: int
    usage: Usage | None
    answer_pico_usd: int | None
    ask: Ask | None = None

    @property
    def wasted_pico_usd(self) -> int:
        """What the attempts cost that were not the answer: failed ones, and answers that were discarded."""
        return (self.cost_pico_usd or 0) - (self.answer_pico_usd or 0)


@dataclass(frozen=True, slots=True)
class Wasted:
    """An attempt that was not the answer.

    Parameters
    ----------
    outcome
        What went wrong with it.
    cost_pico_usd
        None where it is unknown.
    unaccounted
        Whether it may have cost money that nobody told.
    booked
        Whether what it cost is in its request's cost: not where that is unknown.
    """

    outcome: str
    cost_pico_usd: int | None
    unaccounted: bool
    booked: bool


@contextmanager
def open_ledger(address: str) -> Iterator[Connection]:
    """Give a connection to the ledger at `address`: an SQLAlchemy URL, or an SQLite file.

    Nothing is written, and whoever writes it meanwhile is not kept waiting.

    Raises
    ------
    InputError
        There is no ledger, or it cannot be read.
    """
    try:
        with _engine(address).connect() as connection:
            connection.execute(select(requests.c.id).limit(1))
            yield connection.execution_options(stream_results=True, yield_per=_AT_ONCE)
    except (SQLAlchemyError, ImportError) as error:
        cause = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise InputError(f"{address}: no ledger can be read there ({cause})") from error


def read_requests(ledger: Connection, period: Period, *, asks: bool = False) -> Iterator[Request]:
    """Yield the requests of a period, in the order in which they came.

    Parameters
    ----------
    asks
        Read those too that were captured.
    """
    columns = [requests.c[name] for name in (*_READ, *_USAGE)] + [attempts.c.cost_pico_usd.label("answer_pico_usd")]
    is_answer = and_(attempts.c.request_id == requests.c.id, attempts.c.place == requests.c.attempts - 1, requests.c.model.is_not(None))
    joined = requests.outerjoin(attempts, is_answer)
    if asks:
        columns.append(captures.c.ask)
        joined = joined.outerjoin(captures, captures.c.request_id == requests.c.id)
    query: Select[Any] = select(*columns).select_from(joined).where(period.covers()).order_by(requests.c.at_us)
    return (_request(row, asks) for row in ledger.execute(query))


def read_wasted(ledger: Connection, period: Period) -> Iterator[Wasted]:
    """Yield the attempts of a period that were not the answer."""
    joined = attempts.join(requests, attempts.c.request_id == requests.c.id)
    in_vain = or_(requests.c.model.is_(None), attempts.c.place < requests.c.attempts - 1)
    columns = attempts.c.outcome, attempts.c.cost_pico_usd, attempts.c.unaccounted, requests.c.cost_pico_usd.is_not(None)
    for outcome, cost, unaccounted, booked in ledger.execute(select(*columns).select_from(joined).where(period.covers(), in_vain)):
        yield Wasted(outcome, cost, bool(unaccounted), bool(booked))


def _engine(address: str) -> Engine:
    if "://" not in address or address.startswith("sqlite:///"):
        path = Path(address.removeprefix("sqlite:///")).absolute()
        if not path.is_file():
            raise InputError(f"{address}: does not exist; expected a ledger's file, or its URL")
        return create_engine(f"sqlite:///file:{path}?mode=ro&uri=true")
    try:
        return create_engine(address)
    except (ArgumentError, NoSuchModuleError) as error:
        raise InputError(f"{address}: not a database that can be used ({error})") from error


def _request(row: Row[Any], asks: bool) -> Request:
    values = row._mapping
    known = values["input_tokens"] is not None and values["output_tokens"] is not None
    usage = Usage(**{name: values[name] for name in _USAGE}) if known else None
    ask = values["ask"] if asks else None
    return Request(
        **{name: values[name] for name in _READ if name not in ("reasons", "tags")},
        reasons=tuple(values["reasons"]),
        tags=values["tags"],
        usage=usage,
        answer_pico_usd=values["answer_pico_usd"],
        ask=Ask(**(json.loads(ask) if isinstance(ask, str) else ask)) if ask else None,
    )
