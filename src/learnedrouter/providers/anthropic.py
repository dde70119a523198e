"""Anthropic, through the anthropic SDK.

Bodies are posted and answers read as they are, by the SDK's raw request method: no field is lost to the SDK's types.
"""

import json
from collections.abc import Mapping
from typing import Any

import anthropic
import httpx2

from learnedrouter.chat import Completion, Dialect
from learnedrouter.dialects import anthropic_messages
from learnedrouter.errors import ProviderError, ProviderTimeout, ProviderUnavailable
from learnedrouter.providers.base import error_for_status, without_key


class AnthropicProvider:
    """An account at Anthropic.

    Parameters
    ----------
    api_key
        Never shown in errors, logs or reprs.
    base_url
        The endpoint, ending before ``/v1/messages``; None is Anthropic's own.
    http_client
        The HTTP client to use; by default the SDK makes its own.
    """

    dialect = Dialect.ANTHROPIC

    def __init__(self, api_key: str, base_url: str | None = None, http_client: httpx2.AsyncClient | None = None) -> None:
        self._key = api_key
        self._client = anthropic.AsyncAnthropic(api_key=api_key, base_url=base_url, max_retries=0, http_client=http_client)

    async def complete(self, body: Mapping[str, Any], *, timeout_seconds: float) -> Completion:
        """See `Provider.complete`."""
        try:
            response = await self._client.post(
                "/v1/messages", cast_to=httpx2.Response, body=dict(body), options={"timeout": timeout_seconds}
            )
        except anthropic.AnthropicError as error:
            raise map_error(error, self._key) from error
        return read_completion(response.content)

    async def aclose(self) -> None:
        """See `Provider.aclose`."""
        await self._client.close()


def map_error(error: anthropic.AnthropicError, key: str) -> ProviderError:
    """Return what one of the SDK's errors means."""
    message = without_key(str(error), key)
    if isinstance(error, anthropic.APITimeoutError):
        return ProviderTimeout(message)
    if isinstance(error, anthropic.APIStatusError):
        return error_for_status(error.status_code, message, error.response.headers)
    return ProviderUnavailable(message)


def read_completion(content: bytes) -> Completion:
    """Return a message from its JSON.

    Raises
    ------
    ProviderUnavailable
        It is no message: a proxy's error page, a cut answer.
    """
    try:
        body = json.loads(content)
        if body["type"] != "message":
            raise ValueError(f"type is {body['type']!r}, not 'message'")
        return Completion(
            text=anthropic_messages.read_text(body),
            tool_calls=anthropic_messages.read_tool_calls(body),
            finish_reason=anthropic_messages.read_finish_reason(body.get("stop_reason")),
            usage=anthropic_messages.read_usage(body.get("usage")),
            body=body,
        )
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ProviderUnavailable(f"the answer is no message ({type(error).__name__}: {error})") from error
