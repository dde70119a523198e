"""Having a classifier judge many asks at a time, on every core.

A classifier serves on one thread; an evaluation of thousands of asks has the machine to itself.
"""

from collections.abc import Sequence

from learnedrouter.ask import Ask
from learnedrouter.classifier.assessment import Assessment
from learnedrouter.classifier.model import TierClassifier
from learnedrouter.training.parallel import THREADS, run, workers

_CHUNK = 256
"""Asks that a thread judges at a time."""


def assess(classifier: TierClassifier, asks: Sequence[Ask]) -> Assessment:
    """Return `TierClassifier.assess` of all `asks`, which no ask's neighbours change."""
    with workers(THREADS):
        chunks = [asks[start : start + _CHUNK] for start in range(0, len(asks), _CHUNK)] or [asks]
        return Assessment.of_all(list(run(TierClassifier.assess, classifier, chunks)))
