"""What a request brings along before anything of it is read: the ids that its answer, its log lines and its trace share.

It travels in a context variable, so that a log line deep inside a request knows whose it is, and the router, which knows
no HTTP, gives its decision the id that an error before any decision would have had.
"""

import os
import re
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field

MAX_LENGTH = 128
"""Characters of a caller's request id that are kept."""

_FOREIGN = re.compile(r"[^A-Za-z0-9._:/+=@-]")
"""What a request id is better off without: it is written to headers, logs and traces."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request's ids.

    Parameters
    ----------
    id
        Ours, as the answer's header ``x-learnedrouter-id`` gives it.
    request_id
        The caller's ``x-request-id``, cleaned and cut; ours where it sent none.
    trace
        The caller's trace context (https://www.w3.org/TR/trace-context/): ``traceparent``, ``tracestate``.
    """

    id: str
    request_id: str
    trace: Mapping[str, str] = field(default_factory=dict)


CURRENT: ContextVar[Arrival | None] = ContextVar("arrival", default=None)
"""The request that is being served; None outside of any."""


def arrive(request_id: str, trace: Mapping[str, str]) -> Arrival:
    """Take note of a request, give it an id, and return what is known of it."""
    identity = _new_id()
    arrival = Arrival(identity, _FOREIGN.sub("", request_id)[:MAX_LENGTH] or identity, trace)
    CURRENT.set(arrival)
    return arrival


def current_id() -> str:
    """Return the id of the request that is being served; a new one outside of any."""
    arrival = CURRENT.get()
    return arrival.id if arrival else _new_id()


def _new_id() -> str:
    return f"rt_{os.urandom(16).hex()}"
