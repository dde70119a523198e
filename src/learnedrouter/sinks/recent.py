"""The newest events, in memory, so that a request can be explained by its id."""

from dataclasses import replace

from cachetools import LRUCache

from learnedrouter.events import RoutedCompletion


class RecentSink:
    """Keeps the newest events; see `learnedrouter.recording.Sink`.

    Parameters
    ----------
    size
        How many.
    """

    def __init__(self, size: int) -> None:
        self._events: LRUCache[str, RoutedCompletion] = LRUCache(maxsize=size)

    def record(self, event: RoutedCompletion) -> None:
        """See `Sink.record`."""
        measures = replace(event.asked, ask=None, embedding=None)  # what was asked is nobody's to keep here
        self._events[event.id] = replace(event, asked=measures)

    def get(self, identity: str) -> RoutedCompletion | None:
        """Return the event of a request; None where it is not known any more."""
        return self._events.get(identity)
