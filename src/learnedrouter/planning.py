"""Which models may serve a request, and in which order. Pure.

What a request *needs* comes before what the classifier prefers: a model without eyes is never tried on an image. The
tiers that the caller allows hold for fallbacks too: whoever caps the tier caps the price.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from learnedrouter.chat import ChatRequest, Usage
from learnedrouter.errors import InputError, RequestError
from learnedrouter.pricing import Price
from learnedrouter.providers.fallback import Link
from learnedrouter.tiers import Ladder

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
    """

    link: Link
    price: Price | None
    context_window: int
    supports: frozenset[str]


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
        Models that are expected to cost more are not tried.
    """

    tier: str | None = None
    min_tier: str | None = None
    max_tier: str | None = None
    threshold: float | None = None
    max_cost_usd: Decimal | None = None

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


def unable(model: RoutedModel, request: ChatRequest, options: RouteOptions, expected_output_tokens: int) -> str | None:
    """Return why `model` cannot serve `request`, as a code; None where it can."""
    needs = request.needs
    for need in ("images", "tools", "json_schema"):
        if getattr(needs, need) and need not in model.supports:
            return need
    if request.input_tokens_estimate * CONTEXT_MARGIN > model.context_window:
        return "context_window"
    if options.max_cost_usd is not None:
        cost = estimated_cost(model, request, expected_output_tokens)
        if cost is None or cost > options.max_cost_usd:
            return "max_cost_usd"
    return None


def estimated_cost(model: RoutedModel, request: ChatRequest, expected_output_tokens: int) -> Decimal | None:
    """Return what a request is likely to cost with `model`, in USD, or None where its price is unknown."""
    output = min(request.needs.output_tokens or expected_output_tokens, model.link.max_output_tokens)
    return model.price.cost(Usage(request.input_tokens_estimate, output_tokens=output)) if model.price else None


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
