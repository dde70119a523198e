"""Anthropic, through the anthropic SDK.

Bodies are posted and answers read as they are, by the SDK's raw request method: no field is lost to the SDK's types.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import anthropic
import httpx2
from anthropic._types import RequestOptions  # what `post` takes has no public name

from learnedrouter.chat import Chunk, Completion, Dialect
from learnedrouter.dialects import anthropic_messages
from learnedrouter.errors import ProviderError, ProviderUnavailable, RequestError
from learnedrouter.providers.base import NO_HEADERS, error_for_status, error_for_timeout, without_key
from learnedrouter.providers.events import Event, chunks


class _RawStream(anthropic.AsyncStream[object]):
    """The SDK's stream, before it makes anything of its events."""

    def events(self) -> AsyncIterator[Event]:
        """Yield the events as they come."""
        return self._iter_events()


class AnthropicProvider:
    """An account at Anthropic.

    Parameters
    ----------
    api_key
        Never shown in errors, logs or reprs.
    base_url
        The endpoint, ending before ``/v1/messages``; None is Anthropic's own.
    http_client
        The HTTP client to use; by default the SDK's own over aiohttp, which takes half the time of its other one.
    """

    dialect = Dialect.ANTHROPIC

    def __init__(self, api_key: str, base_url: str | None = None, http_client: httpx2.AsyncClient | None = None) -> None:
        self._key = api_key
        client = http_client or anthropic.DefaultAioHttpClient()
        self._client = anthropic.AsyncAnthropic(api_key=api_key, base_url=base_url, max_retries=0, http_client=client)

    async def complete(self, body: Mapping[str, Any], *, timeout_seconds: float, headers: Mapping[str, str] = NO_HEADERS) -> Completion:
        """See `Provider.complete`."""
        return read_completion((await self._post("/v1/messages", body, timeout_seconds, headers)).content)

    async def stream(
        self, body: Mapping[str, Any], *, timeout_seconds: float, headers: Mapping[str, str] = NO_HEADERS
    ) -> AsyncGenerator[Chunk, None]:
        """See `Provider.stream`."""
        options: RequestOptions = {"timeout": timeout_seconds, "headers": dict(headers)}
        try:
            stream = await self._client.post(
                "/v1/messages", cast_to=object, body=dict(body), options=options, stream=True, stream_cls=_RawStream
            )
            async with aclosing(chunks(stream.events(), stream.response)) as answer:
                async for chunk in answer:
                    yield chunk
        except anthropic.AnthropicError as error:
            raise map_error(error, self._key) from error

    async def count_tokens(self, body: Mapping[str, Any], *, timeout_seconds: float, headers: Mapping[str, str] = NO_HEADERS) -> int | None:
        """See `Provider.count_tokens`."""
        response = await self._post("/v1/messages/count_tokens", body, timeout_seconds, headers)
        try:
            return int(json.loads(response.content)["input_tokens"])
        except (ValueError, LookupError, TypeError) as error:
            raise ProviderUnavailable(f"the answer is no count of tokens ({type(error).__name__}: {error})") from error

    async def _post(self, path: str, body: Mapping[str, Any], timeout_seconds: float, headers: Mapping[str, str]) -> httpx2.Response:
        options: RequestOptions = {"timeout": timeout_seconds, "headers": dict(headers)}
        try:
            return await self._client.post(path, cast_to=httpx2.Response, body=dict(body), options=options)
        except anthropic.AnthropicError as error:
            raise map_error(error, self._key) from error

    async def aclose(self) -> None:
        """See `Provider.aclose`."""
        await self._client.close()


def map_error(error: anthropic.AnthropicError, key: str) -> ProviderError:
    """Return what one of the SDK's errors means."""
    message = without_key(str(error), key)
    if isinstance(error, anthropic.APITimeoutError):
        return error_for_timeout(error, message)
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
    except (RequestError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ProviderUnavailable(f"the answer is no message ({type(error).__name__}: {error})") from error
