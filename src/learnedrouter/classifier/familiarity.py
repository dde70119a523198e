"""Whether a request looks like anything that the classifier has learned from.

The measure is the shape of the text, not its meaning: how rare its runs of two and three signs are among the training rows, and which
kinds of signs it is made of, over a density fitted to the training rows (Gaussian mixture). Base64, hex dumps, stacks of numbers,
alphabets that training never saw and mash on the keyboard lie far outside. It needs no encoder, so it is the same for all.

Distances of the embedding (Mahalanobis, relative Mahalanobis, nearest neighbours, k-means) were compared and find a third of such
inputs at most, at the same rate of false alarms: an encoder maps what it cannot read to the middle of what it knows. What this does
not see is a new *topic* in familiar words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from learnedrouter.ask import Ask
from learnedrouter.errors import ArtifactError

FloatMatrix = npt.NDArray[np.float64]
Codes = npt.NDArray[np.uint32]

BUCKETS = 1 << 16
"""Runs of signs are counted by hash; collisions only make a text look more familiar than it is."""

READ_CHARACTERS = 2_000
"""Of a longer text its two ends are looked at: enough to know its shape, and as quick as a short one."""

SHORTEST = 4
"""A shorter text ("hi", "120") has no shape, and is never unfamiliar."""

SHAPE = (
    "rare_pairs", "rare_triples", "rare_words", "very_rare_pairs",
    "log_characters", "upper", "lower", "digits", "spaces", "foreign", "signs", "wide",
    "log_longest_run", "log_mean_run", "entropy", "vowels",
)  # fmt: skip
"""What a text's shape is: rarity of its runs, shares of its kinds of signs, lengths of its words, and how evenly it uses its signs."""

_UPPER, _LOWER, _VOWEL, _DIGIT, _SPACE, _SIGN, _FOREIGN, _WIDE = range(8)
_WIDE_FROM = 0x2E80
"""From here on lie the scripts of East Asia, and the emoji."""

_KIND = np.full(129, _SIGN, dtype=np.uint8)
for _signs, _kind in (
    ("ABCDEFGHIJKLMNOPQRSTUVWXYZ", _UPPER),
    ("bcdfghjklmnpqrstvwxyz", _LOWER),
    ("aeiou", _VOWEL),
    ("0123456789", _DIGIT),
    (" \t\n\r", _SPACE),
):
    _KIND[[ord(sign) for sign in _signs]] = _kind
_KIND[128] = _FOREIGN
_FOLDED = np.arange(129, dtype=np.uint32)
_FOLDED[65:91] += 32
_FOLDED[48:58] = 48


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of two and of three signs of a text, as buckets, with letters in lower case and all digits alike.

    Parameters
    ----------
    pairs : (n - 1,)
    triples : (n - 2,)
    words : (n - 2,)
        Which triples are of Latin letters and spaces alone.
    """

    pairs: npt.NDArray[np.intp]
    triples: npt.NDArray[np.intp]
    words: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Familiarity:
    """What familiar requests look like.

    Parameters
    ----------
    rarity : (2, BUCKETS)
        Negative log share of the training rows that hold a pair, or a triple.
    centre, scale : (k,)
        Mean and standard deviation of the training rows' shapes.
    log_weights, means, cholesky : (m,), (m, k), (m, k, k)
        The mixture: weights, means, and Cholesky factors of the precisions.
    cutoff
        A text whose distance is above is unfamiliar.
    """

    rarity: npt.NDArray[np.float32]
    centre: FloatMatrix
    scale: FloatMatrix
    log_weights: FloatMatrix
    means: FloatMatrix
    cholesky: FloatMatrix
    cutoff: float

    def distances(self, asks: Sequence[Ask]) -> FloatMatrix:
        """Return how unlike the training rows asks are, ``(n,)``: the negative log density of their shapes."""
        shapes = np.array([shape(ask.text, self.rarity) for ask in asks]).reshape(len(asks), len(SHAPE))
        scaled = (shapes - self.centre) / self.scale
        away = (scaled - self.means[:, None]) @ self.cholesky  # (m, n, k)
        volumes = np.log(np.diagonal(self.cholesky, axis1=1, axis2=2)).sum(axis=1)
        logs = (self.log_weights + volumes)[:, None] - 0.5 * np.square(away).sum(axis=2)
        peak = logs.max(axis=0)
        found: FloatMatrix = -(peak + np.log(np.exp(logs - peak).sum(axis=0)))
        return found

    def unfamiliar(self, asks: Sequence[Ask]) -> npt.NDArray[np.bool_]:
        """Return which asks are unlike everything in training, ``(n,)``."""
        told = np.array([len(ask.text) >= SHORTEST for ask in asks], dtype=np.bool_)
        found: npt.NDArray[np.bool_] = told & (self.distances(asks) > self.cutoff)
        return found

    def save(self, path: Path) -> None:
        """Write it as plain arrays."""
        arrays = {name: np.asarray(getattr(self, name)) for name in self.__slots__}
        np.savez_compressed(path, **(arrays | {"rarity": self.rarity.astype(np.float16)}))  # type: ignore[arg-type]  # numpy's stub takes a flag

    @classmethod
    def load(cls, path: Path) -> "Familiarity":
        """Read what `save` wrote; nothing is unpickled.

        Raises
        ------
        ArtifactError
            The file is damaged, or made for other features.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in cls.__slots__}
        except Exception as error:  # a damaged archive raises whatever its bytes happen to mean
            raise ArtifactError(f"{path}: not what a familiarity is saved as ({type(error).__name__}: {error})") from error
        parts, width = len(arrays["means"]), len(SHAPE)
        expected = {"rarity": (2, BUCKETS), "centre": (width,), "scale": (width,), "log_weights": (parts,)}
        expected |= {"means": (parts, width), "cholesky": (parts, width, width), "cutoff": ()}
        if wrong := [name for name, size in expected.items() if arrays[name].shape != size]:
            raise ArtifactError(f"{path}: {wrong[0]} has the shape {arrays[wrong[0]].shape}, expected {expected[wrong[0]]}")
        return cls(**(arrays | {"rarity": arrays["rarity"].astype(np.float32), "cutoff": float(arrays["cutoff"])}))


def runs(text: str) -> tuple[Codes, Runs]:
    """Return the code points that are looked at, and their runs."""
    if len(text) > READ_CHARACTERS:
        text = text[: READ_CHARACTERS // 2] + text[-READ_CHARACTERS // 2 :]
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    folded = np.where(codes < 128, _FOLDED[np.minimum(codes, 128)], codes).astype(np.uint64)
    pairs = (folded[:-1] * np.uint64(2654435761) + folded[1:] * np.uint64(40503)) >> np.uint64(7)
    triples = (folded[:-2] * np.uint64(2654435761) + folded[1:-1] * np.uint64(40503) + folded[2:] * np.uint64(97)) >> np.uint64(5)
    latin = ((folded >= 97) & (folded <= 122)) | (folded == 32)
    mask = np.uint64(BUCKETS - 1)
    return codes, Runs((pairs & mask).astype(np.intp), (triples & mask).astype(np.intp), latin[:-2] & latin[1:-1] & latin[2:])


def shape(text: str, rarity: npt.NDArray[np.float32]) -> list[float]:
    """Return the shape of a text, in the order of `SHAPE`; `rarity` as in `Familiarity`."""
    codes, found = runs(text)
    count = max(len(codes), 1)
    pairs, triples = rarity[0][found.pairs], rarity[1][found.triples]
    kinds = _KIND[np.minimum(codes, 128)]
    kinds[codes >= _WIDE_FROM] = _WIDE
    upper, lower, vowels, digits, spaces, signs, foreign, wide = (np.bincount(kinds, minlength=8) / count).tolist()
    gaps = np.concatenate([[-1], np.flatnonzero(kinds == _SPACE), [len(codes)]])
    words = np.diff(gaps) - 1
    spread = np.bincount(codes % 1021) / count
    spread = spread[spread > 0]
    return [
        _mean(pairs), _mean(triples), _mean(triples[found.words]), float((pairs > _VERY_RARE).mean()) if len(pairs) else 0.0,
        float(np.log1p(count)), upper, lower + vowels, digits, spaces, foreign + wide, signs, wide,
        float(np.log1p(words.max())), float(np.log1p(words.sum() / max((words > 0).sum(), 1))),
        float(-(spread * np.log(spread)).sum() / np.log1p(count)), vowels / max(lower + vowels, 1e-9),
    ]  # fmt: skip


_VERY_RARE = 5.0
"""Rarer than one row in 150."""

_NO_RUN = 4.0
"""Stands for the rarity of runs where a text has none: that of a run in one row of fifty, neither here nor there."""


def _mean(rarities: npt.NDArray[np.float32]) -> float:
    return float(rarities.mean()) if len(rarities) else _NO_RUN
