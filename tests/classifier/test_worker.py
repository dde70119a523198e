"""Deciding beside the event loop."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from learnedrouter.ask import Ask
from learnedrouter.classifier.assessment import label_scores, pool
from learnedrouter.classifier.encoder import EncoderSpec, Kind
from learnedrouter.classifier.features import FEATURES, FloatArray, IntArray
from learnedrouter.classifier.folded import FoldedHead
from learnedrouter.classifier.model import FirstStage, TierClassifier
from learnedrouter.classifier.worker import ClassifierWorker, judge
from learnedrouter.errors import Overloaded
from learnedrouter.tiers import Ladder
from tests.made import ask


@dataclass
class Slow:
    """An encoder that takes as long as it is held, and remembers what it was given; a text's length makes its vector."""

    kind: Kind = "onnx"
    free: threading.Event = field(default_factory=threading.Event)
    batches: list[list[str]] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)

    @property
    def spec(self) -> EncoderSpec:
        return EncoderSpec(self.kind, "test", 2, 100, "fp32")

    def encode(self, texts: Sequence[str]) -> tuple[FloatArray, IntArray]:
        self.batches.append(list(texts))
        self.threads.add(threading.current_thread().name)
        assert self.free.wait(timeout=20)
        if any("broken" in text for text in texts):
            raise RuntimeError("the encoder broke")
        lengths = np.array([len(text) for text in texts], dtype=np.intp)
        return np.stack([np.cos(lengths), np.sin(lengths)], axis=1).astype(np.float32), lengths


def make(encoder: Slow, clarity: float = 1.0) -> TierClassifier:
    weights = np.zeros((2 + len(FEATURES), 2))
    weights[:2] = clarity * np.array([[4.0, -4.0], [-3.0, 3.0]])
    return TierClassifier(Ladder(("low", "high")), encoder, FoldedHead(weights, np.zeros(2)), label_scores(2), 0.9, "test@1")


def with_worker(story: Callable[[ClassifierWorker], Awaitable[None]], classifier: TierClassifier, **options: int) -> None:
    async def run() -> None:
        worker = ClassifierWorker(classifier, **options)
        try:
            await asyncio.wait_for(story(worker), timeout=20)
        finally:
            worker.close()

    asyncio.run(run())


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110 (what is waited for happens on a thread)
        await asyncio.sleep(0.001)


def test_what_queues_up_meanwhile_is_taken_at_once() -> None:
    """The first ask starts alone and at once; those that come while it is judged go together, and each gets its own judgement."""
    encoder = Slow()
    classifier = make(encoder)

    async def story(worker: ClassifierWorker) -> None:
        tasks = [asyncio.create_task(worker.judge(ask("a")))]
        await until(lambda: len(encoder.batches) == 1)
        tasks += [asyncio.create_task(worker.judge(ask("b" * size))) for size in range(2, 7)]
        await asyncio.sleep(0)
        encoder.free.set()
        judged = await asyncio.gather(*tasks)

        assert encoder.batches == [["a"], ["b" * size for size in range(2, 7)]]
        assert list(judged) == [judge(classifier, ask("a")), *(judge(classifier, ask("b" * size)) for size in range(2, 7))]
        assert all(name.startswith("classifier") for name in encoder.threads - {"MainThread"})

    with_worker(story, classifier)


@pytest.mark.parametrize("wanted", [True, False])
def test_embeddings_are_kept_where_somebody_wants_them(wanted: bool) -> None:
    """They are most of what a remembered judgement weighs, and only a ledger that captures them has a use for them."""
    encoder = Slow()
    encoder.free.set()

    async def story(worker: ClassifierWorker) -> None:
        for _ in ("new", "remembered"):
            assert ((await worker.judge(ask("a"))).embedding is not None) == wanted

    with_worker(story, make(encoder), embeddings=wanted)


def test_the_loop_goes_on_while_a_transformer_computes() -> None:
    """Encoding happens on another thread."""
    encoder = Slow()

    async def story(worker: ClassifierWorker) -> None:
        task = asyncio.create_task(worker.judge(ask("a")))
        await until(lambda: len(encoder.batches) == 1)  # the loop turns although the encoder is held
        assert not task.done()
        encoder.free.set()
        await task

    with_worker(story, make(encoder))


def test_too_many_are_refused() -> None:
    """Beyond the bound there is one clear error, and those that wait are served."""
    encoder = Slow()

    async def story(worker: ClassifierWorker) -> None:
        tasks = [asyncio.create_task(worker.judge(ask("a")))]
        await until(lambda: len(encoder.batches) == 1)
        tasks += [asyncio.create_task(worker.judge(ask("b" * size))) for size in (2, 3)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="2 requests wait for the classifier already; try again in a moment"):
            await worker.judge(ask("one too many"))
        encoder.free.set()
        assert len(await asyncio.gather(*tasks)) == 3
        assert await worker.judge(ask("one too many"))

    with_worker(story, make(encoder), queue=2)


def test_the_same_ask_is_judged_once() -> None:
    """At the same time and later; what is remembered is what was judged."""
    encoder = Slow()
    classifier = make(encoder)

    async def story(worker: ClassifierWorker) -> None:
        tasks = [asyncio.create_task(worker.judge(ask("same"))) for _ in range(3)]
        await until(lambda: len(encoder.batches) == 1)
        encoder.free.set()
        first, *others = await asyncio.gather(*tasks)
        later = await worker.judge(ask("same"))

        assert encoder.batches == [["same"]]
        assert all(other == first for other in (*others, later))
        assert judge(classifier, ask("same")) == first

    with_worker(story, classifier)


@pytest.mark.parametrize(
    "other",
    [
        replace(ask("same"), previous="before"),
        replace(ask("same"), system="rules"),
        replace(ask("same"), characters=400),
        replace(ask("same"), machine_form=True),
        replace(ask("same"), human_turns=2),
        ask("Same"),
    ],
)
def test_what_differs_in_anything_that_is_read_is_another_ask(other: Ask) -> None:
    """Not the text alone makes an ask."""
    encoder = Slow()
    encoder.free.set()

    async def story(worker: ClassifierWorker) -> None:
        await worker.judge(ask("same"))
        await worker.judge(other)
        assert len(encoder.batches) == 2

    with_worker(story, make(encoder))


def test_nothing_need_be_remembered() -> None:
    """A size of 0 keeps nothing; another size keeps so many, the newest."""
    encoder = Slow()
    encoder.free.set()

    async def twice(worker: ClassifierWorker) -> None:
        await worker.judge(ask("same"))
        await worker.judge(ask("same"))

    async def in_turn(worker: ClassifierWorker) -> None:
        for text in ("one", "other", "one"):
            await worker.judge(ask(text))

    with_worker(twice, make(encoder), remembered=0)
    assert len(encoder.batches) == 2
    with_worker(in_turn, make(encoder), remembered=1)
    assert len(encoder.batches) == 5


def test_a_caller_who_leaves_takes_nobody_with_him() -> None:
    """The same ask of another caller is answered all the same."""
    encoder = Slow()

    async def story(worker: ClassifierWorker) -> None:
        leaves, stays = (asyncio.create_task(worker.judge(ask("same"))) for _ in range(2))
        await until(lambda: len(encoder.batches) == 1)
        leaves.cancel()
        encoder.free.set()
        assert (await stays).predicted in (0, 1)

    with_worker(story, make(encoder))


def test_a_failure_reaches_its_callers_and_the_worker_goes_on() -> None:
    """A broken batch is not remembered, and blocks nothing."""
    encoder = Slow()
    encoder.free.set()

    async def story(worker: ClassifierWorker) -> None:
        for _ in range(2):
            with pytest.raises(RuntimeError, match="the encoder broke"):
                await worker.judge(ask("broken"))
        assert await worker.judge(ask("whole"))

    with_worker(story, make(encoder))


def test_a_static_head_answers_on_the_loop() -> None:
    """Alone, or first in a cascade where it is sure; else the thread is asked, and both are heard. The judgement says who answered."""
    static, transformer = Slow(kind="static"), Slow()
    static.free.set()
    transformer.free.set()
    alone, last = make(static, clarity=0.1), make(transformer)
    asks = [ask("a"), ask("bbb")]
    certain = alone.assess(asks).surety
    assert certain[0] != certain[1]
    sure, unsure = (ask("a"), ask("bbb")) if certain[0] > certain[1] else (ask("bbb"), ask("a"))
    cascade = replace(last, first=FirstStage(static, alone.head, float(certain.mean()), weight=0.3))

    async def story(worker: ClassifierWorker) -> None:
        static.threads.clear()
        judged = await worker.judge(sure), await worker.judge(unsure)
        assert [one.encoder for one in judged] == ["static", "onnx"]
        assert list(judged) == [judge(cascade, sure), judge(cascade, unsure)]

    with_worker(story, cascade)
    assert static.threads == {"MainThread"}
    both = pool(*(stage.assess([unsure]).probabilities for stage in (alone, last)), weight=0.3)
    np.testing.assert_allclose(judge(cascade, unsure).probabilities, both[0])

    async def by_itself(worker: ClassifierWorker) -> None:
        static.threads.clear()
        assert (await worker.judge(sure)).encoder == "static"
        assert static.threads == {"MainThread"}

    with_worker(by_itself, alone)
