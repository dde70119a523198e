"""Server-sent events as providers send them, through the SDKs' decoders but not through their types.

An SDK's own stream parses events into its models, drops the ones that it does not know, and turns errors into
exceptions of its own; a router has to hand all of them on. Its decoder and its connection are what is used here.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import Protocol

import aiohttp
import httpx2

from learnedrouter.chat import Chunk
from learnedrouter.dialects import sse
from learnedrouter.errors import ProviderUnavailable
from learnedrouter.providers.base import error_for_timeout

_DRAIN_SECONDS = 0.1
"""How long what follows ``[DONE]`` is read, so that the connection can be used again; the openai SDK takes as long."""


class Event(Protocol):
    """An event as both SDKs decode it."""

    @property
    def event(self) -> str | None:
        """Its name."""

    @property
    def data(self) -> str:
        """What it says."""


async def chunks(events: AsyncIterator[Event], response: httpx2.Response) -> AsyncGenerator[Chunk, None]:
    """Yield the chunks that `events` of `response` are, and close the response, whatever happens.

    Raises
    ------
    ProviderTimeout, ProviderUnavailable
        The connection broke, or what came over it is no stream of JSON events.
    """
    try:
        async for event in events:
            if event.data.startswith("[DONE]"):
                with suppress(TimeoutError, httpx2.HTTPError, aiohttp.ClientError):
                    async with asyncio.timeout(_DRAIN_SECONDS):
                        async for _ in events:
                            pass
                return
            if (chunk := sse.parse(event.event, event.data)) is not None:
                yield chunk
    except httpx2.TimeoutException as error:
        raise error_for_timeout(error, "the stream stood still") from error
    except (httpx2.HTTPError, aiohttp.ClientError) as error:
        raise ProviderUnavailable(f"the stream broke ({type(error).__name__})") from error
    except UnicodeDecodeError as error:
        raise ProviderUnavailable("the stream is not UTF-8") from error
    finally:
        await response.aclose()
