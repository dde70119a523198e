"""A provider without a network: it answers every request at once, and says in every answer that it is not a model.

It stands in for all providers when no key is configured, so that deciding, fallback, cost and metrics can be tried, in
the dialect of the provider that it stands in for. Its answers and token counts are made up from the request's size and
mean nothing. To see a fallback, name a model in the prompt: ``[offline: fail deepseek-v3]`` makes that model answer 503.
"""

import re
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any

from learnedrouter.chat import Chunk, Completion, Dialect
from learnedrouter.dialects import anthropic_messages, openai_chat
from learnedrouter.dialects.crossing import answer_for, stream_for
from learnedrouter.errors import ProviderUnavailable
from learnedrouter.providers.base import NO_HEADERS

_FAIL = re.compile(r"\[offline: fail ([^\]\s]+)\]")
_ECHOED_CHARACTERS = 80


class OfflineProvider:
    """Answers without calling anybody.

    Parameters
    ----------
    dialect
        The dialect that it reads and writes.
    """

    def __init__(self, dialect: Dialect = Dialect.OPENAI) -> None:
        self.dialect = dialect

    async def complete(self, body: Mapping[str, Any], *, timeout_seconds: float, headers: Mapping[str, str] = NO_HEADERS) -> Completion:
        """See `Provider.complete`."""
        text, frame = self._answer(body)
        answer = {
            **frame,
            "object": "chat.completion",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        }
        own = answer_for(answer, Dialect.OPENAI, self.dialect, model=body["model"], created=frame["created"])
        return Completion(text, (), "stop", openai_chat.read_usage(frame["usage"]), own)

    async def stream(
        self, body: Mapping[str, Any], *, timeout_seconds: float, headers: Mapping[str, str] = NO_HEADERS
    ) -> AsyncGenerator[Chunk, None]:
        """See `Provider.stream`; one event a word."""
        text, frame = self._answer(body)
        crossing = stream_for(Dialect.OPENAI, self.dialect, model=body["model"], created=frame["created"], include_usage=True)
        for chunk in _chunks(text, frame):
            for own in crossing.feed(chunk):
                yield own
        for own in crossing.finish():
            yield own

    async def count_tokens(self, body: Mapping[str, Any], *, timeout_seconds: float, headers: Mapping[str, str] = NO_HEADERS) -> int | None:
        """See `Provider.count_tokens`."""
        return None

    async def aclose(self) -> None:
        """See `Provider.aclose`."""

    def _answer(self, body: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the answer's text, and what stands around it in OpenAI's dialect."""
        request = (openai_chat if self.dialect is Dialect.OPENAI else anthropic_messages).read_request(body)
        last = next((turn.text for turn in reversed(request.turns) if turn.role in ("user", "tool")), "")
        if body["model"] in _FAIL.findall(last):
            raise ProviderUnavailable("offline: told by the prompt to fail", status=503)
        echo = " ".join(last.split())
        echo = echo if len(echo) <= _ECHOED_CHARACTERS else echo[:_ECHOED_CHARACTERS] + "..."
        text = f"[offline] No provider was called. {body['model']} would have been asked: {echo}"
        usage = {"prompt_tokens": request.input_tokens_estimate, "completion_tokens": len(text) // 4}
        return text, {
            "id": "chatcmpl-offline",
            "created": int(time.time()),
            "model": body["model"],
            "system_fingerprint": "offline",
            "usage": {**usage, "total_tokens": sum(usage.values())},
        }


def _chunks(text: str, frame: Mapping[str, Any]) -> Iterator[Chunk]:
    base = {**frame, "object": "chat.completion.chunk", "usage": None}

    def delta(content: Mapping[str, Any], finish: str | None = None) -> Chunk:
        return Chunk(None, {**base, "choices": [{"index": 0, "delta": content, "finish_reason": finish}]})

    yield delta({"role": "assistant", "content": ""})
    for word in re.findall(r"\s*\S+", text):
        yield delta({"content": word})
    yield delta({}, "stop")
    yield Chunk(None, {**base, "choices": [], "usage": frame["usage"]})
