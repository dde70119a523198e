"""The ladder of tiers, and the one rule that picks a tier. Pure.

Tiers are indices on a ladder, cheapest first. **Sufficiency** is, for each tier, the probability that its answer will be
accepted. The rule takes the cheapest allowed tier whose sufficiency is within ``1 - threshold`` of the best allowed
tier's. Where the classifier was trained on labels, the top tier's sufficiency is 1, and the rule is a plain confidence
threshold that escalates; where it was trained on outcomes, ``1 - threshold`` bounds the expected loss of quality.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from learnedrouter.errors import InputError

TOLERANCE = 1e-9
"""Sufficiencies closer than this are equal: sums of float32 probabilities differ by as much."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """Tier names, cheapest first; at least two, all different."""

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.names) < 2 or len(set(self.names)) != len(self.names) or not all(self.names):
            raise InputError(f"ladder {list(self.names)}: expected at least two different, non-empty tier names, cheapest first")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def top(self) -> int:
        """Index of the strongest tier."""
        return len(self.names) - 1

    def index(self, name: str) -> int:
        """Return the place of tier `name` on the ladder, 0 for the cheapest.

        Raises
        ------
        InputError
            There is no such tier.
        """
        try:
            return self.names.index(name)
        except ValueError:
            raise InputError(f"unknown tier {name!r}: expected one of {', '.join(self.names)}") from None


DEFAULT_LADDER = Ladder(("bulk", "structured", "standard", "complex"))


@dataclass(frozen=True, slots=True)
class Decision:
    """Which tier serves a request, and why.

    Parameters
    ----------
    tier
        The tier chosen.
    predicted_tier
        The tier that the classifier holds most likely to be the cheapest acceptable one.
    sufficiency
        Tier name to the probability that its answer will be accepted; empty where no classifier was asked.
    confidence
        Sufficiency of the tier chosen.
    threshold
        The threshold that the rule applied, in [0, 1].
    reasons
        Why this tier, as codes, the deciding one last.
    artifact
        Name and version of the classifier.
    ask_tokens
        Length of what the classifier read, in its own tokens, before it was cut.
    truncated
        Whether it was cut.
    escalated
        Whether the tier chosen lies above the predicted one.
    probabilities
        Of the classes that the classifier was trained on, in its order; sufficiency is made of them.
    encoder
        The kind of encoder whose head answered: in a cascade it is not always the same.
    """

    tier: str
    predicted_tier: str
    sufficiency: Mapping[str, float]
    confidence: float
    threshold: float
    reasons: tuple[str, ...]
    artifact: str
    ask_tokens: int
    truncated: bool
    escalated: bool
    probabilities: tuple[float, ...] = ()
    encoder: str = ""


def decide_tier(sufficiency: Sequence[float], predicted: int, threshold: float, allowed: range) -> tuple[int, tuple[str, ...]]:
    """Return the tier that the rule gives within `allowed`, and the codes of the reasons.

    The first code says what the rule would do if every tier were allowed: ``predicted`` where it takes the predicted
    tier or a cheaper one, ``escalated`` where it goes higher for want of confidence. ``min_tier`` or ``max_tier``
    follows where `allowed` made a difference.
    """
    free = choose_tier(sufficiency, threshold)
    tier = choose_tier(sufficiency, threshold, lowest=allowed[0], highest=allowed[-1])
    first = "escalated" if free > predicted else "predicted"
    if tier == free:
        return tier, (first,)
    return tier, (first, "min_tier" if tier > free else "max_tier")


def decide_unfamiliar(n_tiers: int, allowed: range) -> tuple[int, tuple[str, ...]]:
    """Return the tier for a request that is unlike everything in training, and the codes of the reasons.

    That is the highest one allowed. What the classifier holds of such a request is no evidence, and no evidence is not "easy":
    one tier up from a meaningless guess would still be a guess, while the top tier is the only one that is never too low. It is
    dear, but rare: the cut-off is fitted so that about one request in a hundred of the usual kind goes there for nothing.
    """
    return allowed[-1], ("unfamiliar",) if allowed[-1] == n_tiers - 1 else ("unfamiliar", "max_tier")


def choose_tier(sufficiency: Sequence[float], threshold: float, *, lowest: int = 0, highest: int | None = None) -> int:
    """Return the cheapest allowed tier that is good enough.

    Parameters
    ----------
    sufficiency : (n_tiers,)
        Probability, per tier, that its answer will be accepted.
    threshold
        In [0, 1]. A higher threshold never gives a lower tier; at 1 only the best tier will do, and ties go to the
        cheaper one.
    lowest, highest
        The allowed tiers, both included; all of them by default.

    Raises
    ------
    InputError
        The threshold is outside [0, 1], or no tier is allowed.

    Examples
    --------
    >>> choose_tier([0.55, 0.70, 0.96, 1.0], threshold=0.9)
    2
    """
    if not 0 <= threshold <= 1:
        raise InputError(f"threshold {threshold!r}: expected a number in [0, 1]")
    top = len(sufficiency) - 1 if highest is None else highest
    allowed = range(max(lowest, 0), min(top, len(sufficiency) - 1) + 1)
    if not allowed:
        raise InputError(f"no tier allowed between {lowest} and {top}: expected the lowest at or under the highest")
    wanted = max(sufficiency[tier] for tier in allowed) - (1 - threshold) - TOLERANCE
    return next(tier for tier in allowed if sufficiency[tier] >= wanted)
