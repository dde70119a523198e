import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient

from learnedrouter.config import LedgerSettings, Settings
from learnedrouter.errors import ConfigError, LearnedRouterError
from learnedrouter.events import RoutedCompletion
from learnedrouter.service.app import create_app
from learnedrouter.service.client_keys import ClientKeys
from learnedrouter.sinks.ledger import reading
from learnedrouter.sinks.ledger.database import engine_for
from tests.service.running import KEY, Running, running

SCHEMA = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
OPENAI, ANTHROPIC = "/v1/chat/completions", "/v1/messages"


class Kept:
    """A service's ledger, as its file shows it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings = LedgerSettings(url=f"sqlite:///{path}", lock_seconds=20, wait_seconds=20)

    def row(self, identity: str) -> RoutedCompletion:
        engine = engine_for(self.settings.url)
        found = reading.find(engine, identity)
        engine.dispose()
        assert found is not None, f"{identity} is not in the ledger"
        return found


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return Kept(tmp_path_factory.mktemp("ledger") / "ledger.db")


@pytest.fixture(scope="module")
def service(settings: Settings, kept: Kept) -> Iterator[Running]:
    with running(settings, ledger=kept.settings, explained_requests=1) as service:
        yield service


def body(prompt: str, model: str = "tier:bulk", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": 50, **more}


def ask(service: Running, path: str, content: dict[str, Any], **headers: str) -> httpx2.Response:
    with service.http() as http:
        return http.post(path, json=content, headers=headers)


def identity(answer: httpx2.Response) -> str:
    return str(answer.headers["x-learnedrouter-id"])


def test_a_row_tells_all_but_the_prompt(service: Running, kept: Kept) -> None:
    """Who asked, what for, what was decided, who answered, and what it used and cost, once the answer is there."""
    headers = {"x-learnedrouter-tags": "team=search, feature=titles", "x-session-id": "s1"}
    answer = ask(service, OPENAI, body("Name a colour.", metadata={"team": "other", "app": "web", "n": 1}), **headers)
    row = kept.row(identity(answer))

    assert row.caller.tags == {"team": "search", "feature": "titles", "app": "web"}
    assert row.caller.key == ClientKeys([KEY]).recognise([KEY])
    assert (row.outcome, row.served_tier, str(row.model), row.dialect) == ("ok", "bulk", "oai/oai-1", "openai")
    assert (row.usage.input_tokens, row.usage.output_tokens, row.usage.reasoning_tokens) == (10, 3, None)
    assert (row.cost_usd, row.attempts[0].cost_usd, row.attempts[0].price_source) == (Decimal("0.000016"),) * 2 + ("router.toml",)
    assert row.asked.characters == len("Name a colour.")
    assert sum(row.decision.probabilities) == pytest.approx(1)
    assert row.decision.artifact == answer.headers["x-learnedrouter-artifact"]
    assert row.total_seconds >= row.decision_seconds > 0
    held = b"".join(file.read_bytes() for file in kept.path.parent.iterdir())
    assert b"colour" not in held
    assert KEY.encode() not in held


def test_requests_of_a_conversation_share_its_name(service: Running, kept: Kept) -> None:
    """A name that the caller gives is kept as a hash; other conversations have another."""
    rows = [kept.row(identity(ask(service, ANTHROPIC, body("hello"), **{"x-session-id": name}))) for name in ("a", "a", "b")]

    assert rows[0].conversation == rows[1].conversation != rows[2].conversation
    assert rows[0].dialect == "anthropic"


@pytest.mark.parametrize("tags", ["team", "=search", "team=", "a=" + "x" * 200, ",".join(f"t{n}=1" for n in range(20))])
def test_tags_that_cannot_be_read_are_refused(service: Running, tags: str) -> None:
    """One clear error that names the header."""
    answer = ask(service, OPENAI, body("hello"), **{"x-learnedrouter-tags": tags})

    assert answer.status_code == 400
    assert "x-learnedrouter-tags" in answer.json()["error"]["message"]


def test_attempts_that_cost_money_are_booked(service: Running, kept: Kept) -> None:
    """A discarded answer is on the bill; a failure whose cost nobody told is counted, and makes no cost unknown."""
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}
    content = {**body("[[oai-1: say seven]] [[ant-1: status 503]] [[oai-2: garbage]] [[oai-hasty: say eight]]"), "response_format": form}
    discarded = kept.row(identity(ask(service, OPENAI, {**content, "model": "auto"}, **{"x-learnedrouter-threshold": "0"})))
    broken = kept.row(identity(ask(service, OPENAI, body("[[oai-1: cut]]"))))
    refused = kept.row(
        identity(ask(service, OPENAI, body("[[oai-1: status 429]] [[ant-2: status 401]]"), **{"x-learnedrouter-max-tier": "bulk"}))
    )

    told = [attempt.cost_usd for attempt in discarded.attempts if attempt.cost_usd]
    assert discarded.cost_usd == sum(told)
    assert [attempt.outcome for attempt in broken.attempts] == ["unavailable", "ok"]
    assert (broken.attempts[0].unaccounted, broken.unaccounted_attempts) == (True, 1)
    assert broken.cost_usd == broken.attempts[-1].cost_usd is not None
    assert (refused.outcome, refused.model, refused.cost_usd, refused.unaccounted_attempts) == ("denied", None, 0, 0)


@pytest.mark.parametrize(
    ("model", "usage"), [("oai-1", (None, None, None)), ("ant-1", (10, 0, None))], ids=["openai tells at the end", "anthropic at the start"]
)
@pytest.mark.parametrize("path", [OPENAI, ANTHROPIC])
def test_what_a_broken_stream_used_stays_unknown(
    service: Running, kept: Kept, path: str, model: str, usage: tuple[int | None, ...]
) -> None:
    """What was told before it broke is kept; what was not is unknown, so is the cost, and both are counted."""
    counted = f'learnedrouter_unknown_usage_requests_total{{model="{model}"}}'
    before = metric(service, counted)
    with service.http() as http, http.stream("POST", path, json=body(f"[[{model}: error-after]]", model, stream=True)) as answer:
        answer.read()
    row = kept.row(identity(answer))

    assert (row.usage.input_tokens, row.usage.cache_read_tokens if row.usage.told else None, row.usage.output_tokens) == usage
    assert row.cost_usd is None
    assert row.outcome != "ok"
    assert metric(service, counted) == before + 1


@pytest.mark.parametrize(
    ("path", "more", "end"),
    [(OPENAI, {}, "data: [DONE]"), (ANTHROPIC, {}, "event: message_stop"), ("/route", None, "event: done")],
    ids=["openai", "anthropic", "native"],
)
def test_a_stream_ends_when_its_row_is_committed(service: Running, kept: Kept, path: str, more: Any, end: str) -> None:
    """While the database cannot be written, all of the answer comes but its end; the end comes with the row."""
    content = {"prompt": "hello", "stream": True} if more is None else body("hello", stream=True)
    lines: list[str] = []
    with closing(sqlite3.connect(kept.path, isolation_level=None)) as other:
        ask(service, OPENAI, body("hello"))
        other.execute("BEGIN EXCLUSIVE")
        with service.http() as http, http.stream("POST", path, json=content) as answer:
            collecting = threading.Thread(target=lambda: lines.extend(answer.iter_lines()))
            collecting.start()
            wait_for(lambda: any("gamma" in line for line in lines))
            time.sleep(0.2)
            so_far = list(lines)
            other.execute("ROLLBACK")
            collecting.join()

    assert end not in so_far
    assert end in lines
    assert kept.row(identity(answer)).streamed


def test_a_locked_ledger_fails_no_answer(settings: Settings, tmp_path: Path) -> None:
    """Answers go out when the first transaction fails, the metrics say what waits, and the rows are there once the lock is gone."""
    kept = Kept(tmp_path / "ledger.db")
    with running(settings, ledger=kept.settings.model_copy(update={"lock_seconds": 0.1})) as service:
        ask(service, OPENAI, body("hello"))
        with closing(sqlite3.connect(kept.path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            answers = [ask(service, OPENAI, body("hello")) for _ in range(3)]
            assert [answer.status_code for answer in answers] == [200] * 3
            assert metric(service, "learnedrouter_ledger_late_answers_total") == 3
            wait_for(lambda: metric(service, "learnedrouter_ledger_write_errors_total") > 0)
            assert metric(service, "learnedrouter_ledger_queued_rows") > 0
            assert metric(service, "learnedrouter_ledger_dropped_rows_total") == 0
            other.execute("ROLLBACK")
        wait_for(lambda: metric(service, "learnedrouter_ledger_rows_total") == 4)
        assert metric(service, "learnedrouter_ledger_queued_rows") == 0
        for answer in answers:
            assert kept.row(identity(answer)).outcome == "ok"


def test_what_is_no_longer_in_memory_is_explained_from_the_ledger(service: Running, kept: Kept, settings: Settings) -> None:
    """The same, whoever is asked: this process, which remembers one request, or another that shares the ledger."""
    first = identity(ask(service, ANTHROPIC, body("[[ant-1: status 503]]", "tier:structured"), **{"x-learnedrouter-tags": "a=b"}))
    with service.http() as http:
        in_memory = http.get(f"/route/{first}").json()
        ask(service, OPENAI, body("another"))
        from_ledger = http.get(f"/route/{first}").json()
        assert http.get("/route/rt_unknown").status_code == 404
    with running(settings, ledger=kept.settings) as other, other.http() as http:
        assert http.get(f"/route/{first}").json() == from_ledger

    assert in_memory["attempts"][0].pop("message")
    assert from_ledger["attempts"][0].pop("message") == ""
    for timing in ("decision", "provider", "total"):
        assert from_ledger["timing_ms"].pop(timing) == pytest.approx(in_memory["timing_ms"].pop(timing), abs=0.002)
    for attempt in (*from_ledger["attempts"], *in_memory["attempts"]):
        attempt.pop("duration_ms")
    assert from_ledger == in_memory


@pytest.mark.parametrize("capture", ["embedding", "text"])
def test_captured_asks_can_be_judged_again(settings: Settings, tmp_path: Path, capture: str) -> None:
    """What is kept is what the classifier read, so that another model can be tried on it."""
    kept = Kept(tmp_path / "ledger.db")
    with running(settings, ledger=kept.settings.model_copy(update={"capture": capture})) as service:
        row = kept.row(identity(ask(service, OPENAI, body("Name a colour."))))

    assert row.asked.embedding is not None
    assert float((row.asked.embedding**2).sum()) == pytest.approx(1, abs=1e-3)
    assert (row.asked.ask.text if row.asked.ask else None) == ("Name a colour." if capture == "text" else None)


def test_a_ledger_can_be_switched_off(settings: Settings, tmp_path: Path) -> None:
    """Then nothing is written, and what is in memory is explained."""
    off = LedgerSettings(enabled=False, url=f"sqlite:///{tmp_path}/ledger.db")
    with running(settings, ledger=off) as service:
        answer = ask(service, OPENAI, body("hello"))
        with service.http() as http:
            assert http.get(f"/route/{identity(answer)}").status_code == 200
            assert "this process" in http.get("/route/rt_unknown").json()["error"]["message"]

    assert list(tmp_path.iterdir()) == []


def test_a_ledger_that_is_none_is_told_at_start(settings: Settings) -> None:
    """One clear error that names the key."""
    told: list[LearnedRouterError] = []
    with TestClient(create_app(settings.model_copy(update={"ledger": LedgerSettings(url="nosuch://base")}), told.append)):
        pass

    assert isinstance(told[0], ConfigError)
    assert "ledger.url" in str(told[0])


def metric(service: Running, name: str) -> float:
    lines = httpx2.get(f"{service.url}/metrics").text.splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name), 0.0)


def wait_for(holds: Any) -> None:
    for _ in range(500):
        if holds():
            return
        time.sleep(0.02)
    raise AssertionError("not within ten seconds")
