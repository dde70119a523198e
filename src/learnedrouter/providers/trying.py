"""Trying links one after the other until one answers, under one deadline. Knows neither what is asked nor how.

What happens after a failure goes by its type:

- timeout, no connection, 429, 5xx, 529: the next model is tried;
- 401, 402, 403, 404: our key or our model name is wrong, never the caller's fault, so the next model *of another provider*
  is tried, for the same provider would say the same;
- 400, 413, 422: the request itself was refused. The chain stops, and the caller is told what the provider said: every
  further model would cost time, and a model that happens to accept a broken request hides the caller's mistake.

Where no model is left, and one of them said when to come back (``Retry-After``), it is waited for, if that is before the
deadline.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from purgatory.domain.model import OpenedState

from learnedrouter.chat import UNTOLD, ModelRef, Usage
from learnedrouter.errors import NoModelAnswered, ProviderDenied, ProviderError, ProviderRejected, RequestError
from learnedrouter.providers.bodies import Link

Answer = TypeVar("Answer")

CIRCUIT_OPEN, DEADLINE, DENIED_BEFORE, CANNOT_CROSS = "circuit_open", "deadline", "denied_before", "cannot_cross"
OVER_BUDGET = "over_budget"
NOT_ASKED = frozenset({CIRCUIT_OPEN, DEADLINE, DENIED_BEFORE, CANNOT_CROSS, OVER_BUDGET})
"""Outcomes of attempts that never reached a provider."""

DISCONNECTED = "disconnected"
"""Outcome of an attempt, and of a request, whose caller did not wait for the end."""

MAX_WAITS = 2
"""How often one request waits for a provider: one that says ``Retry-After: 0`` for ever is not to be asked for ever."""

LEAST_WAIT_SECONDS = 0.05

Covers = Callable[[Link], Awaitable[bool]]
"""Asked before each call whether there is money for it."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of one model of a chain; `outcome` is ``ok`` or the code of what went wrong.

    Parameters
    ----------
    usage
        Tokens billed, as far as the provider told; None where it told nothing.
    cost_usd
        What they cost; None where tokens or price are unknown.
    price_source
        Where the price comes from; empty where there is none.
    asked_at
        When the model was asked, in seconds since 1970; None where it was not.
    part_usd
        What is certain of a cost that is unknown: the price of the tokens that were told; None where there is no such part.
    """

    ref: ModelRef
    tier: str
    outcome: str
    status: int | None
    message: str
    duration_ms: float
    usage: Usage | None = None
    cost_usd: Decimal | None = None
    price_source: str = ""
    asked_at: float | None = None
    part_usd: Decimal | None = None

    @property
    def known_usd(self) -> Decimal:
        """What it certainly cost; what it may have cost beyond that is unknown where `cost_usd` is."""
        known = self.part_usd if self.cost_usd is None else self.cost_usd
        return Decimal(0) if known is None else known

    @property
    def unaccounted(self) -> bool:
        """Whether it may have cost money that nobody told us: the model was asked, did not refuse, and the cost is unknown."""
        refused = self.status is not None and self.status >= 400 and self.usage is None
        return self.cost_usd is None and self.asked and not refused

    @property
    def asked(self) -> bool:
        """Whether it reached a provider."""
        return self.outcome not in NOT_ASKED


class Bill:
    """What a call has used so far: read when it fails or is given up, so that what was told by then is booked."""

    def __init__(self) -> None:
        self.read: Callable[[], Usage] = lambda: UNTOLD

    @property
    def told(self) -> Usage | None:
        """The tokens told so far; None where nothing was."""
        usage = self.read()
        return usage if usage.told else None


async def first_answer(
    links: Sequence[Link],
    call: Callable[[Link, float, Bill], Awaitable[Answer]],
    *,
    deadline_seconds: float,
    covers: Covers | None,
    trail: list[Attempt],
) -> tuple[Answer, Link]:
    """Return what `call` gives for the first link for which it gives anything, and that link.

    Parameters
    ----------
    links
        In the order in which they are tried.
    call
        Asks a link, given the seconds that it may take, and keeps its bill; raises `ProviderError`, `RequestError` or
        `OpenedState`.
    deadline_seconds
        For all of it together.
    covers
        Asked before each call; a link that it declines is passed over.
    trail
        Takes up every attempt as it ends, the answer included: where the caller does not wait for the end, and this is
        cancelled, it is all that is left of them.

    Raises
    ------
    RequestError
        The request cannot be written in the dialect of any link that could be asked.
    NoModelAnswered
        Every link failed, or the deadline passed.
    """
    tries = _Tries(time.monotonic() + deadline_seconds, covers, trail)
    for waits in range(MAX_WAITS + 1):
        for link in links:
            if (answer := await tries.ask(link, call)) is not None:
                return answer, link
            if isinstance(tries.cause, ProviderRejected):
                raise tries.failure()
        if waits == MAX_WAITS or (link_again := tries.worth_waiting_for()) is None:
            break
        await asyncio.sleep(max(tries.ready_at.pop(link_again) - time.monotonic(), LEAST_WAIT_SECONDS))
        links = (link_again,)
    raise tries.failure()


class _Tries:
    """What became of the links so far; `ends` and `ready_at` are times of the monotonic clock."""

    def __init__(self, ends: float, covers: Covers | None, trail: list[Attempt]) -> None:
        self._ends, self._covers = ends, covers
        self.attempts = trail
        self.cause: ProviderError | None = None
        self.ready_at: dict[Link, float] = {}
        self._uncrossable: RequestError | None = None
        self._denied: set[str] = set()

    async def ask(self, link: Link, call: Callable[[Link, float, Bill], Awaitable[Answer]]) -> Answer | None:
        """Return what a link answers; None where it does not, or need not be asked."""
        began = time.monotonic()
        left = self._ends - began
        if left <= 0 or link.ref.provider in self._denied:
            self._note(link, DEADLINE if left <= 0 else DENIED_BEFORE, "not tried")
            return None
        if self._covers and not await self._covers(link):
            self._note(link, OVER_BUDGET, "not tried: a budget does not cover it")
            return None
        bill = Bill()
        try:
            answer = await call(link, min(left, link.timeout_seconds), bill)
        except OpenedState:
            self._note(link, CIRCUIT_OPEN, "not tried: it failed too often just now")
        except RequestError as error:
            self._uncrossable = error
            self._note(link, CANNOT_CROSS, str(error))
        except ProviderError as error:
            self.cause = error
            self._note(link, error.code, str(error), error.status, began, bill.told)
            if isinstance(error, ProviderDenied):
                self._denied.add(link.ref.provider)
            if error.retry_after_seconds is not None:
                self.ready_at[link] = time.monotonic() + error.retry_after_seconds
        except asyncio.CancelledError:
            self._note(link, DISCONNECTED, "its caller did not wait for the answer", None, began, bill.told)
            raise
        else:
            self._note(link, "ok", "", 200, began)
            return answer
        return None

    def worth_waiting_for(self) -> Link | None:
        """Return the link that can be asked again first, if that is before the deadline."""
        first = min(self.ready_at, key=lambda link: self.ready_at[link], default=None)
        return first if first is not None and self.ready_at[first] < self._ends else None

    def failure(self) -> RequestError | NoModelAnswered:
        """Return the error that all of this amounts to."""
        if self._uncrossable and self.cause is None:
            return self._uncrossable
        said = (f"{tried.ref}: {tried.outcome}" + (f" ({tried.message})" if tried.message else "") for tried in self.attempts)
        message = f"no model answered: {'; '.join(said) or 'none is configured'}"
        return NoModelAnswered(message, attempts=self.attempts, cause=self.cause)

    def _note(
        self,
        link: Link,
        outcome: str,
        message: str,
        status: int | None = None,
        began: float | None = None,
        usage: Usage | None = None,
    ) -> None:
        duration_seconds = 0.0 if began is None else time.monotonic() - began
        asked_at = None if began is None else time.time() - duration_seconds
        self.attempts.append(Attempt(link.ref, link.tier, outcome, status, message, duration_seconds * 1000, usage, asked_at=asked_at))
