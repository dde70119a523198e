"""What is booked of requests whose callers did not wait for the end, with a real provider on the other side."""

import asyncio
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from learnedrouter.config import LedgerSettings, Settings
from learnedrouter.events import RoutedCompletion
from learnedrouter.sinks.ledger import reading
from learnedrouter.sinks.ledger.database import engine_for
from tests.service.running import KEY, Running, running

INPUT_USD = Decimal("0.00001")
"""Of the ten tokens that the upstream provider counts, at a dollar a million."""

ANSWER_USD = Decimal("0.000016")
"""Of one of its whole answers in OpenAI's dialect: three tokens of output at two dollars a million more."""

SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object", "required": ["n"]}}}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('ledger')}/ledger.db"


@pytest.fixture(scope="module")
def service(settings: Settings, url: str) -> Iterator[Running]:
    with running(settings, ledger=LedgerSettings(url=url)) as service:
        yield service


def hung_up(service: Running, url: str, prompt: str, model: str, **more: Any) -> RoutedCompletion:
    """Ask, hang up once the provider hangs, and return the row that is left."""
    service.upstream.hanging.clear()
    body = {"model": model, "messages": [{"role": "user", "content": prompt}], **more}

    async def hang_up() -> None:
        async with httpx2.AsyncClient(base_url=service.url, headers={"x-api-key": KEY}) as http:
            call = asyncio.create_task(http.post("/v1/chat/completions", json=body, headers={"x-learnedrouter-threshold": "0"}))
            assert await asyncio.to_thread(service.upstream.hanging.wait, 10)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)

    asyncio.run(hang_up())
    event = service.next_event()
    return committed(url, event.id)


def committed(url: str, identity: str) -> RoutedCompletion:
    engine = engine_for(url)
    for _ in range(500):
        if (row := reading.find(engine, identity)) is not None:
            engine.dispose()
            return row
        time.sleep(0.02)
    raise AssertionError(f"{identity} is not in the ledger")


@pytest.mark.parametrize(
    ("prompt", "model", "more", "tried", "cost", "known", "unaccounted"),
    [
        ("[[oai-1: hang]]", "oai-1", {}, ["disconnected"], None, 0, 1),
        ("[[oai-1: status 503]] [[ant-2: hang]]", "tier:bulk", {}, ["unavailable", "disconnected"], None, 0, 1),
        (
            "[[ant-1: error-before]] [[oai-2: hang]]",
            "tier:structured",
            {"stream": True},
            ["unavailable", "disconnected"],
            INPUT_USD,
            INPUT_USD,
            2,
        ),
        ("[[ant-1: hang-before]]", "ant-1", {"stream": True}, ["disconnected"], INPUT_USD, INPUT_USD, 1),
        ("[[ant-1: hang-after]]", "ant-1", {"stream": True}, ["disconnected"], None, INPUT_USD, 0),
        ("[[oai-1: hang-after]]", "oai-1", {"stream": True}, ["disconnected"], None, 0, 0),
        (
            "[[oai-1: say seven]] [[ant-1: hang]]",
            "auto",
            {"response_format": SCHEMA},
            ["disconnected", "ok"],
            ANSWER_USD,
            ANSWER_USD,
            1,
        ),
    ],
    ids=[
        "nothing was told",
        "after a failure that cost nothing",
        "after a failure that told its input",
        "a stream that told its input, before any content",
        "a stream that told its input, amid the answer",
        "a stream that tells nothing before its end",
        "while a better answer was asked for",
    ],
)
def test_what_was_told_before_the_caller_hung_up_is_booked(
    service: Running,
    url: str,
    prompt: str,
    model: str,
    more: dict[str, Any],
    tried: list[str],
    cost: Decimal | None,
    known: Decimal,
    unaccounted: int,
) -> None:
    """Every attempt is there; what is certain of their cost is booked, what is unknown stays unknown and is counted."""
    row = hung_up(service, url, prompt, model, **more)

    assert row.outcome == "disconnected"
    assert [attempt.outcome for attempt in row.attempts] == tried
    assert (row.cost_usd, row.known_usd, row.unaccounted_attempts) == (cost, known, unaccounted)


def test_what_is_certain_of_an_unknown_cost_is_measured(service: Running, url: str) -> None:
    """Beside the costs that are known whole, so that both together are what was certainly spent; and no model is blamed."""
    partial = 'learnedrouter_partial_cost_dollars_total{model="ant-3",tier="standard"}'
    hung_up(service, url, "[[ant-3: hang-after]]", "ant-3", stream=True)
    hung_up(service, url, "[[ant-3: hang]]", "ant-3")
    metrics = httpx2.get(f"{service.url}/metrics").text.splitlines()

    assert [float(line.rpartition(" ")[2]) for line in metrics if line.startswith(partial)] == [float(INPUT_USD)]
    assert 'learnedrouter_unaccounted_attempts_total{model="ant-3"} 1.0' in metrics
    assert not [line for line in metrics if line.startswith('learnedrouter_fallbacks_total{from="ant-3"')]
