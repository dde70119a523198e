"""Rows that lie close to each other, as the encoder sees them: all pairs over a limit, or the closest pairs of a kind."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from learnedrouter.classifier.features import FloatArray, IntArray

NEAR = 0.92
"""Cosine above which two requests are near-duplicates, with the default encoder (all-MiniLM-L6-v2)."""

_CELLS = 2**23
"""Of the similarity matrix that are in memory at once: 32 MiB in float32."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two rows by their places, `first` before `second`, and the cosine between them."""

    first: int
    second: int
    cosine: float


def near_pairs(embeddings: FloatArray, limit: float = NEAR) -> list[Pair]:
    """Return every pair whose cosine is over `limit`, the closest first.

    Parameters
    ----------
    embeddings : (n, d)
        Of unit length.
    """
    found: list[Pair] = []
    for start, cosines in _upper_rows(embeddings):
        rows, columns = np.nonzero(cosines > limit)
        found.extend(map(Pair, (rows + start).tolist(), (columns + start).tolist(), cosines[rows, columns].tolist()))
    return sorted(found, key=lambda pair: -pair.cosine)


def closest_differing(embeddings: FloatArray, labels: IntArray, groups: IntArray, count: int) -> list[Pair]:
    """Return the `count` closest pairs of rows that differ in label and are of different groups, the closest first.

    Parameters
    ----------
    embeddings : (n, d)
        Of unit length.
    labels, groups : (n,)
        Equal numbers for equal labels and groups.
    """
    found: list[Pair] = []
    for start, cosines in _upper_rows(embeddings):
        stop = start + len(cosines)
        alike = (labels[start:stop, None] == labels[None, start:]) | (groups[start:stop, None] == groups[None, start:])
        cosines[alike] = -2.0
        kept = np.argsort(cosines, axis=None)[-count:]
        rows, columns = np.unravel_index(kept, cosines.shape)
        found.extend(map(Pair, (rows + start).tolist(), (columns + start).tolist(), cosines[rows, columns].tolist()))
        found = sorted((pair for pair in found if pair.cosine >= -1.5), key=lambda pair: -pair.cosine)[:count]
    return found


def _upper_rows(embeddings: FloatArray) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """Yield chunks of the upper triangle of the similarity matrix: the first row, and ``(chunk, n - first row)`` cosines.

    What is on or under the diagonal is -2, which no cosine is.
    """
    rows = max(_CELLS // max(len(embeddings), 1), 1)
    for start in range(0, len(embeddings), rows):
        chunk = embeddings[start : start + rows]
        cosines = chunk @ embeddings[start:].T
        cosines[np.tril_indices(len(chunk))] = -2.0
        yield start, cosines
