"""Data that an artefact has not seen, to judge it on and to solve its threshold with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from learnedrouter.ask import Ask
from learnedrouter.classifier import artifact
from learnedrouter.classifier.assessment import DEFAULT_ACCEPT
from learnedrouter.classifier.model import TierClassifier
from learnedrouter.errors import DatasetError, InputError
from learnedrouter.tiers import Ladder
from learnedrouter.training import dataset, outcomes, quality
from learnedrouter.training.assess import assess
from learnedrouter.training.dataset import AnyRow
from learnedrouter.training.examples import Labels, Outcomes
from learnedrouter.training.outcomes import OutcomeLadder
from learnedrouter.training.patterns import BoolMatrix
from learnedrouter.training.quality import OutcomeReport
from learnedrouter.training.threshold import from_labels


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Requests that an artefact has not seen.

    Parameters
    ----------
    asks : (n,)
        What the classifier reads.
    acceptable : (n, n_tiers)
        Which tiers' answers are acceptable.
    fingerprints : (n,)
        Hashes of the whole requests.
    """

    asks: tuple[Ask, ...]
    acceptable: BoolMatrix
    fingerprints: npt.NDArray[np.uint64]


def unseen(rows: Sequence[AnyRow], folder: Path) -> list[AnyRow]:
    """Return the rows that the artefact in `folder` was neither fitted nor tuned on: good to judge it on.

    Raises
    ------
    DatasetError
        None is left.
    """
    return _without(rows, np.concatenate([artifact.load_seen(folder), artifact.load_tuned(folder)]), folder)


def _without(rows: Sequence[AnyRow], seen: npt.NDArray[np.uint64], folder: Path) -> list[AnyRow]:
    known = np.isin(dataset.fingerprints(rows), seen)
    left = [row for row, seen in zip(rows, known.tolist(), strict=True) if not seen]
    if not left:
        raise DatasetError(rows[0].where.rpartition(":")[0], None, f"{folder} was trained on every row; expected rows that it has not seen")
    return left


def held_out(folder: Path, classifier: TierClassifier, source: Labels | Outcomes) -> HeldOut:
    """Return what of `source` the artefact in `folder` was not fitted on: good to solve its threshold with, be it once more.

    Raises
    ------
    InputError
        The data cannot be used, or outcomes are not of all the tiers of the artefact's ladder.
    """
    if isinstance(source, Labels):
        labelled = _without(dataset.load(source.paths, source.ladder), artifact.load_seen(folder), folder)
        needed = np.array([row.tier for row in labelled], dtype=np.intp)
        acceptable = from_labels(needed, len(classifier.ladder))
        return HeldOut(tuple(row.ask for row in labelled), acceptable, dataset.fingerprints(labelled))
    ladder = outcome_ladder(folder, classifier.ladder, source.ladder)
    if ladder.ladder != classifier.ladder:
        missing = sorted(set(classifier.ladder.names) - set(ladder.ladder.names))
        raise InputError(f"--ladder: names no model for {', '.join(missing)}; to solve a threshold, every tier of {folder} needs one")
    rows = _without(outcomes.load(source.paths, ladder)[0], artifact.load_seen(folder), folder)
    return HeldOut(tuple(row.ask for row in rows), outcomes.score_matrix(rows) >= source.accept, dataset.fingerprints(rows))


def judge_on_outcomes(folder: Path, classifier: TierClassifier, source: Outcomes, *, seed: int = 0) -> tuple[OutcomeReport, int]:
    """Judge the `classifier` of the artefact in `folder` on the rows that it has not seen; return also how many others were left out.

    Where the ladder of `source` names some of the artefact's tiers only, those alone are routed to.

    Raises
    ------
    InputError
        The data cannot be used, or it is not known which model stands for which tier.
    """
    ladder = outcome_ladder(folder, classifier.ladder, source.ladder)
    rows, _ = outcomes.load(source.paths, ladder)
    left = unseen(rows, folder)
    columns = [classifier.ladder.index(tier) for tier in ladder.ladder.names]
    believed = assess(classifier, [row.ask for row in left]).believed[:, columns]
    report = quality.judge(believed, outcomes.score_matrix(left), ladder.by_tier(), classifier.threshold, seed=seed)
    return report, len(rows) - len(left)


def outcome_ladder(folder: Path, ladder: Ladder, given: OutcomeLadder | None) -> OutcomeLadder:
    """Return which model stands for which tier of an artefact: what was `given`, else what it was trained with.

    Raises
    ------
    InputError
        Neither says so, or `given` names tiers that the artefact lacks, or in another order.
    """
    if given is None:
        models = artifact.read_manifest(folder).data.get("models")
        if not models:
            raise InputError(f"{folder}: was trained on labels, so it knows no models; expected --ladder TIER=MODEL,TIER=MODEL")
        return OutcomeLadder(ladder, tuple(models[tier] for tier in ladder.names))
    places = [ladder.index(tier) for tier in given.ladder.names]
    if places != sorted(places):
        raise InputError(f"--ladder: the tiers {', '.join(given.ladder.names)} are not in the order of {folder}: {', '.join(ladder.names)}")
    return given


def accepted_from(folder: Path) -> float:
    """Return the score from which an outcome counted as acceptable where the artefact in `folder` was trained."""
    return float(artifact.read_manifest(folder).data.get("accept", DEFAULT_ACCEPT))
