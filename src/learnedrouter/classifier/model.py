"""The trained classifier: asks in, class probabilities and sufficiency out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from learnedrouter.ask import Ask
from learnedrouter.classifier.encoder import Encoder
from learnedrouter.classifier.familiarity import Familiarity
from learnedrouter.classifier.features import FloatArray, IntArray, join, structural
from learnedrouter.tiers import TOLERANCE, Ladder

DEFAULT_ACCEPT = 0.5
"""The score from which an answer counts as acceptable: for right or wrong any value will do."""


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
    embeddings : (n, dimension)
        What the encoder made of the asks, for whoever keeps them.
    """

    sufficiency: npt.NDArray[np.float64]
    predicted: IntArray
    tokens: IntArray
    truncated: npt.NDArray[np.bool_]
    unfamiliar: npt.NDArray[np.bool_]
    probabilities: npt.NDArray[np.float64]
    embeddings: FloatArray

    @property
    def believed(self) -> npt.NDArray[np.float64]:
        """Sufficiency as routing believes it, ``(n, n_tiers)``.

        That of an unfamiliar request is no evidence: it goes to the highest tier that is allowed. So its tiers stand apart by
        more than any threshold forgives.
        """
        climbing = 2.0 * np.arange(self.sufficiency.shape[1])
        return np.where(self.unfamiliar[:, None], climbing, self.sufficiency)


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
        Fitted on embeddings joined with structural features.
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
    """

    ladder: Ladder
    encoder: Encoder
    head: Head
    class_scores: npt.NDArray[np.float64]
    threshold: float
    name: str
    familiarity: Familiarity | None = None
    accept: float = DEFAULT_ACCEPT

    def assess(self, asks: Sequence[Ask]) -> Assessment:
        """Return what the classifier holds of `asks`; blocks for as long as the encoder takes."""
        embeddings, lengths = self.encoder.encode([ask.reading for ask in asks])
        return self.judge(asks, embeddings, lengths)

    def judge(self, asks: Sequence[Ask], embeddings: FloatArray, lengths: IntArray) -> Assessment:
        """Return what the classifier holds of `asks` that its encoder has embedded, see `Encoder.encode`."""
        probabilities = self.head.predict_proba(join(embeddings, structural(asks)))
        cut = np.array([ask.truncated for ask in asks], dtype=np.bool_)
        whole = np.array([ask.characters / max(len(ask.text), 1) for ask in asks])
        return Assessment(
            sufficiency=probabilities @ self.class_scores,
            predicted=predict(probabilities, self.class_scores, self.accept),
            tokens=np.rint(lengths * whole).astype(np.intp),  # counted on what was kept, scaled to what there was
            truncated=cut | (lengths > self.encoder.max_tokens),
            unfamiliar=self.familiarity.unfamiliar(asks) if self.familiarity else np.zeros(len(asks), dtype=np.bool_),
            probabilities=probabilities,
            embeddings=embeddings,
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
    needed = (class_scores >= accept - TOLERANCE).argmax(axis=1)
    pooled = np.zeros((len(probabilities), class_scores.shape[1]))
    for column, tier in enumerate(needed):
        pooled[:, tier] += probabilities[:, column]
    most_likely: IntArray = pooled.argmax(axis=1)
    return most_likely


def label_scores(n_tiers: int) -> npt.NDArray[np.float64]:
    """Return ``class_scores`` for training on labels: a tier will do wherever it is at or above the label."""
    return np.triu(np.ones((n_tiers, n_tiers)))
