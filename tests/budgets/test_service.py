"""Budgets over HTTP: what callers' own SDKs make of them, and what the operator sees."""

import json
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from learnedrouter.cli import app
from learnedrouter.config import BudgetSettings, LedgerSettings, Settings
from tests.service.running import KEY, Running, running

POOR = "poor-callers-key"
MESSAGES: Any = [{"role": "user", "content": "Is 91 prime?"}]
BUDGETS = (
    BudgetSettings(name="pocket-money", scope="key:poor", period="month", limit_usd=Decimal("0.0001")),  # an estimate is ten times as much
    BudgetSettings(name="everybody", period="day", limit_usd=Decimal(5)),
)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> LedgerSettings:
    return LedgerSettings(url=f"sqlite:///{tmp_path_factory.mktemp('ledger')}/ledger.db")


@pytest.fixture(scope="module")
def service(settings: Settings, ledger: LedgerSettings) -> Iterator[Running]:
    keys = (SecretStr(POOR), SecretStr(KEY))
    with running(settings, budgets=BUDGETS, ledger=ledger, client_keys=keys, named_keys={"poor": keys[0]}) as service:
        yield service


def spent(service: Running) -> tuple[Decimal, Decimal]:
    """What everybody spent, and what is reserved, once it is booked."""
    for _ in range(100):
        lines = httpx2.get(f"{service.url}/metrics").text.splitlines()
        found = [
            line.rpartition(" ")[2] for kind in ("spent", "reserved") for line in lines if f'_{kind}_dollars{{budget="everybody"' in line
        ]
        amounts = tuple(map(Decimal, found)) if found else (Decimal(0), Decimal(0))
        if not amounts[1]:
            break
        time.sleep(0.02)
    return amounts[0], amounts[1]


@pytest.mark.parametrize("streamed", [False, True])
def test_openai(service: Running, streamed: bool) -> None:
    """OpenAI's SDK raises its RateLimitError with the code of a spent quota, and does not try again."""
    with pytest.raises(openai.RateLimitError) as caught:
        service.openai(api_key=POOR, max_retries=2).chat.completions.create(model="auto", messages=MESSAGES, stream=streamed)
    error, event = caught.value, service.next_event()

    assert (error.code, error.type) == ("insufficient_quota", "insufficient_quota")
    assert "budget 'pocket-money' of the key 'poor' does not cover this request: of 0.0001 USD a month, 0 USD are spent" in str(error)
    assert 0 < int(error.response.headers["retry-after"]) <= 31 * 86_400
    assert error.response.headers["x-learnedrouter-id"] == event.id
    assert (event.outcome, event.attempts, event.caller.key) == ("budget_exceeded", (), "poor")


@pytest.mark.parametrize("streamed", [False, True])
def test_anthropic(service: Running, streamed: bool) -> None:
    """Anthropic's SDK raises its RateLimitError."""
    with pytest.raises(anthropic.RateLimitError) as caught:
        service.anthropic(api_key=POOR).messages.create(model="auto", messages=MESSAGES, max_tokens=500, stream=streamed)
    service.next_event()

    body: Any = caught.value.body
    assert body["error"]["type"] == "rate_limit_error"
    assert body["error"]["details"] == {"error_code": "insufficient_quota"}


def test_native(service: Running) -> None:
    """The native endpoint names the budget and says when it resets."""
    answer = httpx2.post(f"{service.url}/route", json={"prompt": "Is 91 prime?"}, headers={"x-api-key": POOR})
    event = service.next_event()

    assert answer.status_code == 429
    assert answer.json()["error"]["budget"] == "pocket-money"
    assert answer.json()["error"]["resets_at"].endswith("-01T00:00:00+00:00")
    assert (answer.json()["id"], answer.headers["x-learnedrouter-cost-usd"]) == (event.id, "0")


def test_others_are_served_and_booked(service: Running) -> None:
    """Who has no budget of its own spends everybody's: an answer its cost, a stream that is left its estimate, a refusal nothing."""
    before, _ = spent(service)
    service.openai().chat.completions.create(model="tier:bulk", messages=MESSAGES)
    answered = service.next_event()
    assert answered.cost_usd
    assert spent(service) == (before + answered.cost_usd, 0)

    refused: Any = [{"role": "user", "content": "[[oai-1: status 400]]"}]
    with pytest.raises(openai.BadRequestError):
        service.openai().chat.completions.create(model="tier:bulk", messages=refused)
    service.next_event()
    assert spent(service) == (before + answered.cost_usd, 0)

    broken: Any = [{"role": "user", "content": "[[oai-1: cut-after]]"}]
    with pytest.raises(openai.APIError):
        list(service.openai().chat.completions.create(model="tier:bulk", messages=broken, max_tokens=100, stream=True))
    assert service.next_event().cost_usd is None
    after, _ = spent(service)
    assert after > before + answered.cost_usd + Decimal("0.0002")  # 100 tokens at 2 USD a million, and the question


def test_the_operator_sees_it(service: Running, ledger: LedgerSettings, tmp_path: Path) -> None:
    """Metrics count what was refused; `learnedrouter budgets` tells spent, left and resets, as a table and as JSON."""
    httpx2.post(f"{service.url}/route", json={"prompt": "Is 91 prime?"}, headers={"x-api-key": POOR})
    service.next_event()
    metrics = httpx2.get(f"{service.url}/metrics").text
    assert 'learnedrouter_budget_limit_dollars{budget="pocket-money",key="poor"} 0.0001' in metrics
    assert float(next(line for line in metrics.splitlines() if 'refused_total{budget="pocket-money"}' in line).split()[-1]) >= 1

    config = tmp_path / "router.toml"
    shipped = (Path(__file__).parents[2] / "router.toml").read_text(encoding="utf-8")
    tables = '[[budgets]]\nname = "everybody"\nperiod = "day"\nlimit_usd = "5"\n'
    config.write_text(f"{shipped}\n{tables}", encoding="utf-8")
    environment = {"LEARNEDROUTER_LEDGER__URL": ledger.url, "COLUMNS": "200"}
    shown = CliRunner().invoke(app, ["budgets", "--config", str(config)], env=environment)
    told = CliRunner().invoke(app, ["budgets", "--config", str(config), "--json"], env=environment)

    assert shown.exit_code == told.exit_code == 0
    assert "everybody (day, refuse)" in shown.stdout
    (row,) = json.loads(told.stdout)
    assert (row["budget"], row["key"], row["limit_usd"], row["reserved_usd"]) == ("everybody", None, 5, 0)
    assert row["left_usd"] == pytest.approx(5 - row["spent_usd"])
