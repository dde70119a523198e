"""The service as its callers meet it: over HTTP, in front of the upstream provider of these tests."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import anthropic
import httpx2
import openai
from fastapi.testclient import TestClient
from pydantic import SecretStr

from learnedrouter.config import ModelSettings, PriceSettings, ProviderSettings, Settings, TierSettings
from learnedrouter.errors import LearnedRouterError
from learnedrouter.events import RoutedCompletion
from learnedrouter.router import Sink
from learnedrouter.service.app import create_app
from learnedrouter.service.wiring import make_router
from tests.service.upstream import Upstream, serving

KEY = "client-key"
TIERS = {
    "bulk": ("oai-1", "ant-2"),
    "structured": ("ant-1", "oai-2"),
    "standard": ("oai-hasty", "ant-3"),
    "complex": ("ant-hasty", "oai-3"),
}
"""Two models a tier, of different providers, so that the second takes over from the first; the hasty ones wait for little."""


def fail(error: LearnedRouterError) -> None:
    raise AssertionError(error)


def wait_until_ready(http: TestClient | httpx2.Client, seconds: int = 20) -> None:
    """Wait until the service has loaded its artefact, and before that, until there is one."""
    for _ in range(seconds * 20):
        with suppress(httpx2.HTTPError):
            if http.get("/readyz").status_code == 200:
                return
        time.sleep(0.05)
    raise AssertionError(f"not ready after {seconds} seconds")


def chat(prompt: str, model: str = "tier:bulk", **more: Any) -> dict[str, Any]:
    """The body of a request in OpenAI's dialect."""
    return {"model": model, "messages": [{"role": "user", "content": prompt}], **more}


@dataclass
class Running:
    """A running service, its upstream, and the events that it recorded."""

    url: str
    upstream: Upstream
    events: list[RoutedCompletion] = field(default_factory=list)
    recorded: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def record(self, event: RoutedCompletion) -> None:
        self.events.append(event)
        self.recorded.release()

    def next_event(self) -> RoutedCompletion:
        """Wait for the event of the request that was just made; there must be exactly one that nobody waited for yet."""
        assert self.recorded.acquire(timeout=20), "no event was recorded"
        time.sleep(0.02)
        assert not self.recorded.acquire(blocking=False), "the event was recorded twice"
        return self.events[-1]

    def openai(self, **options: Any) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", **{"api_key": KEY, "max_retries": 0, **options})

    def anthropic(self, **options: Any) -> anthropic.Anthropic:
        return anthropic.Anthropic(base_url=self.url, **{"api_key": KEY, "max_retries": 0, **options})

    def http(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, headers={"authorization": f"Bearer {KEY}"}, timeout=30)


def settings_for(settings: Settings, upstream_url: str, adjust: Mapping[str, Mapping[str, Any]] | None = None, **changes: Any) -> Settings:
    """The shipped settings, with the models of `TIERS` at the upstream provider in place of the shipped ones."""
    adjusted = adjust or {}

    def model(name: str) -> ModelSettings:
        kind = name.partition("-")[0]
        return ModelSettings(
            provider=kind,
            upstream_model=name,
            timeout_seconds=0.7 if name.endswith("hasty") else 30,
            supports=frozenset({"tools", "images", "json_schema"}),
            price=PriceSettings.model_validate({"input_mtok": "1", "output_mtok": "2" if kind == "oai" else "4"}),
        ).model_copy(update=dict(adjusted.get(name, {})))

    update = {
        "providers": {
            "oai": ProviderSettings(kind="openai", api_key_env="A", base_url=f"{upstream_url}/oai"),
            "ant": ProviderSettings(kind="anthropic", api_key_env="B", base_url=upstream_url),
        },
        "provider_keys": {"oai": SecretStr("upstream-openai-key"), "ant": SecretStr("upstream-anthropic-key")},
        "client_keys": (SecretStr("another"), SecretStr(KEY)),
        "models": {name: model(name) for names in TIERS.values() for name in names},
        "tiers": tuple(TierSettings(name=name, models=models) for name, models in TIERS.items()),
        "breaker": settings.breaker.model_copy(update={"failures": 10_000}),
        "stream_idle_seconds": 0.7,
        "deadline_seconds": 30.0,
    }
    return settings.model_copy(update=update | changes)


@contextmanager
def running(settings: Settings, *sinks: Sink, **changes: Any) -> Iterator[Running]:
    """Run the service in front of an upstream of its own; `sinks` are told what it records, too."""
    upstream = Upstream()
    with serving(upstream, lifespan="off") as upstream_url:
        service = Running("", upstream)
        chosen = settings_for(settings, upstream_url, **changes)
        app = create_app(chosen, fail, lambda settings, given: make_router(settings, (*given, service, *sinks)))
        with serving(app) as service.url:
            with service.http() as http:
                wait_until_ready(http)
            yield service
