import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select

from learnedrouter.chat import UNTOLD, Usage
from learnedrouter.providers.trying import Attempt
from learnedrouter.sinks.ledger import reading
from learnedrouter.sinks.ledger.database import engine_for
from learnedrouter.sinks.ledger.rows import rows_of
from learnedrouter.sinks.ledger.store import BadRow, Store
from learnedrouter.sinks.ledger.tables import attempts, pico, requests, usd
from tests.ledger.world import ASK, CHEAP, SECRET, event


def silent(told):
    """An event without what is not kept by default: what a provider said of a failure."""
    return replace(told, attempts=tuple(replace(attempt, message="") for attempt in told.attempts))


def test_an_event_is_read_as_it_was_written(engine: Engine) -> None:
    """Whatever was told comes back, exact to the microsecond and the pico-dollar; what nobody told stays unknown."""
    store, whole = Store(engine), event()
    unanswered = event(model=None, served_tier="", usage=UNTOLD, cost_usd=None, baseline_usd=None, attempts=whole.attempts[:1])
    store.write([rows_of(told, "off") for told in (whole, unanswered)])

    assert reading.find(engine, whole.id) == silent(whole)
    assert reading.find(engine, unanswered.id) == silent(unanswered)
    assert reading.find(engine, "rt_unknown") is None
    store.close()


@pytest.mark.parametrize("told", [UNTOLD, Usage(5, 3, 0, None), Usage(0, output_tokens=0), Usage(1, 2, 3, 4, 5, 6)])
def test_unknown_usage_is_null_and_never_zero(tmp_path: Path, told: Usage) -> None:
    """Where a provider told nothing, every count is NULL; where it told the input only, the output is; a told 0 is 0."""
    engine = engine_for(f"sqlite:///{tmp_path}/ledger.db")
    store = Store(engine)
    store.write([rows_of(event(id="rt_1", usage=told), "off")])
    store.close()

    with sqlite3.connect(tmp_path / "ledger.db") as plain:
        counts = plain.execute("SELECT input_tokens, cache_read_tokens, cache_write_tokens, output_tokens FROM requests").fetchone()

    expected = (told.input_tokens, told.cache_read_tokens, told.cache_write_tokens, told.output_tokens)
    assert counts == (expected if told != UNTOLD else (None,) * 4)
    found = reading.find(engine, "rt_1")
    assert found is not None
    assert found.usage == told


@pytest.mark.parametrize(
    ("capture", "kept", "ask", "embedding"), [("off", False, None, False), ("embedding", False, None, True), ("text", True, ASK, True)]
)
def test_prompts_are_kept_only_by_those_who_ask_for_it(tmp_path: Path, capture, kept: bool, ask, embedding: bool) -> None:
    """By default no byte of an ask is in the file, nor what a provider quotes of it; its length and hash are."""
    engine, told = engine_for(f"sqlite:///{tmp_path}/ledger.db"), event()
    store = Store(engine)
    store.write([rows_of(told, capture)])
    store.close()
    found = reading.find(engine, told.id)
    engine.dispose()

    assert found is not None
    assert any(SECRET.encode() in file.read_bytes() for file in tmp_path.iterdir()) == kept
    assert (found.asked.characters, found.asked.sha256, found.asked.ask) == (len(SECRET), "a" * 64, ask)
    assert (found.asked.embedding is not None) == embedding
    if found.asked.embedding is not None:
        np.testing.assert_array_equal(found.asked.embedding, [0, 1, 2, 3])


@given(st.lists(st.decimals("0", "1000", places=12), max_size=20))
def test_money_adds_up_exactly(amounts: list[Decimal]) -> None:
    """An amount of whole pico-dollars is stored as it is, so that sums are exact."""
    assert [usd(pico(amount)) for amount in amounts] == amounts
    assert usd(sum(pico(amount) or 0 for amount in amounts)) == sum(amounts)


def test_a_database_adds_up_exactly(engine: Engine) -> None:
    """A hundred thousandths of a cent and a fortune, which no float adds up, do so in SQL; by attempt as by request."""
    store, small, large = Store(engine), Decimal("0.000000000001"), Decimal("123456.789012345678")
    group = [
        event(cost_usd=amount, attempts=(Attempt(CHEAP, "bulk", "ok", 200, "", 1.0, Usage(1, output_tokens=1), amount),))
        for amount in (small,) * 100 + (large,)
    ]
    store.write([rows_of(told, "off") for told in group])

    with engine.connect() as connection:
        for table in (requests, attempts):
            assert usd(int(connection.execute(select(func.sum(table.c.cost_pico_usd))).scalar_one())) == 100 * small + large
    store.close()


def test_reading_takes_a_stretch_of_time_in_order(engine: Engine) -> None:
    """From `since` on, before `until`, oldest first, each with its own attempts; more than are read at once."""
    start, store = datetime(2026, 11, 1, tzinfo=UTC), Store(engine)
    told = [event(at=start + timedelta(seconds=second)) for second in range(1_200)]
    for place in range(0, 1_200, 100):
        store.write([rows_of(one, "off") for one in reversed(told[place : place + 100])])

    found = list(reading.events(engine, start + timedelta(seconds=10), start + timedelta(seconds=1_190)))

    assert [one.id for one in found] == [one.id for one in told[10:1_190]]
    assert all([attempt.outcome for attempt in one.attempts] == ["timeout", "ok"] for one in found)
    store.close()


def test_a_group_is_committed_whole_or_not_at_all(engine: Engine) -> None:
    """A row that the database cannot hold is told as such, and nothing of its group is left behind."""
    store, good = Store(engine), event()
    store.write([rows_of(good, "off")])
    fresh, too_much = event(), event(usage=Usage(2**80, output_tokens=1))

    for bad in (good, too_much):
        with pytest.raises(BadRow):
            store.write([rows_of(fresh, "off"), rows_of(bad, "off")])

    assert store.holds(good.id)
    assert not store.holds(fresh.id)
    store.write([rows_of(fresh, "off")])
    assert store.holds(fresh.id)
    store.close()


def test_old_rows_are_forgotten_whole(engine: Engine) -> None:
    """What came before a moment is deleted in parts, with its attempts and captures; the rest stays."""
    start, store = datetime(2026, 11, 1, tzinfo=UTC), Store(engine)
    told = [event(at=start + timedelta(seconds=second)) for second in range(700)]
    store.write([rows_of(one, "text") for one in told])
    before = rows_of(told[600], "off").request["at_us"]

    assert store.forget(before)
    assert not store.forget(before)

    assert [one.id for one in reading.events(engine)] == [one.id for one in told[600:]]
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(attempts)).scalar_one() == 200
    store.close()
