"""The dashboard and the alert rules name only what the service really exposes."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from learnedrouter.config import BudgetSettings, LedgerSettings, Settings
from tests.conftest import ROOT
from tests.service.running import KEY, Running, running

DASHBOARDS = ROOT / "dashboards"
METRIC = re.compile(r"\b(?:learnedrouter|gen_ai)_[a-z_]+\b(?=[{\[)]| )")
BY = re.compile(r"\bby \(([^)]*)\)")
SELECTED = re.compile(r"([a-z_]+)(?:=|!=|=~|!~)\"")
OF_PROMETHEUS = {"job", "instance", "le"}
"""Labels that Prometheus adds, and the one that every histogram has."""


@pytest.fixture(scope="module")
def exposed(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """What /metrics gives after traffic of every kind: the labels of each series' name."""
    ledger = LedgerSettings(url=f"sqlite:///{tmp_path_factory.mktemp('ledger')}/ledger.db")
    budget = BudgetSettings(period="day", limit_usd=Decimal(5))
    with running(settings, adjust={"oai-1": {"max_output_tokens": 10}}, ledger=ledger, budgets=(budget,)) as service:
        _traffic(service)
        text = httpx2.get(f"{service.url}/metrics").text
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def _traffic(service: Running) -> None:
    """Answers, fallbacks, an escalation, a stream that breaks without telling its usage, a limit that is cut, a refusal."""

    def ask(prompt: str, model: str, headers: dict[str, str] | None = None, **more: Any) -> int:
        body = {"model": model, "messages": [{"role": "user", "content": prompt}], **more}
        return http.post("/v1/chat/completions", json=body, headers=headers or {}).status_code

    with service.http() as http:
        assert ask("hello", "auto") == 200
        assert ask("[[oai-1: status 503]]", "tier:bulk") == 200
        assert ask("[[oai-1: cut]]", "tier:bulk") == 200
        assert ask("hello", "auto", {"x-learnedrouter-threshold": "1", "x-learnedrouter-min-tier": "complex"}) == 200
        assert ask("[[ant-1: cut-after]]", "ant-1", stream=True) == 200
        assert ask("hello", "oai-1", max_tokens=1_000) == 200
        assert http.post("/v1/messages", content="{", headers={"x-api-key": KEY}).status_code == 415


def metrics_of(expression: str) -> set[str]:
    return set(METRIC.findall(BY.sub("by", expression)))


def panels() -> Iterator[tuple[str, str]]:
    """Title and expression of every target."""
    for panel in json.loads((DASHBOARDS / "learnedrouter.json").read_text(encoding="utf-8"))["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def alerts() -> Iterator[tuple[str, str]]:
    """Name and expression of every rule."""
    text = (DASHBOARDS / "alerts.yml").read_text(encoding="utf-8")
    for rule in text.split("- alert: ")[1:]:
        yield rule.splitlines()[0], rule.partition("expr: ")[2].partition("labels:")[0]


@pytest.mark.parametrize(("title", "expression"), [*panels(), *alerts()])
def test_every_metric_and_label_is_exposed(exposed: dict[str, set[str]], title: str, expression: str) -> None:
    """A panel over a metric that nobody exposes, or by a label that it does not have, stays empty for ever."""
    named = metrics_of(expression)
    labels = {label.strip() for group in BY.findall(expression) for label in group.split(",")} | set(SELECTED.findall(expression))

    assert named, f"{title}: names no metric"
    assert named <= exposed.keys(), f"{title}: {sorted(named - exposed.keys())} are not exposed"
    assert labels - OF_PROMETHEUS <= {label for name in named for label in exposed[name]}, title


def test_what_is_exposed_is_shown(exposed: dict[str, set[str]]) -> None:
    """No metric of ours is counted that no panel shows."""
    shown = {name for _, expression in panels() for name in metrics_of(expression)}
    families = {re.sub(r"_(total|bucket|sum|count|created)$", "", name) for name in exposed if name.startswith("learnedrouter_")}

    assert families == {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in shown if name.startswith("learnedrouter_")}
