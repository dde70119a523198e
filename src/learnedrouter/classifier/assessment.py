"""What is held of asks: what is seen at a glance, what a classifier makes of it, and how opinions are put together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from learnedrouter.classifier.features import FloatArray, IntArray
from learnedrouter.tiers import TOLERANCE

DEFAULT_ACCEPT = 0.5
"""The score from which an answer counts as acceptable: for right or wrong any value will do."""

TINY = 1e-12
"""The least probability of which a logarithm is taken."""

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the classifier holds of ``n`` asks.

    Parameters
    ----------
    sufficiency : (n, n_tiers)
        Probability that a tier's answer will be accepted.
    tokens : (n,)
        Length of what was read, in the encoder's tokens, before any cut.
    truncated : (n,)
        Whether it was cut, by characters or by the encoder.
    unfamiliar : (n,)
        Whether it is unlike everything in training, so that nothing above is to be believed.
    probabilities : (n, n_classes)
        Of the classes that it was trained on; ``probabilities @ class_scores`` is the sufficiency.
    needed : (n, n_tiers)
        Probability of each tier to be the cheapest acceptable one. See the function `needed`.
    embeddings : n of (dimension,)
        What the encoder that answered made of the asks; in a cascade they are of two kinds.
    answered_by : (n,)
        The kind of encoder whose head answered.
    """

    sufficiency: npt.NDArray[np.float64]
    tokens: IntArray
    truncated: npt.NDArray[np.bool_]
    unfamiliar: npt.NDArray[np.bool_]
    probabilities: npt.NDArray[np.float64]
    needed: npt.NDArray[np.float64]
    embeddings: tuple[FloatArray, ...]
    answered_by: tuple[str, ...]

    @property
    def predicted(self) -> IntArray:
        """The tier that is most likely the cheapest acceptable one, ``(n,)``."""
        most_likely: IntArray = self.needed.argmax(axis=1)
        return most_likely

    @property
    def surety(self) -> npt.NDArray[np.float64]:
        """How sure it is, ``(n,)``: the probability of the predicted tier."""
        surest: npt.NDArray[np.float64] = self.needed.max(axis=1, initial=0.0)
        return surest

    @property
    def believed(self) -> npt.NDArray[np.float64]:
        """Sufficiency as routing believes it, ``(n, n_tiers)``.

        That of an unfamiliar request is no evidence: it goes to the highest tier that is allowed. So its tiers stand apart by
        more than any threshold forgives.
        """
        climbing = 2.0 * np.arange(self.sufficiency.shape[1])
        return np.where(self.unfamiliar[:, None], climbing, self.sufficiency)

    def replaced(self, places: IntArray, other: "Assessment") -> "Assessment":
        """Return this with its rows at `places` taken from `other`."""
        embeddings, answered_by = list(self.embeddings), list(self.answered_by)
        for place, embedding, kind in zip(places.tolist(), other.embeddings, other.answered_by, strict=True):
            embeddings[place], answered_by[place] = embedding, kind
        return Assessment(
            sufficiency=_put(self.sufficiency, places, other.sufficiency),
            tokens=_put(self.tokens, places, other.tokens),
            truncated=_put(self.truncated, places, other.truncated),
            unfamiliar=_put(self.unfamiliar, places, other.unfamiliar),
            probabilities=_put(self.probabilities, places, other.probabilities),
            needed=_put(self.needed, places, other.needed),
            embeddings=tuple(embeddings),
            answered_by=tuple(answered_by),
        )

    @classmethod
    def of_all(cls, assessments: Sequence["Assessment"]) -> "Assessment":
        """Return what is held of all asks together."""
        arrays = ("sufficiency", "tokens", "truncated", "unfamiliar", "probabilities", "needed")
        joined = {name: np.concatenate([getattr(each, name) for each in assessments]) for name in arrays}
        embeddings = tuple(embedding for each in assessments for embedding in each.embeddings)
        return cls(**joined, embeddings=embeddings, answered_by=tuple(kind for each in assessments for kind in each.answered_by))


@dataclass(frozen=True, slots=True)
class Glance:
    """What is seen of ``n`` asks before the classifier's own encoder reads them: taken once, and used by both stages of a cascade.

    Parameters
    ----------
    beside : (n, k)
        What stands beside the embedding in a head's input: structural features, and the opinions of the words.
    unfamiliar : (n,)
        See `Assessment`.
    first : (n, n_classes)
        The probabilities that the first stage gave; ``(n, 0)`` where it has not been asked.
    """

    beside: FloatArray
    unfamiliar: npt.NDArray[np.bool_]
    first: npt.NDArray[np.float64]

    def __getitem__(self, places: IntArray) -> "Glance":
        """Return what is seen of the asks at `places`."""
        return Glance(self.beside[places], self.unfamiliar[places], self.first[places])

    def after(self, first: Assessment) -> "Glance":
        """Return what is seen once the first stage has been asked."""
        return replace(self, first=first.probabilities)

    @classmethod
    def of_all(cls, glances: Sequence["Glance"]) -> "Glance":
        """Return what is seen of all asks together."""
        parts = zip(*((each.beside, each.unfamiliar, each.first) for each in glances), strict=True)
        return cls(*map(np.concatenate, parts))


def pool(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64], weight: float) -> npt.NDArray[np.float64]:
    """Return the logarithmic opinion pool of two opinions, ``(n, n_classes)``: their weighted geometric mean, normalised.

    Source: Genest and Zidek 1986, "Combining Probability Distributions: A Critique and an Annotated Bibliography".

    Parameters
    ----------
    one, other : (n, n_classes)
        Probabilities.
    weight
        Of `one`, in [0, 1]; `other` has the rest.
    """
    logs = weight * np.log(np.maximum(one, TINY)) + (1 - weight) * np.log(np.maximum(other, TINY))
    pooled = np.exp(logs - logs.max(axis=1, keepdims=True))
    shared: npt.NDArray[np.float64] = pooled / pooled.sum(axis=1, keepdims=True)
    return shared


def needed(
    probabilities: npt.NDArray[np.float64], class_scores: npt.NDArray[np.float64], accept: float = DEFAULT_ACCEPT
) -> npt.NDArray[np.float64]:
    """Return the probability of each tier to be the one needed, ``(n, n_tiers)``.

    A class needs the cheapest tier whose score on it is acceptable, so that 0.96 where a cheaper tier has 0.95 is no need; a class
    that no tier solves needs the cheapest. Classes that need the same tier add their probability. For labels that is the
    probability of the label.

    Parameters
    ----------
    probabilities : (n, n_classes)
    class_scores : (n_classes, n_tiers)
        See `TierClassifier`.
    accept
        The score from which an answer is acceptable.
    """
    summed = np.zeros((len(probabilities), class_scores.shape[1]))
    for column, tier in enumerate((class_scores >= accept - TOLERANCE).argmax(axis=1)):
        summed[:, tier] += probabilities[:, column]
    return summed


def label_scores(n_tiers: int) -> npt.NDArray[np.float64]:
    """Return ``class_scores`` for training on labels: a tier will do wherever it is at or above the label."""
    return np.triu(np.ones((n_tiers, n_tiers)))


def _put(one: npt.NDArray[T], places: IntArray, other: npt.NDArray[T]) -> npt.NDArray[T]:
    both = one.copy()
    both[places] = other
    return both
