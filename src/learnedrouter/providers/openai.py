"""OpenAI, and every endpoint that speaks its chat completions (`base_url`), through the openai SDK.

Bodies are posted and answers read as they are, by the SDK's raw request method: no field is lost to the SDK's types.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import aiohttp
import httpx2
import openai
from openai._types import RequestOptions  # what `post` takes has no public name

from learnedrouter.chat import Chunk, Completion, Dialect
from learnedrouter.dialects import openai_chat
from learnedrouter.errors import ProviderError, ProviderUnavailable, RequestError
from learnedrouter.providers.base import NO_HEADERS, error_for_status, error_for_timeout, without_key
from learnedrouter.providers.events import Event, chunks

_FAILURES = (openai.OpenAIError, aiohttp.ClientError)
"""What the SDK raises; an answer that is no HTTP it lets through as its transport tells it."""


class _RawStream(openai.AsyncStream[object]):
    """The SDK's stream, before it makes anything of its events."""

    def events(self) -> AsyncIterator[Event]:
        """Yield the events as they come."""
        return self._iter_events()


class OpenAIProvider:
    """An account at OpenAI or at a compatible endpoint.

    Parameters
    ----------
    api_key
        Never shown in errors, logs or reprs.
    base_url
        The endpoint, ending before ``/chat/completions``; None is OpenAI's own.
    http_client
        The HTTP client to use; by default the SDK's own over aiohttp, which takes half the time of its other one.
    """

    dialect = Dialect.OPENAI

    def __init__(self, api_key: str, base_url: str | None = None, http_client: httpx2.AsyncClient | None = None) -> None:
        self._key = api_key
        client = http_client or openai.DefaultAioHttpClient()
        self._client = openai.AsyncOpenAI(api_key=api_key, base_url=base_url, max_retries=0, http_client=client)

    async def complete(self, body: Mapping[str, Any], *, timeout_seconds: float, headers: Mapping[str, str] = NO_HEADERS) -> Completion:
        """See `Provider.complete`."""
        options: RequestOptions = {"timeout": timeout_seconds, "headers": dict(headers)}
        try:
            response = await self._client.post("/chat/completions", cast_to=httpx2.Response, body=dict(body), options=options)
        except _FAILURES as error:
            raise map_error(error, self._key) from error
        return read_completion(response.content)

    async def stream(
        self, body: Mapping[str, Any], *, timeout_seconds: float, headers: Mapping[str, str] = NO_HEADERS
    ) -> AsyncGenerator[Chunk, None]:
        """See `Provider.stream`."""
        options: RequestOptions = {"timeout": timeout_seconds, "headers": dict(headers)}
        try:
            stream = await self._client.post(
                "/chat/completions", cast_to=object, body=dict(body), options=options, stream=True, stream_cls=_RawStream
            )
            async with aclosing(chunks(stream.events(), stream.response)) as answer:
                async for chunk in answer:
                    yield chunk
        except _FAILURES as error:
            raise map_error(error, self._key) from error

    async def count_tokens(self, body: Mapping[str, Any], *, timeout_seconds: float, headers: Mapping[str, str] = NO_HEADERS) -> int | None:
        """See `Provider.count_tokens`; chat completions have no such endpoint."""
        return None

    async def aclose(self) -> None:
        """See `Provider.aclose`."""
        await self._client.close()


def map_error(error: Exception, key: str) -> ProviderError:
    """Return what one of the SDK's errors means."""
    message = without_key(str(error), key)
    if isinstance(error, openai.APITimeoutError):
        return error_for_timeout(error, message)
    if isinstance(error, openai.APIStatusError):
        return error_for_status(error.status_code, message, error.response.headers)
    return ProviderUnavailable(message)


def read_completion(content: bytes) -> Completion:
    """Return a chat completion from its JSON.

    Raises
    ------
    ProviderUnavailable
        It is no chat completion: a proxy's error page, a cut answer.
    """
    try:
        body = json.loads(content)
        choice = body["choices"][0]
        return Completion(
            text=openai_chat.read_text(choice["message"]),
            tool_calls=openai_chat.read_tool_calls(choice["message"]),
            finish_reason=openai_chat.read_finish_reason(choice.get("finish_reason")),
            usage=openai_chat.read_usage(body.get("usage")),
            body=body,
        )
    except (RequestError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ProviderUnavailable(f"the answer is no chat completion ({type(error).__name__}: {error})") from error
