"""The trained classifier: asks in, class probabilities and sufficiency out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from learnedrouter.ask import Ask
from learnedrouter.classifier.encoder import Encoder
from learnedrouter.classifier.familiarity import Familiarity
from learnedrouter.classifier.features import FloatArray, IntArray, structural
from learnedrouter.classifier.wording import Wording, opinions
from learnedrouter.tiers import TOLERANCE, Ladder

DEFAULT_ACCEPT = 0.5
"""The score from which an answer counts as acceptable: for right or wrong any value will do."""

T = TypeVar("T", bound=np.generic)


class Head(Protocol):
    """A fitted, calibrated scikit-learn classifier."""

    def predict_proba(self, features: FloatArray) -> npt.NDArray[np.float64]:
        """Return class probabilities, ``(n, n_classes)``, for features ``(n, n_features)``."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the classifier holds of ``n`` asks.

    Parameters
    ----------
    sufficiency : (n, n_tiers)
        Probability that a tier's answer will be accepted.
    predicted : (n,)
        The tier that is most likely the cheapest acceptable one.
    tokens : (n,)
        Length of what was read, in the encoder's tokens, before any cut.
    truncated : (n,)
        Whether it was cut, by characters or by the encoder.
    unfamiliar : (n,)
        Whether it is unlike everything in training, so that nothing above is to be believed.
    probabilities : (n, n_classes)
        Of the classes that it was trained on; ``probabilities @ class_scores`` is the sufficiency.
    embeddings : n of (dimension,)
        What the encoder that answered made of the asks; in a cascade they are of two kinds.
    answered_by : (n,)
        The kind of encoder whose head answered.
    """

    sufficiency: npt.NDArray[np.float64]
    predicted: IntArray
    tokens: IntArray
    truncated: npt.NDArray[np.bool_]
    unfamiliar: npt.NDArray[np.bool_]
    probabilities: npt.NDArray[np.float64]
    embeddings: tuple[FloatArray, ...]
    answered_by: tuple[str, ...]

    @property
    def believed(self) -> npt.NDArray[np.float64]:
        """Sufficiency as routing believes it, ``(n, n_tiers)``.

        That of an unfamiliar request is no evidence: it goes to the highest tier that is allowed. So its tiers stand apart by
        more than any threshold forgives.
        """
        climbing = 2.0 * np.arange(self.sufficiency.shape[1])
        return np.where(self.unfamiliar[:, None], climbing, self.sufficiency)


@dataclass(frozen=True, slots=True)
class Glance:
    """What is seen of ``n`` asks without an encoder: taken once, and used by both stages of a cascade.

    Parameters
    ----------
    beside : (n, k)
        What stands beside the embedding in a head's input: structural features, and the opinions of the words.
    unfamiliar : (n,)
        See `Assessment`.
    """

    beside: FloatArray
    unfamiliar: npt.NDArray[np.bool_]

    def __getitem__(self, places: IntArray) -> "Glance":
        """Return what is seen of the asks at `places`."""
        return Glance(self.beside[places], self.unfamiliar[places])

    @classmethod
    def of_all(cls, glances: Sequence["Glance"]) -> "Glance":
        """Return what is seen of all asks together."""
        return cls(np.concatenate([each.beside for each in glances]), np.concatenate([each.unfamiliar for each in glances]))


@dataclass(frozen=True, slots=True)
class FirstStage:
    """The cheap half of a cascade: it answers where it is sure, and leaves the rest to the classifier's own encoder.

    Parameters
    ----------
    encoder, head
        Its own.
    switch
        It is sure where the probability of its predicted tier is at least this; `training.cascade` solves for it.
    """

    encoder: Encoder
    head: Head
    switch: float


@dataclass(frozen=True)
class TierClassifier:
    """Encoder, head, and what the head's classes mean.

    Parameters
    ----------
    ladder
        The tiers.
    encoder
        Embeds the asks.
    head
        Fitted on embeddings joined with structural features and the opinions of `wording`.
    class_scores : (n_classes, n_tiers)
        ``class_scores[c, t]`` is how good tier ``t``'s answer is on requests of class ``c``, in [0, 1]. For labels,
        1 where ``t`` is at or above ``c``; for outcomes, the pattern that the class stands for.
    threshold
        What `training.threshold` solved for.
    name
        Name and version, as answers and bills show it.
    familiarity
        What familiar requests look like; without it none is unfamiliar.
    accept
        The score from which an answer counted as acceptable in training.
    first
        Asked first, in a cascade; None where there is none.
    wording
        What the words say; without it the heads were fitted without.
    """

    ladder: Ladder
    encoder: Encoder
    head: Head
    class_scores: npt.NDArray[np.float64]
    threshold: float
    name: str
    familiarity: Familiarity | None = None
    accept: float = DEFAULT_ACCEPT
    first: FirstStage | None = None
    wording: Wording | None = None

    def assess(self, asks: Sequence[Ask]) -> Assessment:
        """Return what the classifier holds of `asks`; blocks for as long as the encoders take."""
        glance = self.glance(asks)
        if self.first is None:
            return self.assess_last(asks, glance)
        assessment, certain = self.assess_first(asks, glance)
        left = np.flatnonzero(certain < self.first.switch)
        if not len(left):
            return assessment
        return _replaced(assessment, left, self.assess_last([asks[place] for place in left.tolist()], glance[left]))

    def glance(self, asks: Sequence[Ask]) -> Glance:
        """Return what is seen of `asks` without an encoder."""
        beside = np.hstack([structural(asks), opinions(self.wording, asks)])
        return Glance(beside, self.familiarity.unfamiliar(asks) if self.familiarity else np.zeros(len(asks), dtype=np.bool_))

    def assess_first(self, asks: Sequence[Ask], glance: Glance) -> tuple[Assessment, npt.NDArray[np.float64]]:
        """Return what the first stage holds of `asks`, and how sure it is, ``(n,)``: to be compared with its switch point.

        Raises
        ------
        ValueError
            There is no first stage.
        """
        if self.first is None:
            raise ValueError("no cascade: there is no first stage to ask")
        probabilities, assessment = self.assess_with(self.first.encoder, self.first.head, asks, glance)
        return assessment, probabilities.max(axis=1, initial=0.0)

    def assess_last(self, asks: Sequence[Ask], glance: Glance) -> Assessment:
        """Return what the classifier's own encoder and head hold of `asks`, the first stage left out."""
        return self.assess_with(self.encoder, self.head, asks, glance)[1]

    def assess_with(self, encoder: Encoder, head: Head, asks: Sequence[Ask], glance: Glance) -> tuple[npt.NDArray[np.float64], Assessment]:
        """Return, for one encoder and head, the probability of each tier to be the one needed, ``(n, n_tiers)``, and the assessment."""
        embeddings, lengths = encoder.encode([ask.reading for ask in asks])
        probabilities = head.predict_proba(np.hstack([embeddings, glance.beside]))
        cut = np.array([ask.truncated for ask in asks], dtype=np.bool_)
        whole = np.array([ask.characters / max(len(ask.text), 1) for ask in asks])
        pooled = _pooled(probabilities, self.class_scores, self.accept)
        return pooled, Assessment(
            sufficiency=probabilities @ self.class_scores,
            predicted=pooled.argmax(axis=1),
            tokens=np.rint(lengths * whole).astype(np.intp),  # counted on what was kept, scaled to what there was
            truncated=cut | (lengths > encoder.spec.max_tokens),
            unfamiliar=glance.unfamiliar,
            probabilities=probabilities,
            embeddings=tuple(embeddings),
            answered_by=(encoder.spec.kind,) * len(asks),
        )


def predict(probabilities: npt.NDArray[np.float64], class_scores: npt.NDArray[np.float64], accept: float = DEFAULT_ACCEPT) -> IntArray:
    """Return the tier that is most likely needed, ``(n,)``.

    A class needs the cheapest tier whose score on it is acceptable, so that 0.96 where a cheaper tier has 0.95 is no need; a class
    that no tier solves needs the cheapest. Classes that need the same tier pool their probability. For labels that is the most
    probable label.

    Parameters
    ----------
    probabilities : (n, n_classes)
    class_scores : (n_classes, n_tiers)
        See `TierClassifier`.
    accept
        The score from which an answer is acceptable.
    """
    most_likely: IntArray = _pooled(probabilities, class_scores, accept).argmax(axis=1)
    return most_likely


def _pooled(probabilities: npt.NDArray[np.float64], class_scores: npt.NDArray[np.float64], accept: float) -> npt.NDArray[np.float64]:
    """Return the probability of each tier to be the one needed, ``(n, n_tiers)``; see `predict`."""
    pooled = np.zeros((len(probabilities), class_scores.shape[1]))
    for column, tier in enumerate((class_scores >= accept - TOLERANCE).argmax(axis=1)):
        pooled[:, tier] += probabilities[:, column]
    return pooled


def _replaced(one: Assessment, places: IntArray, other: Assessment) -> Assessment:
    """Return `one` with its rows at `places` taken from `other`."""
    embeddings, answered_by = list(one.embeddings), list(one.answered_by)
    for place, embedding, kind in zip(places.tolist(), other.embeddings, other.answered_by, strict=True):
        embeddings[place], answered_by[place] = embedding, kind
    return Assessment(
        sufficiency=_put(one.sufficiency, places, other.sufficiency),
        predicted=_put(one.predicted, places, other.predicted),
        tokens=_put(one.tokens, places, other.tokens),
        truncated=_put(one.truncated, places, other.truncated),
        unfamiliar=_put(one.unfamiliar, places, other.unfamiliar),
        probabilities=_put(one.probabilities, places, other.probabilities),
        embeddings=tuple(embeddings),
        answered_by=tuple(answered_by),
    )


def _put(one: npt.NDArray[T], places: IntArray, other: npt.NDArray[T]) -> npt.NDArray[T]:
    both = one.copy()
    both[places] = other
    return both


def label_scores(n_tiers: int) -> npt.NDArray[np.float64]:
    """Return ``class_scores`` for training on labels: a tier will do wherever it is at or above the label."""
    return np.triu(np.ones((n_tiers, n_tiers)))
