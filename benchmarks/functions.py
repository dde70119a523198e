"""What the parts of a decision cost: ``pytest benchmarks/functions.py``, by pytest-benchmark."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from learnedrouter.ask import Ask, extract_ask
from learnedrouter.classifier import artifact
from learnedrouter.classifier.features import structural
from learnedrouter.classifier.heads import load_head
from learnedrouter.classifier.model import TierClassifier
from learnedrouter.classifier.onnx import OnnxEncoder, session
from learnedrouter.classifier.window import TokenWindow
from learnedrouter.classifier.wording import opinions
from learnedrouter.classifier.worker import ClassifierWorker, _key
from learnedrouter.dialects.openai_chat import read_request

ROOT = Path(__file__).parents[1]
TEXTS = {"20 tokens": "Why does this query lock the table? " * 2, "2,000 tokens": (ROOT / "README.md").read_text(encoding="utf-8")[:8_000]}


@pytest.fixture(scope="module")
def classifier() -> TierClassifier:
    return artifact.load(ROOT / "models/default")


@pytest.fixture(params=TEXTS)
def ask(request: pytest.FixtureRequest) -> Ask:
    return extract_ask(read_request({"messages": [{"role": "user", "content": TEXTS[request.param]}]}))


@pytest.mark.parametrize("text", TEXTS)
def test_extract_ask(benchmark: BenchmarkFixture, text: str) -> None:
    request = read_request({"messages": [{"role": "user", "content": TEXTS[text]}]})
    benchmark(extract_ask, request)


def test_features(benchmark: BenchmarkFixture, ask: Ask) -> None:
    benchmark(structural, [ask])


def test_wording(benchmark: BenchmarkFixture, classifier: TierClassifier, ask: Ask) -> None:
    benchmark(opinions, classifier.wording, [ask])


def test_familiarity(benchmark: BenchmarkFixture, classifier: TierClassifier, ask: Ask) -> None:
    assert classifier.familiarity
    benchmark(classifier.familiarity.unfamiliar, [ask])


def test_window(benchmark: BenchmarkFixture, classifier: TierClassifier, ask: Ask) -> None:
    from tokenizers import Tokenizer

    window = TokenWindow(Tokenizer.from_file(str(ROOT / "models/default/encoder/tokenizer.json")), classifier.encoder.spec.max_tokens)
    benchmark(window.read, [ask.reading])


def test_encode(benchmark: BenchmarkFixture, classifier: TierClassifier, ask: Ask) -> None:
    benchmark(classifier.encoder.encode, [ask.reading])


@pytest.mark.parametrize("threads", [1, 2])
def test_transformer(benchmark: BenchmarkFixture, classifier: TierClassifier, ask: Ask, threads: int) -> None:
    """The compiled transformer alone, on one thread, as it serves, and on two."""
    encoder = classifier.encoder
    assert isinstance(encoder, OnnxEncoder)
    (window,), _ = encoder.window.read([ask.reading])
    benchmark(
        session(ROOT / "models/default/encoder/model.onnx", threads).run, ["embedding"], {"input_ids": np.array([window], dtype=np.int64)}
    )


@pytest.mark.parametrize("together", [1, 16, 64], ids="{} at a time".format)
def test_worker_64_asks(benchmark: BenchmarkFixture, classifier: TierClassifier, together: int) -> None:
    """Asks that nobody asked before, through the worker: what it saves by taking what waits."""
    lines = map(json.loads, (ROOT / "data" / "test.jsonl").read_text(encoding="utf-8").splitlines())
    prompts = [line["prompt"] for line in lines if "prompt" in line]
    asks = [extract_ask(read_request({"messages": [{"role": "user", "content": prompt}]})) for prompt in prompts[: 8 * 64 : 8]]

    async def judge_all() -> None:
        worker = ClassifierWorker(classifier, remembered=0)
        for start in range(0, len(asks), together):
            await asyncio.gather(*(worker.judge(ask) for ask in asks[start : start + together]))
        worker.close()

    benchmark.pedantic(lambda: asyncio.run(judge_all()), rounds=12, warmup_rounds=1)


@pytest.mark.parametrize("kind", ["folded", "scikit-learn"])
def test_head(benchmark: BenchmarkFixture, classifier: TierClassifier, kind: str) -> None:
    head = classifier.head if kind == "folded" else load_head(ROOT / "models/default/head.joblib")
    asks = [Ask("x", "", 1, 1, False)]
    vectors = np.zeros((1, classifier.encoder.spec.dimension), dtype=np.float32)
    features = np.hstack([vectors, classifier.glance(asks).beside])
    benchmark(head.predict_proba, features)


def test_cache_key(benchmark: BenchmarkFixture, ask: Ask) -> None:
    benchmark(_key, ask)
