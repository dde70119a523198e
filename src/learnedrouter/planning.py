"""Which models may serve a request, and in which order. Pure.

What a request *needs* comes before what the classifier prefers: a model without eyes is never tried on an image. The
tiers that the caller allows hold for fallbacks too: whoever caps the tier caps the price.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from learnedrouter.chat import ANYBODY, Caller, ChatRequest, Dialect, Usage
from learnedrouter.dialects.crossing import cannot_cross
from learnedrouter.errors import InputError, RequestError
from learnedrouter.events import Asked
from learnedrouter.pricing import Price
from learnedrouter.providers.bodies import Link, refused_parameter
from learnedrouter.tiers import Decision, Ladder

CONTEXT_MARGIN = 1.05
"""Token counts before a call are estimates; a request within 5 % of a context window counts as over it."""


@dataclass(frozen=True, slots=True)
class RoutedModel:
    """A model that requests can be routed to.

    Parameters
    ----------
    link
        How to call it, and the tier that it stands in.
    price
        None where it is unknown.
    context_window
        Tokens of input and output together.
    supports
        Which of the `Needs` it can serve: ``images``, ``tools``, ``json_schema``.
    dialect
        What its provider speaks.
    """

    link: Link
    price: Price | None
    context_window: int
    supports: frozenset[str]
    dialect: Dialect = Dialect.OPENAI


@dataclass(frozen=True, slots=True)
class RouteOptions:
    """What the caller asks of the routing; None leaves it to the configuration.

    Parameters
    ----------
    tier
        Forces a tier; the classifier is still asked, for the record.
    min_tier, max_tier
        The allowed tiers, both included.
    threshold
        In place of the artefact's.
    max_cost_usd
        Models that are expected to cost more, or whose price is unknown, are not tried; nor is a better answer asked for that
        would make both together dearer.
    model
        Forces a model, by its configured name; no other takes over.
    fallback
        Off: nobody but the first model is asked.
    conversation_id
        The caller's name for the conversation that the request goes on with.
    caller
        Who asks.
    """

    tier: str | None = None
    min_tier: str | None = None
    max_tier: str | None = None
    threshold: float | None = None
    max_cost_usd: Decimal | None = None
    model: str | None = None
    fallback: Literal["on", "off"] = "on"
    conversation_id: str | None = None
    caller: Caller = ANYBODY

    def allowed(self, ladder: Ladder) -> range:
        """Return the allowed tiers.

        Raises
        ------
        RequestError
            A tier is unknown, or the options contradict each other.
        """
        lowest = _index(ladder, "min_tier", self.min_tier, 0)
        highest = _index(ladder, "max_tier", self.max_tier, ladder.top)
        if lowest > highest:
            raise RequestError(f"min_tier {self.min_tier!r} is above max_tier {self.max_tier!r}", field="min_tier")
        if self.tier is None:
            return range(lowest, highest + 1)
        forced = _index(ladder, "tier", self.tier, 0)
        if not lowest <= forced <= highest:
            raise RequestError(f"tier {self.tier!r} lies outside min_tier and max_tier", field="tier")
        return range(forced, forced + 1)


@dataclass(frozen=True, slots=True)
class Plan:
    """A decision, and the models that will be tried for it, in order.

    Parameters
    ----------
    id
        The request's id.
    cheapest
        The models of the cheapest tier that can serve it, in order.
    estimated_cost_usd
        With the first model; None where its price is unknown.
    conversation
        What its conversation is known by.
    author
        The model that answered last in it, where that is known.
    at
        When the request came, in UTC.
    asked
        What was asked.
    """

    id: str
    decision: Decision
    models: tuple[RoutedModel, ...]
    cheapest: tuple[RoutedModel, ...]
    estimated_cost_usd: Decimal | None
    decision_seconds: float
    conversation: str
    author: str | None
    at: datetime
    asked: Asked


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a model cannot serve a request: a code, and the field that it is about, where it is about one."""

    code: str
    field: str | None = None


def unable(model: RoutedModel, request: ChatRequest, options: RouteOptions, expected_output_tokens: int) -> Refusal | None:
    """Return why `model` cannot serve `request`; None where it can. Whether its dialect can say it is `crossings`' to tell."""
    needs = request.needs
    for need in ("images", "tools", "json_schema"):
        if getattr(needs, need) and need not in model.supports:
            return Refusal(need)
    output = min(needs.output_tokens or 0, model.link.max_output_tokens)
    if request.input_tokens_estimate * CONTEXT_MARGIN + output > model.context_window:
        return Refusal("context_window")
    if parameter := refused_parameter(request, model.link, model.dialect):
        return Refusal("parameter", parameter)
    if options.max_cost_usd is not None:
        cost = estimated_cost(model, request, expected_output_tokens)
        if cost is None or cost > options.max_cost_usd:
            return Refusal("max_cost_usd")
    return None


def crossings(request: ChatRequest, models: Sequence[RoutedModel]) -> dict[Dialect, Refusal]:
    """Return the dialects among those of `models` that `request` cannot be written in, and for which field."""
    foreign = {model.dialect for model in models} - {request.dialect}
    return {dialect: Refusal("cannot_cross", field) for dialect in foreign if (field := cannot_cross(request, dialect))}


def nobody_can(refusals: Mapping[str, Refusal]) -> RequestError:
    """Return the error for a request that no model can serve; `refusals` by tier.

    A field that is in the way of every model that is left is the caller's to change (400).
    """
    told = ", ".join(f"{tier}: {refusal.code}{f' ({refusal.field})' if refusal.field else ''}" for tier, refusal in refusals.items())
    field = next((refusal.field for refusal in refusals.values() if refusal.field), None)
    message = f"no model of the allowed tiers can serve this request ({told or 'none is configured with a key'})"
    return RequestError(f"{field}: {message}" if field else message, field=field, status=400 if field else 422)


def estimated_cost(model: RoutedModel, request: ChatRequest, expected_output_tokens: int) -> Decimal | None:
    """Return what a request is likely to cost with `model`, in USD, or None where its price is unknown."""
    output = min(request.needs.output_tokens or expected_output_tokens, model.link.max_output_tokens)
    return model.price.cost(Usage(request.input_tokens_estimate, output_tokens=output)) if model.price else None


def has_room(limit_usd: Decimal | None, billed_usd: Decimal | None, estimate_usd: Decimal | None) -> bool:
    """Return whether a request that was billed for one answer may be billed for another; with an unknown sum, only without a limit."""
    return limit_usd is None or (billed_usd is not None and estimate_usd is not None and billed_usd + estimate_usd <= limit_usd)


def in_order(models: Sequence[RoutedModel], tier: int, ladder: Ladder) -> tuple[RoutedModel, ...]:
    """Return `models` as they are tried: those of `tier`, of the tiers above it going up, of the tiers below going down."""

    def distance(model: RoutedModel) -> tuple[bool, int]:
        place = ladder.index(model.link.tier)
        return place < tier, abs(place - tier)

    return tuple(sorted(models, key=distance))


def _index(ladder: Ladder, field: str, name: str | None, default: int) -> int:
    if name is None:
        return default
    try:
        return ladder.index(name)
    except InputError as error:
        raise RequestError(f"{field}: {error}", field=field) from error
