"""Calling models through their providers, each behind its circuit breaker; another takes over where one fails.

Which failures make another model take over is `trying`'s to say. A streamed answer holds back its first events until
one carries content: until then another model can take over without the caller's noticing, after it never.

A breaker opens after `failures` failures in a row that fall back, and lets one request at a time through again after
`recovery_seconds`: a dead model costs its timeout once in that time, not once a request.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import HALF_OPENED, OPENED, OpenedState

from learnedrouter.chat import ChatRequest, Chunk, Completion, ModelRef
from learnedrouter.dialects.crossing import StreamCrossing, answer_for, stream_for
from learnedrouter.dialects.error_shapes import read_error
from learnedrouter.dialects.streams import StreamReader, carries_content, streaming_body, wants_usage
from learnedrouter.errors import ProviderDenied, ProviderRejected, ProviderTimeout, RequestError
from learnedrouter.providers.base import Provider, error_for_status
from learnedrouter.providers.bodies import UNADJUSTED, Adjusted, Link, carried_headers, write_body
from learnedrouter.providers.trying import Attempt, Bill, Covers, first_answer


@dataclass(frozen=True, slots=True)
class Served:
    """An answer, its body in the caller's dialect; the link that gave it, and everything that was tried for it."""

    completion: Completion
    link: Link
    attempts: tuple[Attempt, ...]
    adjusted: Adjusted = UNADJUSTED


_Crossed = tuple[list[Chunk], bool]
"""What becomes of one event for the caller, and whether any content has come by then."""


@dataclass(frozen=True, slots=True)
class OpenedStream:
    """A streamed answer whose first content is there.

    Parameters
    ----------
    held
        What was held back until then, in the caller's dialect.
    rest
        What follows.
    reader
        Knows what the provider sent so far.
    link, attempts, adjusted
        As in `Served`; the last attempt took until the first content.
    """

    held: tuple[Chunk, ...]
    rest: AsyncGenerator[_Crossed, None]
    reader: StreamReader
    link: Link
    attempts: tuple[Attempt, ...] = ()
    adjusted: Adjusted = UNADJUSTED

    async def chunks(self) -> AsyncIterator[Chunk]:
        """Yield the answer, in the caller's dialect.

        Raises
        ------
        ProviderError
            The stream broke; no other model takes over any more.
        """
        for chunk in self.held:
            yield chunk
        async for crossed, _ in self.rest:
            for chunk in crossed:
                yield chunk

    async def aclose(self) -> None:
        """Close the provider's connection, whatever is left of the answer."""
        await self.rest.aclose()


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
    idle_seconds
        The longest pause in a stream that has begun.
    """

    def __init__(self, providers: Mapping[str, Provider], *, failures: int, recovery_seconds: float, idle_seconds: float = 60.0) -> None:
        self._providers, self._idle_seconds, self._recovery_seconds = providers, idle_seconds, recovery_seconds
        self._breakers = AsyncCircuitBreakerFactory(
            default_threshold=failures,
            default_ttl=recovery_seconds,
            exclude=[ProviderDenied, ProviderRejected],  # who refuses a request is well
        )
        self._on_trial: set[ModelRef] = set()

    async def complete(
        self,
        request: ChatRequest,
        links: Sequence[Link],
        *,
        deadline_seconds: float,
        covers: Covers | None = None,
        trail: list[Attempt] | None = None,
    ) -> Served:
        """Return the first answer that one of `links` gives.

        Parameters
        ----------
        deadline_seconds, covers, trail
            See `trying.first_answer`.

        Raises
        ------
        RequestError
            The request cannot be written in the dialect of any model left.
        NoModelAnswered
            Every model failed, or the deadline passed.
        """
        tried: list[Attempt] = [] if trail is None else trail
        ask = partial(self._ask, request)
        (completion, adjusted), link = await first_answer(links, ask, deadline_seconds=deadline_seconds, covers=covers, trail=tried)
        return Served(completion, link, tuple(tried), adjusted)

    async def stream(
        self,
        request: ChatRequest,
        links: Sequence[Link],
        *,
        deadline_seconds: float,
        covers: Covers | None = None,
        trail: list[Attempt] | None = None,
    ) -> OpenedStream:
        """Return the first streamed answer of which any content came; to be closed by the caller.

        The deadline holds until then; after it, pauses are limited, and the whole is not: an answer may be long.

        Raises
        ------
        RequestError, NoModelAnswered
            See `complete`.
        """
        tried: list[Attempt] = [] if trail is None else trail
        ask = partial(self._open, request)
        opened, _ = await first_answer(links, ask, deadline_seconds=deadline_seconds, covers=covers, trail=tried)
        return replace(opened, attempts=tuple(tried))

    async def count_tokens(self, request: ChatRequest, link: Link) -> int | None:
        """Return how many tokens of input `request` is to a model; None where its provider cannot count them.

        Raises
        ------
        ProviderError
            The provider did not answer.
        """
        provider = self._providers[link.ref.provider]
        if provider.dialect is not request.dialect:
            return None
        headers = carried_headers(request.headers, request.dialect, provider.dialect)
        body = {**request.body, "model": link.upstream_model}
        return await provider.count_tokens(body, timeout_seconds=link.timeout_seconds, headers=headers)

    async def breaker_state(self, ref: ModelRef) -> str:
        """Return ``closed``, ``opened`` or ``half-opened``: the next request is let through to see."""
        breaker = (await self._breakers.get_breaker(str(ref))).context
        lapsed = breaker.state == OPENED and time.time() > (breaker.opened_at or 0) + self._recovery_seconds
        return str(HALF_OPENED if lapsed else breaker.state)

    @asynccontextmanager
    async def _behind_breaker(self, ref: ModelRef) -> AsyncIterator[None]:
        """Call a model within the block; what comes of it is its breaker's to know.

        While one request tries whether a model is well again, others are turned away, until it answers. A caller that hung up, or
        a request that cannot be written, says nothing about the model's health.
        """
        trial = await self.breaker_state(ref) == HALF_OPENED
        if trial and ref in self._on_trial:
            raise OpenedState(str(ref))
        if trial:
            self._on_trial.add(ref)
        try:
            breaker = await self._breakers.get_breaker(str(ref))
            await breaker.__aenter__()
            try:
                yield
            except (RequestError, asyncio.CancelledError, GeneratorExit):
                raise
            except BaseException as error:
                await breaker.__aexit__(type(error), error, error.__traceback__)
                raise
            else:
                await breaker.__aexit__(None, None, None)
        finally:
            if trial:
                self._on_trial.discard(ref)

    async def aclose(self) -> None:
        """Close every provider."""
        for provider in self._providers.values():
            await provider.aclose()

    async def _ask(self, request: ChatRequest, link: Link, timeout_seconds: float, bill: Bill) -> tuple[Completion, Adjusted]:
        provider = self._providers[link.ref.provider]
        headers = carried_headers(request.headers, request.dialect, provider.dialect)
        async with self._behind_breaker(link.ref):
            body, adjusted = write_body(request, link, provider.dialect)
            try:
                async with asyncio.timeout(timeout_seconds):  # the SDK's own limit holds for one read, not for the whole
                    completion = await provider.complete(body, timeout_seconds=timeout_seconds, headers=headers)
            except TimeoutError:
                raise ProviderTimeout(f"no answer within {timeout_seconds:.1f} s") from None
            bill.read = lambda: completion.usage  # it is to be paid, even if it cannot be written in the caller's dialect
            answer = answer_for(completion.body, provider.dialect, request.dialect, model=link.ref.model, created=int(time.time()))
            return replace(completion, body=answer), adjusted

    async def _open(self, request: ChatRequest, link: Link, timeout_seconds: float, bill: Bill) -> OpenedStream:
        provider = self._providers[link.ref.provider]
        body, adjusted = write_body(request, link, provider.dialect)
        usage = wants_usage(request)
        crossing = stream_for(provider.dialect, request.dialect, model=link.ref.model, created=int(time.time()), include_usage=usage)
        headers = carried_headers(request.headers, request.dialect, provider.dialect)
        longest = max(timeout_seconds, self._idle_seconds)  # of one read; how long all may take is limited in _crossed
        source = provider.stream(streaming_body(body, provider.dialect), timeout_seconds=longest, headers=headers)
        rest = self._crossed(source, link, crossing, timeout_seconds)
        held: list[Chunk] = []
        bill.read = lambda: crossing.reader.usage
        async for crossed, content in rest:
            held += crossed
            if content:
                break
        return OpenedStream(tuple(held), rest, crossing.reader, link, adjusted=adjusted)

    async def _crossed(
        self, source: AsyncGenerator[Chunk, None], link: Link, crossing: StreamCrossing, timeout_seconds: float
    ) -> AsyncGenerator[_Crossed, None]:
        """Yield a provider's stream as its caller gets it; all that can go wrong with it happens inside the breaker."""
        dialect, content, ends = self._providers[link.ref.provider].dialect, False, time.monotonic() + timeout_seconds
        async with aclosing(source), self._behind_breaker(link.ref):
            while True:
                chunk = await _next(source, self._idle_seconds if content else ends - time.monotonic())
                if chunk is None:
                    break
                if error := read_error(chunk, dialect):
                    raise error_for_status(error[0], error[1], {})
                content = content or carries_content(chunk, dialect)
                if content:
                    self._on_trial.discard(link.ref)  # it answers: others need not wait for the end
                yield crossing.feed(chunk), content
            yield crossing.finish(), True


async def _next(source: AsyncGenerator[Any, None], timeout_seconds: float) -> Any:
    try:
        async with asyncio.timeout(timeout_seconds):
            return await anext(source, None)
    except TimeoutError:
        raise ProviderTimeout(f"nothing came for {max(timeout_seconds, 0):.1f} s") from None
