"""Running the classifier off the event loop.

Encoding is arithmetic that holds a core for milliseconds. One thread of its own keeps it from the event loop, and keeps
requests from fighting over the core: they queue, and the loop goes on answering ``/livez``.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from learnedrouter.ask import Ask
from learnedrouter.classifier.features import FloatArray
from learnedrouter.classifier.model import TierClassifier


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
        What the encoder made of the ask.
    """

    sufficiency: tuple[float, ...]
    predicted: int
    tokens: int
    truncated: bool
    unfamiliar: bool
    probabilities: tuple[float, ...]
    embedding: FloatArray = field(repr=False, compare=False)


def judge(classifier: TierClassifier, ask: Ask) -> Judgement:
    """Return what `classifier` holds of one ask; blocks for as long as the encoder takes."""
    assessment = classifier.assess([ask])
    return Judgement(
        sufficiency=tuple(assessment.sufficiency[0].tolist()),
        predicted=int(assessment.predicted[0]),
        tokens=int(assessment.tokens[0]),
        truncated=bool(assessment.truncated[0]),
        unfamiliar=bool(assessment.unfamiliar[0]),
        probabilities=tuple(assessment.probabilities[0].tolist()),
        embedding=assessment.embeddings[0],
    )


class ClassifierWorker:
    """A classifier on a thread of its own."""

    def __init__(self, classifier: TierClassifier) -> None:
        self.classifier = classifier
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="classifier")

    async def judge(self, ask: Ask) -> Judgement:
        """Return what the classifier holds of `ask`, without blocking the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, judge, self.classifier, ask)

    def close(self) -> None:
        """Stop the thread once what it does is done."""
        self._executor.shutdown()
