"""Every failure of a provider, in both dialects, streamed and not, with another model after it and without."""

from dataclasses import dataclass
from typing import Any

import anthropic
import openai
import pytest

from tests.service.running import TIERS, Running

WHOLE = "alpha beta gamma"


@dataclass(frozen=True)
class Row:
    """A failure, and what becomes of it.

    `status` is what the caller gets where no model is left. Whether another model takes over: ``yes``, ``no`` for a
    request that was refused, ``late`` where a streamed answer had begun.
    """

    action: str
    status: int
    outcome: str
    takes_over: str = "yes"
    tier: str = "bulk"


ROWS = (
    Row("status 400", 400, "rejected", "no"),
    Row("status 413", 413, "rejected", "no"),
    Row("status 422", 422, "rejected", "no"),
    Row("status 401", 502, "denied"),
    Row("status 403", 502, "denied"),
    Row("status 404", 502, "denied"),
    Row("status 408", 502, "unavailable"),
    Row("status 429", 429, "rate_limited"),
    Row("status 500", 502, "unavailable"),
    Row("status 503", 502, "unavailable"),
    Row("status 529", 502, "unavailable"),
    Row("garbage", 502, "unavailable"),
    Row("hang", 504, "timeout", tier="standard"),
)
ONLY_WHOLE = (Row("cut", 502, "unavailable"),)
ONLY_STREAMED = (
    Row("cut-before", 502, "unavailable"),
    Row("malformed-before", 502, "unavailable"),
    Row("error-before", 502, "unavailable"),
    Row("hang-before", 504, "timeout", tier="standard"),
    Row("cut-after", 502, "unavailable", "late"),
    Row("malformed-after", 502, "unavailable", "late"),
    Row("error-after", 502, "unavailable", "late"),
    Row("hang-after", 504, "timeout", "late", "standard"),
)
TABLE = [
    pytest.param(row, dialect, streamed, position, tier, id=f"{row.action}-{dialect}-{'stream' if streamed else 'whole'}-{position}-{tier}")
    for streamed, rows in ((False, ROWS + ONLY_WHOLE), (True, ROWS + ONLY_STREAMED))
    for row in rows
    for dialect in ("openai", "anthropic")
    for position in ("first", "last")
    for tier in (("bulk", "structured") if row.tier == "bulk" else ("standard", "complex"))
]


def ask(service: Running, dialect: str, prompt: str, model: str, streamed: bool) -> tuple[str, Exception | None]:
    """Ask with the official SDK; give the text that came, and what was raised."""
    texts: list[str] = []
    messages: Any = [{"role": "user", "content": prompt}]
    try:
        if dialect == "openai":
            if streamed:
                for chunk in service.openai().chat.completions.create(model=model, messages=messages, stream=True):
                    texts.extend(choice.delta.content or "" for choice in chunk.choices)
            else:
                answer = service.openai().chat.completions.create(model=model, messages=messages)
                texts.append(answer.choices[0].message.content or "")
        elif streamed:
            with service.anthropic().messages.stream(model=model, messages=messages, max_tokens=50) as stream:
                texts.extend(stream.text_stream)
        else:
            message = service.anthropic().messages.create(model=model, messages=messages, max_tokens=50)
            texts.extend(block.text for block in message.content if block.type == "text")
    except (openai.APIError, anthropic.APIError) as error:
        return "".join(texts), error
    return "".join(texts), None


@pytest.mark.parametrize(("row", "dialect", "streamed", "position", "tier"), TABLE)
def test_failures(service: Running, row: Row, dialect: str, streamed: bool, position: str, tier: str) -> None:
    """Before the first content another model takes over; after it the stream ends with an error, and nothing is repeated.

    Where no model is left, the SDK raises the error of the right status. Exactly one event is recorded, and it knows
    what was tried.
    """
    (first, second), model = TIERS[tier], f"tier:{tier}"
    prompt = f"[[{first}: {row.action}]]"
    if position == "last" and row.tier == "bulk":
        prompt = f"[[{first}: status 503]] [[{second}: {row.action}]]"
    elif position == "last":  # only the first models of their tiers are hasty: such a one alone is the whole chain
        model = first

    text, error = ask(service, dialect, prompt, model, streamed)
    event = service.next_event()

    if row.takes_over == "late":
        assert text == "alpha"
        assert error is not None
        assert event.outcome == event.attempts[-1].outcome == row.outcome
        assert event.cost_usd is None
    elif row.takes_over == "yes" and position == "first":
        assert (text, error) == (WHOLE, None)
        assert [attempt.outcome for attempt in event.attempts] == [row.outcome, "ok"]
        assert event.cost_usd is not None
    else:
        assert text == ""
        assert isinstance(error, openai.APIStatusError | anthropic.APIStatusError)
        assert error.status_code == row.status
        assert error.response.headers["x-learnedrouter-id"] == event.id
        assert event.outcome == event.attempts[-1].outcome == row.outcome
