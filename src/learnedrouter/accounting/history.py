"""What the traffic in a ledger would have cost otherwise: at other prices, thresholds, or by another artefact. Calls nobody.

Every request is decided anew, from the probabilities that were stored, or, for another artefact, from the ask, where it
was captured. What held then holds again as far as the ledger tells:

- a tier or a model that the caller forced, and a conversation that kept its model, stay as they were;
- a tier that was raised, by the caller's ``min_tier`` or by what the request needs, is a floor; one that was lowered is a
  cap;
- a request that was unlike everything in training stays where it was at any threshold; another artefact has its own
  notion of what is familiar.

Another artefact needs the ask itself. Of one whose embedding alone was captured there is no telling what a further head
would hold, even over the same encoder: the structural features that stand beside the embedding, and the shape that says
whether a request is familiar, are measured on the text; and in a cascade only one of two embeddings is there.

Not in the ledger, and so not replayed: a floor or cap that made no difference then but would now; failures and fallbacks
(every model answers); what another model would have written (the tokens stay as they were, cached ones too).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice

from learnedrouter.accounting.simulate import Cell, Mix
from learnedrouter.accounting.traffic import answer_usd, counted
from learnedrouter.classifier.model import TierClassifier
from learnedrouter.errors import InputError
from learnedrouter.events import RoutedCompletion
from learnedrouter.pricing import Price
from learnedrouter.tiers import Ladder, choose_tier

NEEDS = "what requests need is taken from the probabilities that the classifier gave each tier; it is an estimate"

_PARTS = 1_000_000
"""Requests are counted in so many parts: what they need is a probability, and sums of integers are exact."""

_DAY_US = 86_400_000_000
_CHUNK = 256
_UNREAD, _UNREAD_EMBEDDED = "whose ask was not captured", "of whose ask only the embedding was captured"
_NEEDS_TEXT = 'another artefact reads the asks themselves, which `[ledger] capture = "text"` alone keeps'

_UNFAMILIAR = "unfamiliar"
_KEPT = frozenset({"forced_tier", "forced_model", "conversation", "budget"})

Fresh = tuple[int, Sequence[float]]
"""A tier, and the sufficiency of all tiers."""

Decide = Callable[[Sequence[RoutedCompletion]], Sequence[Fresh | None]]
"""Decides anew for some requests; None for one for which that cannot be done."""


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
    first, last
        When the first and the last of all came.
    """

    as_served: Mix
    otherwise: Mix | None
    requests: int
    changed: int
    left_out: Mapping[str, int]
    booked_usd: Decimal
    first: datetime | None
    last: datetime | None


def replay(
    events: Iterable[RoutedCompletion], rungs: Sequence[tuple[str, str]], prices: Mapping[str, Price], decide: Decide | None
) -> History:
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
    stream = iter(events)
    while chunk := list(islice(stream, _CHUNK)):
        decided = decide(chunk) if decide else [None] * len(chunk)
        for event, fresh in zip(chunk, decided, strict=True):
            tape.add(event, fresh, replayed=decide is not None)
    if not tape.requests:
        why = ", ".join(f"{count} {reason}" for reason, count in tape.left_out.items()) or "the ledger holds none in that time"
        hint = f"; {_NEEDS_TEXT}" if {_UNREAD, _UNREAD_EMBEDDED} & tape.left_out.keys() else ""
        raise InputError(f"no request can be replayed: {why}{hint}")
    return History(
        as_served=Mix(tiers, models, _cells(tape.as_served), tape.days),
        otherwise=Mix(tiers, models, _cells(tape.otherwise), tape.days) if decide else None,
        requests=tape.requests,
        changed=tape.changed,
        left_out=tape.left_out,
        booked_usd=tape.booked_usd,
        first=tape.first,
        last=tape.last,
    )


def by_threshold(ladder: Ladder, threshold: float) -> Decide:
    """Return what decides anew by the stored probabilities, at another threshold.

    Raises
    ------
    InputError
        The threshold is outside [0, 1].
    """
    if not 0 <= threshold <= 1:
        raise InputError(f"threshold {threshold}: expected a number in [0, 1]")

    def decide(event: RoutedCompletion) -> Fresh | None:
        sufficiency = _sufficiency(event, ladder.names)
        if not sufficiency:
            return None
        return constrained(event, _free(event, sufficiency, threshold, ladder), ladder), sufficiency

    return lambda events: list(map(decide, events))


def by_artifact(classifier: TierClassifier, threshold: float | None) -> Decide:
    """Return what decides anew by another classifier, at its own threshold or another; needs the asks.

    Raises
    ------
    InputError
        The threshold is outside [0, 1].
    """
    wanted = classifier.threshold if threshold is None else threshold
    if not 0 <= wanted <= 1:
        raise InputError(f"threshold {wanted}: expected a number in [0, 1]")

    def decide(events: Sequence[RoutedCompletion]) -> Sequence[Fresh | None]:
        asked = [(event, event.asked.ask) for event in events if event.asked.ask]
        if not asked:
            return [None] * len(events)
        assessed = classifier.assess([ask for _, ask in asked])
        believed, sufficiency = assessed.believed.tolist(), assessed.sufficiency.tolist()
        fresh = {
            event.id: (constrained(event, choose_tier(sure, wanted), classifier.ladder), told)
            for (event, _), sure, told in zip(asked, believed, sufficiency, strict=True)
        }
        return [fresh.get(event.id) for event in events]

    return decide


def _free(event: RoutedCompletion, sufficiency: Sequence[float], threshold: float, ladder: Ladder) -> int:
    """Return the tier that nothing but the classifier would give; what it holds of an unfamiliar request is no evidence."""
    return ladder.top if _UNFAMILIAR in event.decision.reasons else choose_tier(sufficiency, threshold)


def constrained(event: RoutedCompletion, tier: int, ladder: Ladder) -> int:
    """Return `tier`, or what the constraints that made a difference then would make of it."""
    decision = event.decision
    if decision.tier not in ladder.names:
        return tier
    then = ladder.index(decision.tier)
    for reason in decision.reasons:
        if reason in _KEPT:
            return then
        if reason in ("min_tier", "max_tier", "tier_has_no_model") or reason.startswith("needs_"):
            free = _free(event, list(decision.sufficiency.values()), decision.threshold, ladder)
            tier = min(tier, then) if then < free else max(tier, then)
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


_Counts = dict[tuple[int, int], list[Decimal]]
"""By where requests are sent and what they need: how many, then what they cost with each model."""


@dataclass(slots=True)
class _Tape:
    tiers: tuple[str, ...]
    prices: Sequence[Price]
    as_served: _Counts = field(default_factory=dict)
    otherwise: _Counts = field(default_factory=dict)
    requests: int = 0
    changed: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    booked_usd: Decimal = Decimal(0)
    first: datetime | None = None
    last: datetime | None = None

    @property
    def days(self) -> Decimal:
        """How long the traffic lasted, as a day at least."""
        if self.first is None or self.last is None:
            return Decimal(1)
        return max(Decimal((self.last - self.first) // timedelta(microseconds=1)) / _DAY_US, Decimal(1))

    def add(self, event: RoutedCompletion, fresh: Fresh | None, *, replayed: bool) -> None:
        self.first, self.last = self.first or event.at, event.at
        sufficiency = fresh[1] if fresh else _sufficiency(event, self.tiers)
        usage = counted(event)
        if (reason := self._unfit(event, sufficiency, replayed and fresh is None)) or usage is None:
            reason = reason or "of unknown tokens"
            self.left_out[reason] = self.left_out.get(reason, 0) + 1
            return
        costs = [price.cost(usage) or Decimal(0) for price in self.prices]
        parts = needed_parts(sufficiency)
        sent = self.tiers.index(event.served_tier)
        self.requests += 1
        self.booked_usd += answer_usd(event) or Decimal(0)
        _count(self.as_served, sent, parts, costs)
        if fresh:
            # Where the decision stays, the request stays where it was served, whatever model took over then.
            to = sent if self.tiers[fresh[0]] == event.decision.tier else fresh[0]
            self.changed += to != sent
            _count(self.otherwise, to, parts, costs)

    def _unfit(self, event: RoutedCompletion, sufficiency: Sequence[float], undecided: bool) -> str | None:
        if event.model is None:
            return "without an answer"
        if event.served_tier not in self.tiers or not sufficiency:
            return "of another ladder"
        if undecided:
            return _UNREAD if event.asked.embedding is None else _UNREAD_EMBEDDED
        return None


def _count(counts: _Counts, sent: int, parts: Sequence[int], costs: Sequence[Decimal]) -> None:
    for needed, part in enumerate(parts):
        if part:
            sums = counts.setdefault((sent, needed), [Decimal(0)] * (1 + len(costs)))
            share = Decimal(part) / _PARTS
            for place, amount in enumerate((Decimal(1), *costs)):
                sums[place] += share * amount


def _cells(counts: _Counts) -> tuple[Cell, ...]:
    return tuple(Cell(sums[0], tuple(sums[1:]), sent, needed) for (sent, needed), sums in sorted(counts.items()))


def _sufficiency(event: RoutedCompletion, tiers: Sequence[str]) -> list[float]:
    stored = event.decision.sufficiency
    return [stored[tier] for tier in tiers] if set(tiers) == stored.keys() else []
