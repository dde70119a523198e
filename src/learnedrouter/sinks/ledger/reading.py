"""Reading the ledger: its rows as the events that they were made of, but for what was not kept."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, RowMapping, Select, select

from learnedrouter.ask import Ask
from learnedrouter.chat import UNTOLD, Caller, Dialect, ModelRef, Usage
from learnedrouter.events import Asked, RoutedCompletion
from learnedrouter.providers.bodies import Adjusted
from learnedrouter.providers.trying import Attempt
from learnedrouter.sinks.ledger.rows import microseconds
from learnedrouter.sinks.ledger.tables import EPOCH, MICROSECOND, USAGE, attempts, captures, requests, usd
from learnedrouter.tiers import Decision

_AT_ONCE = 500


def events(engine: Engine, since: datetime | None = None, until: datetime | None = None) -> Iterator[RoutedCompletion]:
    """Yield the requests that came from `since` on and before `until`, in order; a few hundred are in memory at a time.

    Raises
    ------
    sqlalchemy.exc.SQLAlchemyError
        The database cannot be read, or holds no ledger.
    """
    query = select(requests, captures.c.ask, captures.c.embedding).outerjoin(captures, captures.c.request_id == requests.c.id)
    if since is not None:
        query = query.where(requests.c.at_us >= microseconds(since))
    if until is not None:
        query = query.where(requests.c.at_us < microseconds(until))
    with engine.connect() as connection:
        yield from _read(connection, query.order_by(requests.c.at_us, requests.c.id))


def find(engine: Engine, identity: str) -> RoutedCompletion | None:
    """Return one request; None where the ledger does not know it.

    Raises
    ------
    sqlalchemy.exc.SQLAlchemyError
        See `events`.
    """
    query = select(requests, captures.c.ask, captures.c.embedding).outerjoin(captures, captures.c.request_id == requests.c.id)
    with engine.connect() as connection:
        return next(_read(connection, query.where(requests.c.id == identity)), None)


def _read(connection: Connection, query: Select[Any]) -> Iterator[RoutedCompletion]:
    for part in connection.execute(query.execution_options(yield_per=_AT_ONCE)).mappings().partitions():
        tried = _attempts(connection, [row["id"] for row in part])
        yield from (_event(row, tried.get(row["id"], ())) for row in part)


def _attempts(connection: Connection, identities: Sequence[str]) -> dict[str, tuple[Attempt, ...]]:
    query = select(attempts).where(attempts.c.request_id.in_(identities)).order_by(attempts.c.request_id, attempts.c.place)
    rows = connection.execute(query).mappings()
    return {identity: tuple(map(_attempt, group)) for identity, group in groupby(rows, key=lambda row: row["request_id"])}


def _attempt(row: RowMapping) -> Attempt:
    usage = _usage(row)
    return Attempt(
        ref=ModelRef(row["provider"], row["model"]),
        tier=row["tier"],
        outcome=row["outcome"],
        status=row["status"],
        message=row["message"] or "",
        duration_ms=row["duration_us"] / 1e3,
        usage=usage if usage.told else None,
        cost_usd=usd(row["cost_pico_usd"]),
        price_source=row["price_source"] or "",
    )


def _event(row: RowMapping, tried: tuple[Attempt, ...]) -> RoutedCompletion:
    return RoutedCompletion(
        id=row["id"],
        at=EPOCH + row["at_us"] * MICROSECOND,
        dialect=Dialect(row["dialect"]),
        conversation=row["conversation"],
        asked=_asked(row),
        decision=_decision(row),
        model=ModelRef(row["provider"], row["model"]) if row["model"] else None,
        served_tier=row["served_tier"] or "",
        outcome=row["outcome"],
        attempts=tried,
        usage=_usage(row),
        cost_usd=usd(row["cost_pico_usd"]),
        baseline_usd=usd(row["baseline_pico_usd"]),
        baseline_model=row["baseline_model"],
        decision_seconds=row["decision_us"] / 1e6,
        provider_seconds=row["provider_us"] / 1e6,
        total_seconds=row["total_us"] / 1e6,
        first_token_seconds=None if row["first_token_us"] is None else row["first_token_us"] / 1e6,
        adjusted=Adjusted(row["clamped"] or "", tuple(row["params"])),
        streamed=row["streamed"],
        caller=Caller(row["key"], row["tags"]),
    )


def _decision(row: RowMapping) -> Decision:
    return Decision(
        tier=row["tier"],
        predicted_tier=row["predicted_tier"],
        sufficiency=row["sufficiency"],
        confidence=row["confidence"],
        threshold=row["threshold"],
        reasons=tuple(row["reasons"]),
        artifact=row["artifact"],
        ask_tokens=row["ask_tokens"],
        truncated=row["ask_truncated"],
        escalated=row["escalated"],
        probabilities=tuple(row["probabilities"]),
        encoder=row["encoder"] or "",
    )


def _asked(row: RowMapping) -> Asked:
    ask = Ask(**row["ask"]) if row["ask"] else None
    embedding = None if row["embedding"] is None else np.frombuffer(row["embedding"], dtype="<f4")
    return Asked(row["ask_characters"], row["ask_sha256"], ask, embedding)


def _usage(row: RowMapping) -> Usage:
    counts = {name: row[name] for name in USAGE}
    return UNTOLD if counts["cache_read_tokens"] is None else Usage(**counts)
