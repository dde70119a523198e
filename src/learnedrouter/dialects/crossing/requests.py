"""Writing a request in another dialect than the caller's."""

from typing import Any

from learnedrouter.chat import ChatRequest, Dialect
from learnedrouter.dialects.crossing.request_to_anthropic import openai_to_anthropic
from learnedrouter.dialects.crossing.request_to_openai import anthropic_to_openai
from learnedrouter.errors import RequestError


def body_for(request: ChatRequest, dialect: Dialect, *, default_output_tokens: int) -> dict[str, Any]:
    """Return a request's body in `dialect`; the model's name does not cross.

    Parameters
    ----------
    default_output_tokens
        What Anthropic's required ``max_tokens`` is where the caller set no limit.

    Raises
    ------
    RequestError
        A field has no counterpart in `dialect`, or cannot be read; names the field.
    """
    if request.dialect is dialect:
        return dict(request.body)
    if dialect is Dialect.ANTHROPIC:
        return openai_to_anthropic(request.body, default_output_tokens)
    return anthropic_to_openai(request.body)


def cannot_cross(request: ChatRequest, dialect: Dialect) -> str | None:
    """Return the field for which `request` cannot be written in `dialect`; None where it can."""
    try:
        body_for(request, dialect, default_output_tokens=1)
    except RequestError as error:
        return error.field or "body"
    return None
