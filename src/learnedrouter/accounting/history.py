"""What the traffic in a ledger would have cost otherwise: at other prices, thresholds, or by another artefact. Calls nobody.

Every request is decided anew, from the probabilities that were stored, or, for another artefact, from the ask, where it
was captured. What held then holds again as far as the ledger tells:

- a tier or a model that the caller forced, and a conversation that kept its model, stay as they were;
- a tier that was raised, by the caller's ``min_tier`` or by what the request needs, is a floor; one that was lowered, by
  ``max_tier``, is a cap.

Not in the ledger, and so not replayed: a floor or cap that made no difference then but would now; failures and fallbacks
(every model answers); what another model would have written (the tokens stay as they were, cached ones too).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice

from learnedrouter.accounting.simulate import Cell, Mix
from learnedrouter.accounting.traffic import Request
from learnedrouter.classifier.model import TierClassifier
from learnedrouter.errors import InputError
from learnedrouter.pricing import Price
from learnedrouter.sinks.ledger.tables import PICO, pico
from learnedrouter.tiers import Ladder, choose_tier

NEEDS = "what requests need is taken from the probabilities that the classifier gave each tier; it is an estimate"

_PARTS = 1_000_000
"""Requests are counted in so many parts: what they need is a probability, and sums of integers are exact."""

_DAY_US = 86_400_000_000
_CHUNK = 256
_KEPT = frozenset({"forced_tier", "forced_model", "conversation"})

Decide = Callable[[Sequence[Request]], Sequence[tuple[int, Sequence[float]] | None]]
"""Gives for each of some requests the tier and the sufficiency of the tiers; None where it cannot be decided anew."""


@dataclass(slots=True)
class History:
    """The traffic, priced; see `replay`.

    Parameters
    ----------
    as_served
        Where the requests went.
    otherwise
        Where they would have gone; None where nothing else is tried.
    requests, changed
        How many are in it, and how many of them would have gone to another tier.
    left_out
        How many are not in it, by why.
    booked_usd
        What their answers cost then.
    first_us, last_us
        When the first and the last of all came, in microseconds since 1970.
    """

    as_served: Mix
    otherwise: Mix | None
    requests: int
    changed: int
    left_out: Mapping[str, int]
    booked_usd: Decimal
    first_us: int
    last_us: int


def replay(requests: Iterable[Request], rungs: Sequence[tuple[str, str]], prices: Mapping[str, Price], decide: Decide | None) -> History:
    """Return what some requests cost and would have cost, at the given prices, in one pass over them.

    Parameters
    ----------
    rungs
        The tiers, cheapest first, each with the model that is tried first.
    decide
        Decides anew; None tries nothing else.

    Raises
    ------
    InputError
        A tier's model has no price, or no request can be replayed.
    """
    tiers = tuple(tier for tier, _ in rungs)
    models = tuple(model for _, model in rungs)
    if unknown := [model for model in models if model not in prices]:
        raise InputError(f"{unknown[0]!r}: its price is unknown; expected one in the configuration or in --prices")
    models += tuple(model for model in prices if model not in models)
    tape = _Tape(tiers, [prices[model] for model in models])
    stream = iter(requests)
    while chunk := list(islice(stream, _CHUNK)):
        decided: Sequence[tuple[int, Sequence[float]] | None] = decide(chunk) if decide else [None] * len(chunk)
        for request, fresh in zip(chunk, decided, strict=True):
            tape.add(request, fresh, replayed=decide is not None)
    if not tape.requests:
        why = ", ".join(f"{count} {reason}" for reason, count in tape.left_out.items()) or "the ledger holds none in that time"
        raise InputError(f"no request can be replayed: {why}")
    days = max(Decimal(tape.last_us - tape.first_us) / _DAY_US, Decimal(1))
    return History(
        as_served=Mix(tiers, models, _cells(tape.as_served), days),
        otherwise=Mix(tiers, models, _cells(tape.otherwise), days) if decide else None,
        requests=tape.requests,
        changed=tape.changed,
        left_out=tape.left_out,
        booked_usd=tape.booked_pico / PICO,
        first_us=tape.first_us,
        last_us=tape.last_us,
    )


def by_threshold(ladder: Ladder, threshold: float) -> Decide:
    """Return what decides anew by the stored probabilities at another threshold."""
    if not 0 <= threshold <= 1:
        raise InputError(f"--threshold {threshold}: expected a number in [0, 1]")

    def decide(requests: Sequence[Request]) -> Iterator[tuple[int, Sequence[float]] | None]:
        for request in requests:
            sufficiency = _sufficiency(request, ladder.names)
            yield (constrained(request, choose_tier(sufficiency, threshold), ladder), sufficiency) if sufficiency else None

    return lambda requests: list(decide(requests))


def by_artifact(classifier: TierClassifier, threshold: float | None) -> Decide:
    """Return what decides anew by another classifier, at its own threshold or another; needs the asks."""
    wanted = classifier.threshold if threshold is None else threshold

    def decide(requests: Sequence[Request]) -> Sequence[tuple[int, Sequence[float]] | None]:
        asks = [request.ask for request in requests if request.ask]
        fresh = iter(classifier.assess(asks).sufficiency.tolist() if asks else ())
        found: list[tuple[int, Sequence[float]] | None] = []
        for request in requests:
            sufficiency = next(fresh) if request.ask else None
            found.append(
                (constrained(request, choose_tier(sufficiency, wanted), classifier.ladder), sufficiency) if sufficiency is not None else None
            )
        return found

    return decide


def constrained(request: Request, tier: int, ladder: Ladder) -> int:
    """Return `tier`, or the one that the constraints which made a difference then would make of it."""
    if request.tier not in ladder.names:
        return tier
    then = ladder.index(request.tier)
    for reason in request.reasons:
        if reason in _KEPT:
            return then
        if reason == "max_tier":
            tier = min(tier, then)
        elif reason == "min_tier" or reason.startswith("needs_") or reason == "tier_has_no_model":
            tier = max(tier, then)
    return tier


def needed_parts(sufficiency: Sequence[float]) -> list[int]:
    """Return how many of a request's `_PARTS` need each tier: where its sufficiency rises above that of all cheaper ones.

    Examples
    --------
    >>> needed_parts([0.25, 0.75, 0.70, 1.0])
    [250000, 500000, 0, 250000]
    """
    best = max(sufficiency)
    parts, sofar, before = [], 0.0, 0
    for value in sufficiency:
        sofar = max(sofar, value)
        reached = round(sofar / best * _PARTS) if best > 0 else 0
        parts.append(reached - before)
        before = reached
    parts[-1] += _PARTS - before
    return parts


_Counts = dict[tuple[int, int], list[int]]
"""By where requests are sent and what they need: parts of requests, then parts of pico-USD with each model."""


@dataclass(slots=True)
class _Tape:
    tiers: tuple[str, ...]
    prices: Sequence[Price]
    as_served: _Counts = field(default_factory=dict)
    otherwise: _Counts = field(default_factory=dict)
    requests: int = 0
    changed: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    booked_pico: int = 0
    first_us: int = 0
    last_us: int = 0

    def add(self, request: Request, fresh: tuple[int, Sequence[float]] | None, *, replayed: bool) -> None:
        self.first_us = min(self.first_us or request.at_us, request.at_us)
        self.last_us = max(self.last_us, request.at_us)
        sufficiency = fresh[1] if fresh else _sufficiency(request, self.tiers)
        if reason := self._unfit(request, sufficiency, replayed and fresh is None):
            self.left_out[reason] = self.left_out.get(reason, 0) + 1
            return
        assert request.usage is not None, "those without usage are unfit"
        costs = [pico(price.cost(request.usage)) or 0 for price in self.prices]
        parts = needed_parts(sufficiency)
        sent = self.tiers.index(request.served_tier or "")
        self.requests += 1
        self.booked_pico += request.answer_pico_usd or 0
        _count(self.as_served, sent, parts, costs)
        if fresh:
            # Where the decision stays, the request stays where it was served, whatever model took over then.
            to = sent if self.tiers[fresh[0]] == request.tier else fresh[0]
            self.changed += to != sent
            _count(self.otherwise, to, parts, costs)

    def _unfit(self, request: Request, sufficiency: Sequence[float], undecided: bool) -> str | None:
        if request.model is None:
            return "without an answer"
        if request.usage is None:
            return "of unknown tokens"
        if request.served_tier not in self.tiers or not sufficiency:
            return "of another ladder"
        return "whose ask was not captured" if undecided else None


def _count(counts: _Counts, sent: int, parts: Sequence[int], costs: Sequence[int]) -> None:
    for needed, part in enumerate(parts):
        if part:
            sums = counts.setdefault((sent, needed), [0] * (1 + len(costs)))
            sums[0] += part
            for place, cost in enumerate(costs, 1):
                sums[place] += part * cost


def _cells(counts: _Counts) -> tuple[Cell, ...]:
    return tuple(
        Cell(Decimal(sums[0]) / _PARTS, tuple(Decimal(parts) / _PARTS / PICO for parts in sums[1:]), sent, needed)
        for (sent, needed), sums in sorted(counts.items())
    )


def _sufficiency(request: Request, tiers: Sequence[str]) -> list[float]:
    return [request.sufficiency[tier] for tier in tiers] if set(tiers) == request.sufficiency.keys() else []
