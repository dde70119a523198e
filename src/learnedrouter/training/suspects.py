"""Labels that a model trained without them strongly disagrees with.

Known limits: a whole family that is labelled wrongly throughout agrees with itself and is not found; rare kinds of
requests are suspected oftener than common ones. A suspect is a row to look at again, no more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from threadpoolctl import threadpool_limits

from learnedrouter.classifier.features import FloatArray, structural
from learnedrouter.errors import InputError
from learnedrouter.training.dataset import LabelledRow
from learnedrouter.training.fit import FOR_FROZEN, make_head

SUSPICIOUS = 0.05
"""A label is suspicious where the model gives all of the acceptable tiers together less than this."""

FOLDS = 5


@dataclass(frozen=True, slots=True)
class Suspect:
    """A row by its place, the tier that the model gives it, that tier's probability, and the label's."""

    row: int
    predicted: int
    predicted_probability: float
    own_probability: float


def suspects(rows: Sequence[LabelledRow], embeddings: FloatArray, seed: int = 0) -> list[Suspect]:
    """Return the rows whose label is suspicious, the most suspicious first.

    Each row is judged by a head that was fitted on the other groups (five folds): a head as in training, but without the words, and
    not calibrated.

    Parameters
    ----------
    embeddings : (n, d)
        Of the rows' asks.

    Raises
    ------
    InputError
        There are too few rows to cross-validate.
    """
    groups = [row.group for row in rows]
    fewest = min(len({row.group for row in rows if row.tier == tier}) for tier in {row.tier for row in rows})
    if fewest < FOLDS:
        raise InputError(f"too few rows: a tier has {fewest} groups; expected at least {FOLDS} of each tier")
    features = np.hstack([embeddings, structural([row.ask for row in rows])])
    tiers = np.array([row.tier for row in rows], dtype=np.intp)
    names = np.unique(tiers).tolist()
    columns = {tier: column for column, tier in enumerate(names)}
    head = make_head(embeddings.shape[1], FOR_FROZEN, seed)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    with threadpool_limits(1):  # matrices this small are multiplied faster by one thread than by several
        probabilities = cross_val_predict(head, features, tiers, groups=groups, cv=folds, method="predict_proba")
    found = []
    for place, (row, given) in enumerate(zip(rows, probabilities, strict=True)):
        own = float(sum(given[columns[tier]] for tier in row.acceptable if tier in columns))
        if own < SUSPICIOUS:
            best = int(given.argmax())
            found.append(Suspect(place, names[best], float(given[best]), own))
    return sorted(found, key=lambda suspect: suspect.own_probability)
