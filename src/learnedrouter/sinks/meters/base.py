"""Making metrics, and showing them: of one process, or of all workers together.

Several workers share a folder (``PROMETHEUS_MULTIPROC_DIR``, which prometheus-client reads when it is imported): each
writes what it measures there, and whichever is asked adds all of it up.
"""

import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from learnedrouter.events import RoutedCompletion

Metric = TypeVar("Metric", Counter, Gauge, Histogram)

SHARED_FOLDER_ENV = "PROMETHEUS_MULTIPROC_DIR"
NOBODY = "none"
"""The model of a request that no model answered."""


class Meters:
    """Makes the metrics of one process. Each is a function from the values of its labels, in their order, to what they count.

    Names begin with ``learnedrouter_``, but for those that OpenTelemetry's conventions name.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        if SHARED_FOLDER_ENV not in os.environ:
            ProcessCollector(registry=self._registry)  # of several processes, the memory of one would be misread as that of all

    def counter(self, name: str, text: str, *labels: str) -> Callable[..., Counter]:
        """Return what only goes up; ``_total`` is added to its name."""
        return _by_labels(Counter(f"learnedrouter_{name}", text, labels, registry=self._registry), labels)

    def gauge(self, name: str, text: str, of_workers: Literal["livemax", "livesum"], *labels: str) -> Callable[..., Gauge]:
        """Return what goes up and down; `of_workers` says what the values of several living workers come to."""
        return _by_labels(Gauge(f"learnedrouter_{name}", text, labels, registry=self._registry, multiprocess_mode=of_workers), labels)

    def histogram(self, name: str, text: str, buckets: Sequence[float], *labels: str) -> Callable[..., Histogram]:
        """Return a distribution."""
        return _by_labels(Histogram(f"learnedrouter_{name}", text, labels, buckets=buckets, registry=self._registry), labels)

    def standard_histogram(self, name: str, text: str, buckets: Sequence[float], *labels: str) -> Callable[..., Histogram]:
        """Return a distribution whose name OpenTelemetry's conventions give."""
        return _by_labels(Histogram(name, text, labels, buckets=buckets, registry=self._registry), labels)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format, those of all workers where there are several."""
        if SHARED_FOLDER_ENV not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]  # prometheus-client has no types there
        return generate_latest(together)


def _by_labels(metric: Metric, labels: Sequence[str]) -> Callable[..., Metric]:
    """Return what gives the part of `metric` that has given labels, as its method ``labels`` does, at a tenth of the time."""
    return cache(metric.labels) if labels else lambda: metric


def model_of(event: RoutedCompletion) -> str:
    """Return the name of the model that answered, as labels have it."""
    return event.model.model if event.model else NOBODY
