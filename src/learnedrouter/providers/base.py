"""What a provider is, and what its failures mean."""

from collections.abc import Mapping
from typing import Any, Protocol

from learnedrouter.chat import Completion, Dialect
from learnedrouter.errors import ProviderDenied, ProviderError, ProviderRateLimited, ProviderRejected, ProviderUnavailable

DENIED = frozenset({401, 402, 403, 404})
RATE_LIMITED = 429


class Provider(Protocol):
    """One account at one provider."""

    @property
    def dialect(self) -> Dialect:
        """The dialect that this provider reads and writes."""

    async def complete(self, body: Mapping[str, Any], *, timeout_seconds: float) -> Completion:
        """Return the answer to `body`, which is in the provider's dialect and names the provider's model.

        Raises
        ------
        ProviderError
            There is no usable answer.
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


def without_key(message: str, key: str) -> str:
    """Return `message` without `key`: providers like to quote the key that they refuse."""
    return message.replace(key, "[key]") if key else message


def _seconds(value: str | None) -> float | None:
    """Read a Retry-After in seconds; its HTTP-date form is not used by any provider here and counts as absent."""
    try:
        return None if value is None else max(float(value), 0.0)
    except ValueError:
        return None
