"""Trying models in order until one answers, under one deadline, with a circuit breaker for each.

What happens after a failure goes by its type:

- timeout, no connection, 429, 5xx, 529: the next model is tried;
- 401, 402, 403, 404: our key or our model name is wrong, never the caller's fault, so the next model *of another provider*
  is tried, for the same provider would say the same;
- 400, 413, 422: the request itself was refused. The chain stops, and the caller is told what the provider said: every
  further model would cost time, and a model that happens to accept a broken request hides the caller's mistake.

A breaker opens after `failures` failures in a row that fall back, and lets a request through again after
`recovery_seconds`: a dead model costs its timeout once in that time, not once a request.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState

from learnedrouter.chat import ChatRequest, Completion, ModelRef
from learnedrouter.dialects.crossing import body_for
from learnedrouter.errors import NoModelAnswered, ProviderDenied, ProviderError, ProviderRejected, ProviderTimeout, RequestError
from learnedrouter.providers.base import Provider

CIRCUIT_OPEN, DEADLINE, DENIED_BEFORE, CANNOT_CROSS = "circuit_open", "deadline", "denied_before", "cannot_cross"
"""Outcomes of attempts that never reached a provider."""


@dataclass(frozen=True, slots=True)
class Link:
    """One model of a chain.

    Parameters
    ----------
    ref
        The model.
    tier
        The tier that it stands in.
    upstream_model
        The name that the provider knows the model by.
    max_output_tokens
        Sent where the provider's dialect demands a limit and the caller set none.
    timeout_seconds
        The longest that one attempt may take.
    """

    ref: ModelRef
    tier: str
    upstream_model: str
    max_output_tokens: int
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of one model of a chain; `outcome` is ``ok`` or the code of what went wrong."""

    ref: ModelRef
    tier: str
    outcome: str
    status: int | None
    message: str
    duration_ms: float


@dataclass(frozen=True, slots=True)
class Served:
    """An answer, the link that gave it, and everything that was tried for it, the answer included."""

    completion: Completion
    link: Link
    attempts: tuple[Attempt, ...]


class FallbackChain:
    """Calls models through their providers, each behind its breaker.

    Parameters
    ----------
    providers
        By name.
    failures
        Failures in a row that open a model's breaker.
    recovery_seconds
        How long a breaker stays open.
    """

    def __init__(self, providers: Mapping[str, Provider], *, failures: int, recovery_seconds: float) -> None:
        self._providers = providers
        self._breakers = AsyncCircuitBreakerFactory(
            default_threshold=failures,
            default_ttl=recovery_seconds,
            # A caller that hung up, or a request that is refused, says nothing about the model's health.
            exclude=[ProviderDenied, ProviderRejected, RequestError, asyncio.CancelledError],
        )

    async def complete(self, request: ChatRequest, links: Sequence[Link], *, deadline_seconds: float) -> Served:
        """Return the first answer that one of `links` gives.

        Raises
        ------
        RequestError
            The request cannot be written in the dialect of any model left.
        NoModelAnswered
            Every model failed, or the deadline passed.
        """
        started = time.monotonic()
        attempts: list[Attempt] = []
        cause: ProviderError | None = None
        uncrossable: RequestError | None = None
        denied: set[str] = set()
        for link in links:
            began = time.monotonic()
            left = deadline_seconds - (began - started)
            if left <= 0 or link.ref.provider in denied:
                attempts.append(Attempt(link.ref, link.tier, DEADLINE if left <= 0 else DENIED_BEFORE, None, "not tried", 0.0))
                continue
            try:
                completion = await self._attempt(request, link, min(left, link.timeout_seconds))
            except OpenedState:
                attempts.append(Attempt(link.ref, link.tier, CIRCUIT_OPEN, None, "not tried: it failed too often just now", 0.0))
            except RequestError as error:
                uncrossable = error
                attempts.append(Attempt(link.ref, link.tier, CANNOT_CROSS, None, str(error), 0.0))
            except ProviderError as error:
                cause = error
                attempts.append(Attempt(link.ref, link.tier, error.code, error.status, str(error), _ms_since(began)))
                if isinstance(error, ProviderRejected):
                    break
                if isinstance(error, ProviderDenied):
                    denied.add(link.ref.provider)
            else:
                attempts.append(Attempt(link.ref, link.tier, "ok", 200, "", _ms_since(began)))
                return Served(completion, link, tuple(attempts))
        if uncrossable and cause is None:
            raise uncrossable
        raise NoModelAnswered(_summary(attempts), attempts=attempts, cause=cause)

    async def _attempt(self, request: ChatRequest, link: Link, timeout_seconds: float) -> Completion:
        provider = self._providers[link.ref.provider]
        async with await self._breakers.get_breaker(str(link.ref)):
            body: dict[str, Any] = body_for(request, provider.dialect, default_output_tokens=link.max_output_tokens)
            body["model"] = link.upstream_model
            try:
                async with asyncio.timeout(timeout_seconds):  # the SDK's own limit holds for one read, not for the whole
                    return await provider.complete(body, timeout_seconds=timeout_seconds)
            except TimeoutError:
                raise ProviderTimeout(f"no answer within {timeout_seconds:.1f} s") from None

    async def aclose(self) -> None:
        """Close every provider."""
        for provider in self._providers.values():
            await provider.aclose()


def _ms_since(began: float) -> float:
    return (time.monotonic() - began) * 1000


def _summary(attempts: Sequence[Attempt]) -> str:
    tried = "; ".join(f"{attempt.ref}: {attempt.outcome}" + (f" ({attempt.message})" if attempt.message else "") for attempt in attempts)
    return f"no model answered: {tried or 'none is configured'}"
