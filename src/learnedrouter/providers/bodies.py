"""What becomes of a request's body on its way to one model: another dialect, another name, and what the model cannot take.

Callers write for one model and may be answered by another: a limit above that model's ceiling, or a parameter that it
refuses, would be a 400 that the caller can do nothing about.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from learnedrouter.chat import ChatRequest, Dialect, ModelRef
from learnedrouter.dialects.anthropic_messages import strip_thinking
from learnedrouter.dialects.crossing import body_for
from learnedrouter.errors import RequestError

DROP, REFUSE = "drop", "refuse"
ParameterPolicy = Literal["drop", "refuse"] | bool | int | float | str
"""What becomes of a parameter: left out, or reason enough not to try this model; any other value replaces it."""

LimitName = Literal["max_tokens", "max_completion_tokens"]
LIMITS: tuple[LimitName, ...] = get_args(LimitName)
"""The limit on output, by its names in both dialects; OpenAI's own has two."""


@dataclass(frozen=True, slots=True)
class Link:
    """One model of a chain.

    Parameters
    ----------
    ref
        The model.
    tier
        The tier that it stands in.
    upstream_model
        The name that the provider knows the model by.
    max_output_tokens
        Its ceiling; sent where the provider's dialect demands a limit and the caller set none.
    timeout_seconds
        The longest that one attempt may take.
    params
        Parameters that it does not take as callers write them, and what becomes of them.
    limit_name
        The only name by which its endpoint knows a limit on output; None where it knows the dialect's.
    """

    ref: ModelRef
    tier: str
    upstream_model: str
    max_output_tokens: int
    timeout_seconds: float
    params: tuple[tuple[str, ParameterPolicy], ...] = ()
    limit_name: LimitName | None = None


@dataclass(frozen=True, slots=True)
class Adjusted:
    """What was changed of a request for the model that answered it.

    Parameters
    ----------
    clamped
        ``max_tokens=8000``: a limit above the model's ceiling; empty where there was none.
    parameters
        ``temperature=drop``, ``top_p=1``: what became of parameters that the model does not take.
    """

    clamped: str = ""
    parameters: tuple[str, ...] = ()


UNADJUSTED = Adjusted()


def write_body(request: ChatRequest, link: Link, dialect: Dialect) -> tuple[dict[str, Any], Adjusted]:
    """Return the body that asks `link` in `dialect`, and what of the request was changed for it.

    Raises
    ------
    RequestError
        The request cannot be written in `dialect`, or has a parameter there that `link` refuses; names the field.
    """
    body: dict[str, Any] = body_for(request, dialect, default_output_tokens=link.max_output_tokens)
    if dialect is request.dialect is Dialect.ANTHROPIC and request.author not in (None, link.ref.model):
        body = strip_thinking(body)
    body["model"] = link.upstream_model
    if link.limit_name and (limits := [limit for name in LIMITS if (limit := body.pop(name, None)) is not None]):
        body[link.limit_name] = limits[-1]  # of two, the newer name counts, as at OpenAI
    clamped = ""
    for name in LIMITS:
        limit = body.get(name)
        if isinstance(limit, int) and limit > link.max_output_tokens:
            body[name] = link.max_output_tokens
            clamped = f"{name}={link.max_output_tokens}"
    changed = [_apply(body, link, name, policy) for name, policy in link.params if body.get(name) is not None]
    return body, Adjusted(clamped, tuple(changed))


def refused_parameter(request: ChatRequest, link: Link, dialect: Dialect) -> str | None:
    """Return a parameter for which `link` is not to be tried; None where there is none, or only the crossing to its `dialect` tells."""
    if request.dialect is not dialect:
        return None
    return next((name for name, policy in link.params if policy == REFUSE and request.body.get(name) is not None), None)


def _apply(body: dict[str, Any], link: Link, name: str, policy: ParameterPolicy) -> str:
    if policy == REFUSE:
        raise RequestError(f"{name}: {link.ref.model} does not take it", field=name)
    if policy == DROP:
        del body[name]
        return f"{name}={DROP}"
    body[name] = policy
    return f"{name}={policy}"


def carried_headers(headers: Mapping[str, str], caller: Dialect, provider: Dialect) -> dict[str, str]:
    """Return the caller's headers that belong to its dialect and mean something to a provider of the same.

    ``anthropic-beta`` names features that the body may use (https://docs.anthropic.com/en/api/beta-headers). A caller's
    key is never among them.
    """
    beta = headers.get("anthropic-beta")
    return {"anthropic-beta": beta} if beta and caller is provider is Dialect.ANTHROPIC else {}
