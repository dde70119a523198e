"""Server-sent events, as both dialects stream their answers.

The SDKs' decoders take the bytes apart; here is what an event means, and how it is written.
Source: https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

import json
from collections.abc import Mapping

from learnedrouter.chat import Chunk, Dialect
from learnedrouter.encoding import json_bytes
from learnedrouter.errors import ProviderUnavailable

END: Mapping[Dialect, bytes] = {Dialect.OPENAI: b"data: [DONE]\n\n", Dialect.ANTHROPIC: b""}
"""What follows the last chunk of a stream that ended well."""

LAST = "message_stop"
"""The last event of a stream that ended well, in Anthropic's dialect."""


def parse(event: str | None, data: str) -> Chunk | None:
    """Return one event of a provider's stream; None for OpenAI's ``[DONE]``, and for an event without data.

    Raises
    ------
    ProviderUnavailable
        The data is no JSON object.
    """
    if not data or data.startswith("[DONE]"):
        return None
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ProviderUnavailable(f"a chunk of the stream is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise ProviderUnavailable(f"a chunk of the stream is no JSON object but {type(value).__name__}")
    return Chunk(event or None, value)


def encode(chunk: Chunk) -> bytes:
    """Return one event as bytes; what is no Unicode text in it is escaped, not sent."""
    name = f"event: {chunk.event}\n".encode() if chunk.event else b""
    return name + b"data: " + json_bytes(chunk.data) + b"\n\n"
