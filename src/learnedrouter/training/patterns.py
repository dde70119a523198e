"""Outcome patterns: what the head learns to tell apart where it learns from outcomes.

No label has to be invented. The classes are the patterns of acceptable answers that occur ("only the strong model is
right", "both are", "neither is"), and a class's mean scores are its row of ``class_scores``. So a request that no tier
solves does not pull spending up, and one that only the cheap model solves is not lost.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from learnedrouter.classifier.assessment import DEFAULT_ACCEPT
from learnedrouter.classifier.features import IntArray
from learnedrouter.errors import InputError

FloatMatrix = npt.NDArray[np.float64]
BoolMatrix = npt.NDArray[np.bool_]

RARE_ROWS, RARE_SHARE = 20, 0.01
"""A pattern with fewer rows than either of these is merged into its nearest neighbour. Our choice: a handful of rows teach a
class nothing, and are soon missing from a split."""


@dataclass(frozen=True, slots=True)
class Patterns:
    """The classes that were found.

    Parameters
    ----------
    accept
        The score from which an answer counts as acceptable.
    accepted : (n_classes, n_tiers)
        The pattern that each class stands for, the commonest first.
    class_scores : (n_classes, n_tiers)
        Mean scores of the rows of each class, merged ones included.
    """

    accept: float
    accepted: BoolMatrix
    class_scores: FloatMatrix

    def classes(self, scores: FloatMatrix) -> IntArray:
        """Return the class of each row of ``(n, n_tiers)``: its own pattern, else the one that differs in the fewest tiers."""
        return _nearest(scores >= self.accept, self.accepted)


def learn(scores: FloatMatrix, accept: float = DEFAULT_ACCEPT, held_out: FloatMatrix | None = None) -> Patterns:
    """Return the patterns of `scores`; rare ones are merged.

    Parameters
    ----------
    scores : (n, n_tiers)
        Of the rows that the head will be fitted on.
    accept
        The score from which an answer counts as acceptable.
    held_out : (m, n_tiers)
        Of the rows that it will be calibrated on: a pattern that they lack counts as rare.

    Raises
    ------
    InputError
        `accept` is outside (0, 1], or there is only one pattern, so that there is nothing to tell apart.
    """
    if not 0 < accept <= 1:
        raise InputError(f"--accept {accept}: expected a score in (0, 1]")
    distinct, counts = np.unique(scores >= accept, axis=0, return_counts=True)
    enough = max(RARE_ROWS, RARE_SHARE * len(scores))
    known = distinct if held_out is None else held_out >= accept
    frequent = [
        place for place in np.argsort(-counts, kind="stable") if counts[place] >= enough and (known == distinct[place]).all(axis=1).any()
    ]
    if len(frequent) < 2:
        raise InputError(
            f"too few rows to learn from: {len(frequent)} of the {len(distinct)} patterns of acceptable answers (score {accept:g} or more) "
            f"in {len(scores)} rows occur {enough:.0f} times or more; expected at least two that do"
        )
    accepted = distinct[frequent]
    member = _nearest(scores >= accept, accepted)
    return Patterns(accept, accepted, np.stack([scores[member == label].mean(axis=0) for label in range(len(accepted))]))


def _nearest(acceptable: BoolMatrix, accepted: BoolMatrix) -> IntArray:
    differing = (acceptable[:, None, :] != accepted[None, :, :]).sum(axis=2)
    nearest: IntArray = differing.argmin(axis=1)  # at equal distance the commoner one, which comes first
    return nearest
