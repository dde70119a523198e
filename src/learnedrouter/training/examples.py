"""What there is to learn, whichever way it was told: labels and outcomes both become a `Task`, and train the same way.

Labels say which tier is the cheapest acceptable one: the classes are the tiers. Outcomes say how good each tier's answer
was: the classes are their patterns. ``class_scores`` says what a class means, and from there on nobody asks.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from learnedrouter.ask import Ask
from learnedrouter.classifier.assessment import DEFAULT_ACCEPT, label_scores
from learnedrouter.classifier.features import IntArray
from learnedrouter.classifier.model import TierClassifier
from learnedrouter.errors import DatasetError
from learnedrouter.tiers import Ladder
from learnedrouter.training import card, dataset, outcomes, patterns, quality
from learnedrouter.training.assess import assess
from learnedrouter.training.dataset import AnyRow, LabelledRow, Split
from learnedrouter.training.evaluate import Figure, evaluate
from learnedrouter.training.outcomes import OutcomeLadder, OutcomeRow
from learnedrouter.training.patterns import BoolMatrix, FloatMatrix
from learnedrouter.training.threshold import from_labels


@dataclass(frozen=True, slots=True)
class Examples:
    """Requests of one split, with what is known of them.

    Parameters
    ----------
    asks : (n,)
        What the classifier reads.
    classes : (n,)
        What the head shall predict; rows of ``class_scores``.
    acceptable : (n, n_tiers)
        Which tiers' answers are acceptable.
    groups : (n,)
        Rows of one group are never parted.
    fingerprints : (n,)
        Hashes of the whole requests.
    """

    asks: tuple[Ask, ...]
    classes: IntArray
    acceptable: BoolMatrix
    groups: tuple[str, ...]
    fingerprints: npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Findings:
    """What judging a classifier on the test split found.

    Parameters
    ----------
    figures
        By name; for the manifest.
    report
        Everything, as plain values.
    section
        The model card's, in Markdown.
    """

    figures: Mapping[str, Figure]
    report: Mapping[str, Any]
    section: str


@dataclass(frozen=True, slots=True)
class Task:
    """What to learn.

    Parameters
    ----------
    ladder
        The tiers.
    class_scores : (n_classes, n_tiers)
        How good each tier's answer is on requests of each class; see `TierClassifier`.
    parts
        The examples by split.
    judge
        Judges a classifier on the test split, with a seed for the intervals.
    about
        What the manifest says of the data.
    """

    ladder: Ladder
    class_scores: FloatMatrix
    parts: Mapping[Split, Examples]
    judge: Callable[[TierClassifier, int], Findings]
    about: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Labels:
    """Labelled data: files or folders, and the tiers that their labels name."""

    paths: tuple[Path, ...]
    ladder: Ladder

    def task(self) -> Task:
        """Return what these labels teach.

        Raises
        ------
        DatasetError
            The data cannot be used, or a split is empty.
        """
        rows = dataset.load(self.paths, self.ladder)
        parts = _split(rows, self.paths)
        told = sorted(f"{row.fingerprint:016x} {row.tier} {row.split or row.group}" for row in rows)

        def judge(classifier: TierClassifier, seed: int) -> Findings:
            report = evaluate(classifier, parts["test"], seed=seed)
            return Findings(report.figures, report.as_dict(), card.labels_section(report))

        return Task(
            ladder=self.ladder,
            class_scores=label_scores(len(self.ladder)),
            parts={name: self._examples(part) for name, part in parts.items()},
            judge=judge,
            about=_about("labels", parts, told),
        )

    def _examples(self, rows: Sequence[LabelledRow]) -> Examples:
        needed = np.array([row.tier for row in rows], dtype=np.intp)
        asks, groups = tuple(row.ask for row in rows), tuple(row.group for row in rows)
        return Examples(asks, needed, from_labels(needed, len(self.ladder)), groups, dataset.fingerprints(rows))


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Data with outcomes.

    Parameters
    ----------
    paths
        Files or folders.
    ladder
        The tiers, with the model that stands for each; None takes every model, ordered by mean score.
    accept
        The score from which an answer counts as acceptable.
    """

    paths: tuple[Path, ...]
    ladder: OutcomeLadder | None = None
    accept: float = DEFAULT_ACCEPT

    def task(self) -> Task:
        """Return what these outcomes teach; the patterns are those of the training split.

        Raises
        ------
        DatasetError
            The data cannot be used, or a split is empty.
        InputError
            There are too few rows of different patterns, or the strongest model is no better than the cheapest.
        """
        rows, ladder = outcomes.load(self.paths, self.ladder)
        parts = _split(rows, self.paths)
        scores = {name: outcomes.score_matrix(part) for name, part in parts.items()}
        quality.refuse_no_gap(scores["test"][:, 0], scores["test"][:, -1])  # now, not after the training
        known = patterns.learn(scores["train"], self.accept, scores["validation"])
        told = sorted(f"{row.fingerprint:016x} {list(row.scores)} {row.split or row.group}" for row in rows)

        def judge(classifier: TierClassifier, seed: int) -> Findings:
            assessment = assess(classifier, [row.ask for row in parts["test"]])
            report = quality.judge(assessment.believed, scores["test"], ladder.by_tier(), classifier.threshold, seed=seed)
            return Findings(
                {**report.ranking["this router"], **report.routing["this router"]}, report.as_dict(), card.outcomes_section(report)
            )

        return Task(
            ladder=ladder.ladder,
            class_scores=known.class_scores,
            parts={name: examples(part, known) for name, part in parts.items()},
            judge=judge,
            about=_about("outcomes", parts, told) | {"models": ladder.by_tier(), "accept": self.accept},
        )


def examples(rows: Sequence[OutcomeRow], known: patterns.Patterns) -> Examples:
    """Return rows with outcomes as examples of patterns."""
    scores = outcomes.score_matrix(rows)
    asks, groups = tuple(row.ask for row in rows), tuple(row.group for row in rows)
    return Examples(asks, known.classes(scores), scores >= known.accept, groups, dataset.fingerprints(rows))


def _split(rows: Sequence[AnyRow], paths: Sequence[Path]) -> dict[Split, list[AnyRow]]:
    parts = dataset.split(rows)
    for name, part in parts.items():
        if not part:
            raise DatasetError(paths[0], None, f"no row falls into the {name} split; expected at least some 20 groups of rows")
    return parts


def _about(kind: str, parts: Mapping[Split, Sequence[Any]], told: Iterable[str]) -> dict[str, Any]:
    counts: dict[str, int] = {name: len(part) for name, part in parts.items()}
    return {"kind": kind, **counts, "rows": sum(counts.values()), "sha256": hashlib.sha256("\n".join(told).encode()).hexdigest()}
