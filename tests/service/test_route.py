import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from learnedrouter.config import Settings
from learnedrouter.service.app import create_app
from tests.service.running import fail, wait_until_ready

KEYS = {"id", "decision", "model", "output", "usage", "cost", "attempts", "timing_ms", "offline"}
DECISION_KEYS = {"tier", "predicted_tier", "sufficiency", "confidence", "threshold", "escalated", "reasons", "artifact"}


def route(client: TestClient, **body: Any) -> Any:
    answer = client.post("/route", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_an_answer_has_the_documented_shape(client: TestClient) -> None:
    """Every field of the contract is there, and headers tell the same story as the body."""
    response = client.post("/route", json={"prompt": "translate 'good morning' to Italian"})
    answer = response.json()

    assert set(answer) == KEYS
    assert set(answer["decision"]) >= DECISION_KEYS
    assert set(answer["output"]) == {"text", "tool_calls", "finish_reason"}
    assert set(answer["cost"]) == {"usd", "baseline_usd", "saved_usd"}
    assert list(answer["decision"]["sufficiency"]) == ["bulk", "structured", "standard", "complex"]
    headers = response.headers
    assert headers["x-learnedrouter-id"] == answer["id"]
    assert headers["x-learnedrouter-tier"] == answer["decision"]["tier"]
    assert headers["x-learnedrouter-model"] == answer["model"]
    assert headers["x-learnedrouter-fallbacks"] == "0"
    assert float(headers["x-learnedrouter-cost-usd"]) == pytest.approx(answer["cost"]["usd"])
    assert headers["x-learnedrouter-artifact"].startswith("small@")


def test_offline_answers_are_plainly_marked(client: TestClient) -> None:
    """Nobody takes a built-in answer for a model's."""
    answer = route(client, prompt="hello")

    assert answer["offline"] is True
    assert answer["output"]["text"].startswith("[offline] No provider was called.")
    assert client.get("/readyz").json()["offline"] is True


def test_saved_is_baseline_less_cost(client: TestClient) -> None:
    """The baseline prices the same tokens at the top tier."""
    cheap = route(client, prompt="x", tier="bulk")
    top = route(client, prompt="x", tier="complex")

    assert cheap["cost"]["saved_usd"] == pytest.approx(cheap["cost"]["baseline_usd"] - cheap["cost"]["usd"])
    assert cheap["cost"]["saved_usd"] > 0
    assert top["cost"]["saved_usd"] == 0
    usage = cheap["usage"]
    assert cheap["cost"]["usd"] == pytest.approx((usage["input_tokens"] * 0.27 + usage["output_tokens"] * 1.10) / 1e6)


def test_a_dry_run_calls_nobody(client: TestClient) -> None:
    """It shows the models in the order in which they would be tried, and an estimate."""
    answer = route(client, prompt="hello", dry_run=True)

    assert set(answer) >= {"id", "decision", "models", "estimated_cost"}
    assert "output" not in answer
    assert answer["models"][0]["tier"] == answer["decision"]["tier"]
    assert len(answer["models"]) == 4
    assert answer["estimated_cost"]["usd"] > 0


def test_a_failing_model_is_replaced_and_told(client: TestClient) -> None:
    """The answer names the model that answered, and every attempt."""
    response = client.post("/route", json={"prompt": "hello [offline: fail gpt-5.5]", "min_tier": "structured", "threshold": 0})

    fallen = response.json()
    assert fallen["attempts"][0]["outcome"] == "unavailable"
    assert [attempt["model"] for attempt in fallen["attempts"]] == ["gpt-5.5", "claude-sonnet-4.6"]
    assert fallen["model"] == "claude-sonnet-4.6"
    assert response.headers["x-learnedrouter-fallbacks"] == "1"


def test_when_no_model_answers_the_attempts_are_in_the_error(client: TestClient) -> None:
    """The caller of a failed request still learns what was decided and tried."""
    response = client.post("/route", json={"prompt": "hi [offline: fail deepseek-v3]", "tier": "bulk"})

    assert response.status_code == 502
    assert response.json()["error"]["type"] == "provider_error"
    assert response.json()["attempts"][0]["model"] == "deepseek-v3"
    assert response.headers["x-learnedrouter-tier"] == "bulk"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"tier": "standard"}, "forced_tier"),
        ({"min_tier": "complex", "threshold": 0}, "min_tier"),
        ({"max_tier": "bulk", "threshold": 1}, "max_tier"),
    ],
)
def test_the_callers_bounds_hold(client: TestClient, options: dict[str, Any], reason: str) -> None:
    """A forced tier, a floor and a ceiling hold for the decision and for every fallback, and are named as the reason."""
    answer = route(client, prompt="hello", dry_run=True, **options)

    allowed = {"forced_tier": {"standard"}, "min_tier": {"complex"}, "max_tier": {"bulk"}}[reason]
    assert answer["decision"]["reasons"][-1] == reason
    assert {model["tier"] for model in answer["models"]} == allowed


def test_an_image_never_meets_a_model_without_eyes(client: TestClient) -> None:
    """What the request needs comes before what the classifier prefers, and the reason is on the decision."""
    content = [{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}]

    answer = route(client, messages=[{"role": "user", "content": content}], threshold=0, dry_run=True)

    assert answer["decision"]["reasons"][-1] == "needs_images"
    assert "deepseek-v3" not in {model["model"] for model in answer["models"]}


def test_a_long_prompt_skips_small_windows(client: TestClient) -> None:
    """75,000 tokens do not fit into a window of 64,000."""
    answer = route(client, prompt="lorem ipsum dolor " * 17_000, threshold=0, dry_run=True)

    assert answer["decision"]["truncated"] is True
    assert answer["decision"]["ask_tokens"] > 60_000
    assert "deepseek-v3" not in {model["model"] for model in answer["models"]}


def test_tool_definitions_count_as_input(client: TestClient) -> None:
    """Thirty-two tools are billed on every call, so they count against context windows and budgets."""
    tools = [{"type": "function", "function": {"name": f"tool_{n}", "description": "what it does " * 40}} for n in range(32)]

    plain = route(client, prompt="hello", tier="complex", dry_run=True)
    with_tools = route(client, prompt="hello", tier="complex", dry_run=True, tools=tools)

    assert with_tools["estimated_cost"]["usd"] - plain["estimated_cost"]["usd"] > 4_000 * 5 / 1e6


def test_a_budget_for_one_request_holds(client: TestClient) -> None:
    """Models that are expected to cost more are not tried; where none is left, the error says why."""
    answer = route(client, prompt="hello", threshold=1, max_cost_usd=0.001, dry_run=True)
    response = client.post("/route", json={"prompt": "hello", "max_cost_usd": 0.0000001})

    assert {model["model"] for model in answer["models"]} == {"deepseek-v3"}
    assert answer["decision"]["reasons"][-1] == "needs_max_cost_usd"
    assert response.status_code == 422
    assert "bulk: max_cost_usd" in response.json()["error"]["message"]


def test_metrics_count_what_happened(settings: Settings) -> None:
    """Requests, tokens, cost, fallbacks, confidence and times stand in Prometheus' format."""
    with TestClient(create_app(settings, fail)) as client:
        wait_until_ready(client)
        route(client, prompt="hello", tier="bulk")
        client.post("/route", json={"prompt": "hello [offline: fail gpt-5.5]", "min_tier": "structured", "threshold": 0})
        text = client.get("/metrics").text

    assert 'learnedrouter_requests_total{model="deepseek-v3",status="ok",tier="bulk"} 1.0' in text
    assert 'learnedrouter_fallbacks_total{from="gpt-5.5",reason="unavailable",to="claude-sonnet-4.6"} 1.0' in text
    assert 'learnedrouter_tokens_total{model="deepseek-v3",type="input"}' in text
    assert 'learnedrouter_cost_dollars_total{model="deepseek-v3",tier="bulk"}' in text
    for name in ("baseline_cost_dollars_total", "confidence_bucket", "decision_seconds_bucket", "overhead_seconds_bucket"):
        assert f"learnedrouter_{name}{{" in text


def test_the_description_is_served(client: TestClient) -> None:
    """/docs and the OpenAPI description know the endpoint and its fields."""
    description = client.get("/openapi.json").json()

    assert client.get("/docs").status_code == 200
    schema = description["paths"]["/route"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert "max_cost_usd" in schema["properties"]


def test_prompts_are_not_logged(client: TestClient, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither what was asked nor what was answered reaches a log."""
    route(client, prompt="the launch code is swordfish")
    client.post("/route", content=json.dumps({"prompt": 3, "x": "swordfish"}), headers={"content-type": "application/json"})

    captured = capsys.readouterr()
    assert "routed" in captured.out + captured.err
    assert "swordfish" not in captured.out + captured.err
