"""What a provider is, and what its failures mean."""

from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any, Protocol

import aiohttp

from learnedrouter.chat import Chunk, Completion, Dialect
from learnedrouter.errors import (
    ProviderDenied,
    ProviderError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)

DENIED = frozenset({401, 402, 403, 404})
RATE_LIMITED = 429
NO_HEADERS: Mapping[str, str] = {}


class Provider(Protocol):
    """One account at one provider.

    Bodies are in the provider's dialect and name the provider's model; headers go along with the provider's own.
    """

    @property
    def dialect(self) -> Dialect:
        """The dialect that this provider reads and writes."""

    async def complete(self, body: Mapping[str, Any], *, timeout_seconds: float, headers: Mapping[str, str] = NO_HEADERS) -> Completion:
        """Return the answer to `body`.

        Raises
        ------
        ProviderError
            There is no usable answer.
        """

    def stream(
        self, body: Mapping[str, Any], *, timeout_seconds: float, headers: Mapping[str, str] = NO_HEADERS
    ) -> AsyncGenerator[Chunk, None]:
        """Yield the answer to `body`, which asks for a stream, event by event as they come; to be closed by the caller.

        Parameters
        ----------
        timeout_seconds
            The longest wait for the connection, and for each event.

        Raises
        ------
        ProviderError
            No stream began, or it broke. An event that tells an error is yielded like any other.
        """

    async def count_tokens(self, body: Mapping[str, Any], *, timeout_seconds: float, headers: Mapping[str, str] = NO_HEADERS) -> int | None:
        """Return how many tokens of input `body` is; None where this provider cannot count them.

        Raises
        ------
        ProviderError
            It did not answer.
        """

    async def aclose(self) -> None:
        """Close the provider's connections."""


def error_for_status(status: int, message: str, headers: Mapping[str, str]) -> ProviderError:
    """Return the error that an HTTP status from a provider stands for.

    A status that retrying elsewhere may cure (5xx, Anthropic's 529, 408, 409) is `ProviderUnavailable`; what is left of
    the 4xx is the request's own fault.
    """
    if status in DENIED:
        return ProviderDenied(message, status=status)
    if status == RATE_LIMITED:
        return ProviderRateLimited(message, status=status, retry_after_seconds=_seconds(headers.get("retry-after")))
    if status >= 500 or status in (408, 409):
        return ProviderUnavailable(message, status=status, retry_after_seconds=_seconds(headers.get("retry-after")))
    return ProviderRejected(message, status=status)


def error_for_timeout(error: BaseException, message: str) -> ProviderTimeout | ProviderUnavailable:
    """Return what a timeout that an SDK or its HTTP client tells stands for: over aiohttp they call a lost connection one, too."""
    causes = list(_causes(error))
    if any(isinstance(cause, aiohttp.ClientConnectionError) for cause in causes) and not any(
        isinstance(cause, TimeoutError) for cause in causes
    ):
        return ProviderUnavailable("the connection was lost")
    return ProviderTimeout(message)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def without_key(message: str, key: str) -> str:
    """Return `message` without `key`: providers like to quote the key that they refuse."""
    return message.replace(key, "[key]") if key else message


def _seconds(value: str | None) -> float | None:
    """Read a Retry-After in seconds; its HTTP-date form is not used by any provider here and counts as absent."""
    try:
        return None if value is None else max(float(value), 0.0)
    except ValueError:
        return None
