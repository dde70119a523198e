"""Running the classifier beside the event loop.

A static head takes half a millisecond, most of it under the interpreter's lock, so that a thread would gain nothing: it runs on
the loop. A transformer holds a core for milliseconds: it runs on one thread of its own, so that the loop goes on answering
``/livez`` and requests do not fight over the core. The thread never waits for company: when it comes free it takes everything
that queued up meanwhile, as far as a bound, and so pays for one handover instead of many.

What was judged is remembered by content, and an ask that is being judged is not judged twice.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from cachetools import LRUCache

from learnedrouter.ask import Ask
from learnedrouter.classifier.assessment import Assessment, Glance
from learnedrouter.classifier.features import FloatArray
from learnedrouter.classifier.model import TierClassifier
from learnedrouter.errors import Overloaded

TOGETHER = 16
"""Asks that the thread takes at a time: as many as it does in a tenth of a second."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the classifier holds of one ask.

    Parameters
    ----------
    sufficiency : (n_tiers,)
        Probability that each tier's answer will be accepted.
    predicted
        The tier that is most likely the cheapest acceptable one.
    tokens, truncated
        Length of the ask in the encoder's tokens, and whether it was cut.
    unfamiliar
        Whether it is unlike everything in training.
    probabilities : (n_classes,)
        Of the classes that the classifier was trained on.
    embedding : (dimension,)
        What the encoder made of the ask; None where nobody keeps it.
    encoder
        The kind of encoder whose head answered.
    """

    sufficiency: tuple[float, ...]
    predicted: int
    tokens: int
    truncated: bool
    unfamiliar: bool
    probabilities: tuple[float, ...]
    embedding: FloatArray | None = field(repr=False, compare=False)
    encoder: str


def judge(classifier: TierClassifier, ask: Ask) -> Judgement:
    """Return what `classifier` holds of one ask; blocks for as long as the encoders take."""
    return _judgements(classifier.assess([ask]), embeddings=True)[0]


class _Waiting(NamedTuple):
    """An ask that waits for the thread, and what was seen of it already, in a cascade."""

    key: bytes
    ask: Ask
    glance: Glance | None


class ClassifierWorker:
    """A classifier, what it has to do, and what it has done.

    Parameters
    ----------
    classifier
        The classifier.
    queue
        Asks that may wait for the thread; more are refused.
    remembered
        Judgements that are kept, the one not used for longest going first; 0 keeps none.
    embeddings
        Whether judgements have their embeddings: three quarters of the memory that they take.
    """

    def __init__(self, classifier: TierClassifier, *, queue: int = 256, remembered: int = 10_000, embeddings: bool = True) -> None:
        self.classifier = classifier
        self._judgements = partial(_judgements, embeddings=embeddings)
        self._cache: LRUCache[bytes, Judgement] = LRUCache(maxsize=remembered)
        self._queue, self._waiting = queue, deque[_Waiting]()
        self._pending: dict[bytes, asyncio.Future[Judgement]] = {}
        self._busy = False
        self._inline = classifier.first is not None or classifier.encoder.spec.kind == "static"
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="classifier")

    async def judge(self, ask: Ask) -> Judgement:
        """Return what the classifier holds of `ask`, without blocking the event loop for longer than a static head takes.

        Raises
        ------
        Overloaded
            Too many asks wait already.
        """
        key = _key(ask)
        if (known := self._cache.get(key)) is not None:
            return known
        if (pending := self._pending.get(key)) is None:
            seen = self._at_once(ask) if self._inline else None
            if isinstance(seen, Judgement):
                self._remember(key, seen)
                return seen
            pending = self._enqueue(_Waiting(key, ask, seen))
        return await asyncio.shield(pending)  # others may wait for the same, so a caller who leaves does not end it

    def close(self) -> None:
        """Stop the thread once what it does is done."""
        self._executor.shutdown()

    def _at_once(self, ask: Ask) -> Judgement | Glance:
        """Return what a static head holds of `ask`; where that is not the answer, what has been seen of it."""
        glance, first = self.classifier.glance([ask]), self.classifier.first
        if first is None:
            return self._judgements(self.classifier.assess_last([ask], glance))[0]
        assessment = self.classifier.assess_first([ask], glance)
        return self._judgements(assessment)[0] if assessment.surety[0] >= first.switch else glance.after(assessment)

    def _enqueue(self, waiting: _Waiting) -> asyncio.Future[Judgement]:
        if len(self._waiting) >= self._queue:
            raise Overloaded(f"{len(self._waiting)} requests wait for the classifier already; try again in a moment")
        pending = self._pending[waiting.key] = asyncio.get_running_loop().create_future()
        pending.add_done_callback(_looked_at)
        self._waiting.append(waiting)
        if not self._busy:
            self._start()
        return pending

    def _start(self) -> None:
        """Give the thread what waits, as far as it takes it."""
        batch = [self._waiting.popleft() for _ in range(min(TOGETHER, len(self._waiting)))]
        self._busy = bool(batch)
        if batch:
            work = asyncio.get_running_loop().run_in_executor(self._executor, self._assess, batch)
            work.add_done_callback(lambda done: self._finish([waiting.key for waiting in batch], done))

    def _assess(self, batch: Sequence[_Waiting]) -> list[Judgement]:
        asks = [waiting.ask for waiting in batch]
        taken = [waiting.glance for waiting in batch if waiting.glance]
        glance = Glance.of_all(taken) if taken else self.classifier.glance(asks)
        return self._judgements(self.classifier.assess_last(asks, glance))

    def _finish(self, keys: Sequence[bytes], done: asyncio.Future[list[Judgement]]) -> None:
        self._start()
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        for place, key in enumerate(keys):
            pending = self._pending.pop(key)
            if pending.done():
                continue
            if error is not None:
                pending.set_exception(error)
            else:
                judgement = done.result()[place]
                self._remember(key, judgement)
                pending.set_result(judgement)

    def _remember(self, key: bytes, judgement: Judgement) -> None:
        if self._cache.maxsize:
            self._cache[key] = judgement


def _judgements(assessment: Assessment, *, embeddings: bool) -> list[Judgement]:
    told = assessment
    columns = (told.sufficiency, told.predicted, told.tokens, told.truncated, told.unfamiliar, told.probabilities)
    rows = zip(*(column.tolist() for column in columns), told.embeddings, told.answered_by, strict=True)
    return [
        Judgement(
            tuple(sufficiency), predicted, tokens, truncated, unfamiliar, tuple(probabilities), embedding if embeddings else None, encoder
        )
        for sufficiency, predicted, tokens, truncated, unfamiliar, probabilities, embedding, encoder in rows
    ]


def _key(ask: Ask) -> bytes:
    """Return a hash of everything that the classifier reads of `ask`: no prompt is kept in memory."""
    parts = (ask.text, ask.previous, ask.system, str((ask.characters, ask.human_turns > 1, ask.machine_form)))
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return digest.digest()


def _looked_at(pending: asyncio.Future[Judgement]) -> None:
    """Take note of an error that nobody waits for any more, so that the loop does not warn of it."""
    if not pending.cancelled():
        pending.exception()
