import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from learnedrouter.classifier import artifact
from learnedrouter.classifier.encoder import Encoder, EncoderSpec
from learnedrouter.classifier.features import FloatArray, IntArray
from learnedrouter.classifier.worker import ClassifierWorker
from learnedrouter.config import Settings
from learnedrouter.conversations import ConversationMode, Conversations
from learnedrouter.errors import ArtifactError, ConfigError, LearnedRouterError
from learnedrouter.providers.fallback import FallbackChain
from learnedrouter.router import Limits, Router, Sink
from learnedrouter.service.app import create_app
from learnedrouter.service.wiring import make_models, make_router
from tests.conftest import ROOT
from tests.service.running import fail, wait_until_ready

FORBIDDEN = ("torch", "transformers", "sentence_transformers", "openai", "anthropic")


def test_while_loading_it_lives_but_is_not_ready(settings: Settings) -> None:
    """/livez answers from the start; /readyz and /route say 503 until the artefact is loaded."""
    gate = threading.Event()

    def load_when_told(settings: Settings, sinks: Sequence[Sink]) -> Router:
        gate.wait(10)
        return make_router(settings, sinks)

    with TestClient(create_app(settings, fail, load_when_told)) as client:
        assert client.get("/livez").status_code == 200
        assert client.get("/readyz").status_code == 503
        refused = client.post("/route", json={"prompt": "hello"})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        gate.set()
        wait_until_ready(client)
        assert client.post("/route", json={"prompt": "hello"}).status_code == 200


@pytest.mark.parametrize(
    ("change", "kind"),
    [({"artifact": Path("no/such/place")}, ArtifactError), ({"tiers": "reversed"}, ConfigError)],
)
def test_what_cannot_be_served_is_told(settings: Settings, change: dict[str, object], kind: type[Exception]) -> None:
    """A missing artefact and one for another ladder are reported; the service never becomes ready."""
    if change.get("tiers") == "reversed":
        change = {"tiers": tuple(reversed(settings.tiers))}
    told: list[LearnedRouterError] = []

    with TestClient(create_app(settings.model_copy(update=change), told.append)) as client:
        assert client.get("/readyz").status_code == 503

    assert isinstance(told[0], kind)


def test_serving_needs_no_torch(artifact_folder: Path) -> None:
    """A fresh interpreter that serves has loaded none of the training libraries, and offline no SDK either."""
    program = f"""
import sys, time
from pathlib import Path
from fastapi.testclient import TestClient
from learnedrouter.config import load_settings
from learnedrouter.service.app import create_app

def fail(error): raise error
settings = load_settings(Path({str(ROOT / "router.toml")!r}), artifact=Path({str(artifact_folder)!r}), offline=True)
with TestClient(create_app(settings, fail)) as client:
    while client.get("/readyz").status_code != 200: time.sleep(0.05)
    assert client.post("/route", json={{"prompt": "hello"}}).status_code == 200
print(sorted(set(sys.modules) & set({FORBIDDEN!r})))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == "[]"


@dataclass
class Held:
    """An encoder that begins, and ends when it is let go."""

    encoder: Encoder
    begun: threading.Event = field(default_factory=threading.Event)
    free: threading.Event = field(default_factory=threading.Event)

    @property
    def spec(self) -> EncoderSpec:
        return self.encoder.spec

    def encode(self, texts: Sequence[str]) -> tuple[FloatArray, IntArray]:
        self.begun.set()
        assert self.free.wait(20)
        return self.encoder.encode(texts)


def test_deciding_never_blocks_livez(settings: Settings) -> None:
    """While the encoder works, the event loop goes on answering."""
    classifier = artifact.load(settings.artifact)
    held = Held(classifier.encoder)

    def load_held(settings: Settings, sinks: Sequence[Sink]) -> Router:
        worker, conversations = ClassifierWorker(replace(classifier, encoder=held)), Conversations(ConversationMode.OFF)
        return Router(worker, make_models(settings), FallbackChain({}, failures=5, recovery_seconds=1), sinks, Limits(5, 40), conversations)

    with TestClient(create_app(settings, fail, load_held)) as client, ThreadPoolExecutor() as threads:
        wait_until_ready(client)
        decided = threads.submit(client.post, "/route", json={"prompt": "word " * 60_000, "dry_run": True})
        assert held.begun.wait(10)
        for _ in range(2):
            assert client.get("/livez").status_code == 200
        assert not decided.done()
        held.free.set()

        assert decided.result(20).status_code == 200
