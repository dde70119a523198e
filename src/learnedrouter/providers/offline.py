"""A provider without a network: it answers every request at once, and says in every answer that it is not a model.

It stands in for all providers when no key is configured, so that deciding, fallback, cost and metrics can be tried.
Its answers and token counts are made up from the request's size and mean nothing. To see a fallback, name a model in
the prompt: ``[offline: fail deepseek-chat]`` makes that model answer 503.
"""

import re
import time
from collections.abc import Mapping
from typing import Any

from learnedrouter.chat import Completion, Dialect
from learnedrouter.dialects import openai_chat
from learnedrouter.errors import ProviderUnavailable

_FAIL = re.compile(r"\[offline: fail ([^\]\s]+)\]")
_ECHOED_CHARACTERS = 80


class OfflineProvider:
    """Answers in OpenAI's dialect without calling anybody."""

    dialect = Dialect.OPENAI

    async def complete(self, body: Mapping[str, Any], *, timeout_seconds: float) -> Completion:
        """See `Provider.complete`."""
        request = openai_chat.read_request(body)
        last = next((turn.text for turn in reversed(request.turns) if turn.role in ("user", "tool")), "")
        if body["model"] in _FAIL.findall(last):
            raise ProviderUnavailable("offline: told by the prompt to fail", status=503)
        echo = " ".join(last.split())
        echo = echo if len(echo) <= _ECHOED_CHARACTERS else echo[:_ECHOED_CHARACTERS] + "..."
        text = f"[offline] No provider was called. {body['model']} would have been asked: {echo}"
        usage = {"prompt_tokens": request.input_tokens_estimate, "completion_tokens": len(text) // 4}
        answer = {
            "id": "chatcmpl-offline",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": body["model"],
            "system_fingerprint": "offline",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {**usage, "total_tokens": sum(usage.values())},
        }
        return Completion(text, (), "stop", openai_chat.read_usage(usage), answer)

    async def aclose(self) -> None:
        """See `Provider.aclose`."""
