"""What becomes of a request's body on its way to one model."""

from dataclasses import replace
from typing import Any

import pytest

from learnedrouter.chat import Completion, Dialect, ModelRef, Usage
from learnedrouter.checking import TRUNCATED, shortcoming
from learnedrouter.dialects import anthropic_messages, openai_chat
from learnedrouter.errors import RequestError
from learnedrouter.providers.bodies import REFUSE, Link, refused_parameter, write_body

LINK = Link(ModelRef("p", "m"), "bulk", "upstream", max_output_tokens=100, timeout_seconds=5)
USER = {"role": "user", "content": "hi"}


def openai(**fields: Any) -> Any:
    return openai_chat.read_request({"messages": [USER], **fields})


def anthropic(**fields: Any) -> Any:
    return anthropic_messages.read_request({"messages": [USER], "max_tokens": 9, **fields})


@pytest.mark.parametrize(
    ("request_", "sent"),
    [
        (openai(max_completion_tokens=5), {"max_tokens": 5}),
        (openai(max_tokens=5, max_completion_tokens=6), {"max_tokens": 6}),
        (openai(max_completion_tokens=500), {"max_tokens": 100}),
        (anthropic(), {"max_tokens": 9}),
        (openai(), {}),
    ],
)
def test_a_limit_goes_by_the_name_that_the_endpoint_knows(request_: Any, sent: dict[str, int]) -> None:
    """Whatever name, and whatever dialect, the caller wrote it in; clamped, too."""
    body, _ = write_body(request_, replace(LINK, limit_name="max_tokens"), Dialect.OPENAI)

    assert {name: body[name] for name in ("max_tokens", "max_completion_tokens") if name in body} == sent


def test_a_refused_parameter_is_refused_by_the_name_that_it_has_there() -> None:
    """Across dialects it is found once it has crossed, and never sent."""
    picky = replace(LINK, params=(("stop", REFUSE),))

    assert refused_parameter(openai(stop="x"), picky, Dialect.OPENAI) == "stop"
    assert refused_parameter(anthropic(stop_sequences=["x"]), picky, Dialect.OPENAI) is None
    with pytest.raises(RequestError, match="stop: m does not take it"):
        write_body(anthropic(stop_sequences=["x"]), picky, Dialect.OPENAI)
    assert write_body(anthropic(), picky, Dialect.OPENAI)[0]["model"] == "upstream"


def test_an_answer_that_ends_at_a_clamped_limit_is_cut() -> None:
    """The caller asked for more; where the caller's own limit ended it, it is what was asked for."""
    cut = Completion("half of", (), "length", Usage(), {})

    assert shortcoming(openai(max_tokens=500), cut, clamped=True) == TRUNCATED
    assert shortcoming(openai(max_tokens=5), cut) is None
    assert shortcoming(openai(), cut) == TRUNCATED
