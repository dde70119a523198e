"""The trained classifier: asks in, class probabilities and sufficiency out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from learnedrouter.ask import Ask
from learnedrouter.classifier.assessment import DEFAULT_ACCEPT, Assessment, Glance, needed, pool
from learnedrouter.classifier.encoder import Encoder
from learnedrouter.classifier.familiarity import Familiarity
from learnedrouter.classifier.features import FloatArray, structural
from learnedrouter.classifier.wording import Wording, opinions
from learnedrouter.tiers import Ladder


class Head(Protocol):
    """A fitted, calibrated scikit-learn classifier."""

    def predict_proba(self, features: FloatArray) -> npt.NDArray[np.float64]:
        """Return class probabilities, ``(n, n_classes)``, for features ``(n, n_features)``."""


@dataclass(frozen=True, slots=True)
class FirstStage:
    """The cheap half of a cascade: it answers where it is sure, and has a say where the classifier's own encoder answers.

    Parameters
    ----------
    encoder, head
        Its own.
    switch
        It is sure where the probability of its predicted tier is at least this; `training.cascade` solves for it.
    weight
        Of its opinion where it is not sure, in [0, 1], that of the classifier's own head being the rest; `training.cascade` fits it.
    """

    encoder: Encoder
    head: Head
    switch: float
    weight: float = 0.0


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
        first = self.assess_first(asks, glance)
        left = np.flatnonzero(first.surety < self.first.switch)
        if not len(left):
            return first
        return first.replaced(left, self.assess_last([asks[place] for place in left.tolist()], glance.after(first)[left]))

    def glance(self, asks: Sequence[Ask]) -> Glance:
        """Return what is seen of `asks` without an encoder."""
        beside = np.hstack([structural(asks), opinions(self.wording, asks)])
        unfamiliar = self.familiarity.unfamiliar(asks) if self.familiarity else np.zeros(len(asks), dtype=np.bool_)
        return Glance(beside, unfamiliar, np.empty((len(asks), 0)))

    def assess_first(self, asks: Sequence[Ask], glance: Glance) -> Assessment:
        """Return what the first stage holds of `asks`; it is sure where `Assessment.surety` reaches its switch point.

        Raises
        ------
        ValueError
            There is no first stage.
        """
        if self.first is None:
            raise ValueError("no cascade: there is no first stage to ask")
        return self._assess_with(self.first.encoder, self.first.head, asks, glance)

    def assess_last(self, asks: Sequence[Ask], glance: Glance) -> Assessment:
        """Return what the classifier's own encoder and head hold of `asks`, the first stage's opinion taken in where `glance` has it."""
        last = self._assess_with(self.encoder, self.head, asks, glance)
        return self.joined(glance.first, last, self.first.weight) if self.first and glance.first.size else last

    def joined(self, first: npt.NDArray[np.float64], last: Assessment, weight: float) -> Assessment:
        """Return `last` with the probabilities of both stages pooled.

        Parameters
        ----------
        first : (n, n_classes)
            The first stage's probabilities.
        weight
            Of the first stage's; see `pool`.
        """
        return self.holding(last, pool(first, last.probabilities, weight))

    def holding(self, assessment: Assessment, probabilities: npt.NDArray[np.float64]) -> Assessment:
        """Return `assessment` with these probabilities, ``(n, n_classes)``, in place of its own."""
        by_tier = needed(probabilities, self.class_scores, self.accept)
        return replace(assessment, sufficiency=probabilities @ self.class_scores, probabilities=probabilities, needed=by_tier)

    def _assess_with(self, encoder: Encoder, head: Head, asks: Sequence[Ask], glance: Glance) -> Assessment:
        """Return what one encoder and its head hold of `asks`."""
        embeddings, lengths = encoder.encode([ask.reading for ask in asks])
        probabilities = head.predict_proba(np.hstack([embeddings, glance.beside]))
        cut = np.array([ask.truncated for ask in asks], dtype=np.bool_)
        whole = np.array([ask.characters / max(len(ask.text), 1) for ask in asks])
        return Assessment(
            sufficiency=probabilities @ self.class_scores,
            tokens=np.rint(lengths * whole).astype(np.intp),  # counted on what was kept, scaled to what there was
            truncated=cut | (lengths > encoder.spec.max_tokens),
            unfamiliar=glance.unfamiliar,
            probabilities=probabilities,
            needed=needed(probabilities, self.class_scores, self.accept),
            embeddings=tuple(embeddings),
            answered_by=(encoder.spec.kind,) * len(asks),
        )
