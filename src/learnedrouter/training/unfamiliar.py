"""Fitting what familiar requests look like; see `classifier.familiarity` for what is measured, and why."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from learnedrouter.ask import Ask
from learnedrouter.classifier.familiarity import BUCKETS, Familiarity, runs, shape

FALSE_ALARMS = 0.01
"""Share of requests like the held-out ones that may be called unfamiliar. Our choice: they all go to the top tier, so it is
also the most that the detector adds to the bill."""

COMPONENTS = 3
"""Of the mixture: on the shipped data three and four find most, one, two and six less."""

FITTED_ROWS = 10_000
"""Of more rows, so many drawn ones fit the mixture as well."""


def fit(train: Sequence[Ask], held_out: Sequence[Ask], seed: int) -> Familiarity:
    """Return what requests like `train` look like; the cut-off is the quantile of `held_out` that keeps `FALSE_ALARMS`.

    The quantile is that of split conformal prediction (Vovk et al. 2005; Bates et al. 2023, "Testing for outliers with conformal
    p-values", section 2): a new request from the same source is called unfamiliar with at most that probability.
    """
    drawn = np.random.default_rng(seed).permutation(len(train))[:FITTED_ROWS].tolist()
    texts = [train[place].text for place in drawn]
    counts = np.zeros((2, BUCKETS))
    for text in texts:
        _, found = runs(text)
        counts[0, np.unique(found.pairs)] += 1
        counts[1, np.unique(found.triples)] += 1
    rarity = -np.log((counts + 0.1) / (len(texts) + 0.2)).astype(np.float32)
    rarity = rarity.astype(np.float16).astype(np.float32)  # as it will be stored
    shapes = np.array([shape(text, rarity) for text in texts])
    scaler = StandardScaler().fit(shapes)
    with threadpool_limits(1):
        parts = max(1, min(COMPONENTS, len(texts) // 50))
        mixture = GaussianMixture(parts, reg_covar=1e-3, n_init=2, random_state=seed).fit(scaler.transform(shapes))
    fitted = Familiarity(
        rarity=rarity,
        centre=scaler.mean_,
        scale=scaler.scale_,
        log_weights=np.log(mixture.weights_),
        means=mixture.means_,
        cholesky=mixture.precisions_cholesky_,
        cutoff=np.inf,
    )
    distances = np.sort(fitted.distances(held_out))
    place = int(np.ceil((len(distances) + 1) * (1 - FALSE_ALARMS))) - 1
    cutoff = float(distances[place]) if place < len(distances) else np.inf
    return replace(fitted, cutoff=cutoff)
