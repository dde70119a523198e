"""What the words of a request say of its class, beside what its embedding says.

An encoder that was not tuned on the labels puts "prove" near "show" and knows nothing of a team's own words. So a linear
model over the words, and the pairs of neighbouring words, gives its opinion to the head, as further columns beside the
structural features (stacked generalization: Wolpert 1992; the model is fastText's without its bottleneck: Joulin et al.
2016). A word is a run of letters and digits, or a sign by itself, as each sign of the scripts of East Asia is; what a word
is does not depend on the encoder, so all encoders have it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from learnedrouter.ask import Ask
from learnedrouter.classifier.features import FloatArray, IntArray
from learnedrouter.errors import ArtifactError

BITS = 17
BUCKETS = 1 << BITS
"""Words and pairs are known by hash (Weinberger et al. 2009, "Feature hashing"): no vocabulary is shipped, which would hold words
of the team's prompts in the clear."""

READ_CHARACTERS = 1_000
"""Of a longer text its two ends are looked at: more of it blurs the opinion (validation macro-F1 .713 with 2,000, .715 with this),
and costs time."""

_SPACE, _LETTER, _SIGN = range(3)
_KIND = np.full(128, _SIGN, dtype=np.uint8)
_KIND[[ord(sign) for sign in "abcdefghijklmnopqrstuvwxyz0123456789_'"]] = _LETTER
_KIND[:33] = _SPACE
_FROM_LATIN, _PUNCTUATION, _FROM_WIDE = 0xC0, (0x2000, 0x2070), 0x2E80
"""First code points: of letters beyond ASCII; of and after general punctuation; of the scripts of East Asia, and the emoji."""

_ODD, _MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
_POWERS = np.multiply.accumulate(np.full(READ_CHARACTERS + 1, _ODD))


@dataclass(frozen=True, slots=True)
class Wording:
    """A linear model over the words of a request.

    Parameters
    ----------
    weights : (BUCKETS, n_classes)
        In half precision, once loaded.
    offset : (n_classes,)
    """

    weights: npt.NDArray[np.floating]
    offset: FloatArray

    def opinions(self, asks: Sequence[Ask]) -> FloatArray:
        """Return the log-probabilities of the classes by their words alone, ``(n, n_classes)``."""
        logits = np.tile(self.offset, (len(asks), 1))
        for row, ask in enumerate(asks):
            if len(found := marks(ask.reading)):
                logits[row] += self.weights[found].sum(axis=0, dtype=np.float32) / np.sqrt(len(found))
        return log_shares(logits)

    def save(self, path: Path) -> None:
        """Write it as plain arrays; the weights fit into half precision."""
        np.savez_compressed(path, weights=self.weights.astype(np.float16), offset=self.offset)

    @classmethod
    def load(cls, path: Path) -> "Wording":
        """Read what `save` wrote; nothing is unpickled.

        Raises
        ------
        ArtifactError
            The file is damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                weights, offset = stored["weights"].astype(np.float16), stored["offset"].astype(np.float32)
        except Exception as error:  # a damaged archive raises whatever its bytes happen to mean
            raise ArtifactError(f"{path}: not what a wording is saved as ({type(error).__name__}: {error})") from error
        if offset.ndim != 1 or weights.shape != (BUCKETS, len(offset)) or not (np.isfinite(weights).all() and np.isfinite(offset).all()):
            raise ArtifactError(f"{path}: weights {weights.shape} and offset {offset.shape}, expected ({BUCKETS}, k) and (k,)")
        return cls(weights, offset)


def opinions(wording: Wording | None, asks: Sequence[Ask]) -> FloatArray:
    """Return the opinions of `wording`, ``(n, n_classes)``; without one, no column."""
    return wording.opinions(asks) if wording else np.empty((len(asks), 0), dtype=np.float32)


def log_shares(logits: FloatArray) -> FloatArray:
    """Return the logarithms of the softmax of each row."""
    logits = logits - logits.max(axis=1, keepdims=True)
    shares: FloatArray = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return shares


def marks(text: str) -> IntArray:
    """Return the buckets of the words of `text` and of their pairs, each once, sorted; upper and lower case are one."""
    if len(text) > READ_CHARACTERS:
        text = f"{text[: READ_CHARACTERS // 2]} {text[-READ_CHARACTERS // 2 :]}"
    codes = np.frombuffer(text.lower().encode("utf-32-le", "surrogatepass"), dtype=np.uint32)[: READ_CHARACTERS + 1].astype(np.uint64)
    kinds = _kinds(codes)
    joins = kinds == _LETTER
    begins = np.flatnonzero((kinds != _SPACE) & ~(joins & np.concatenate([[False], joins[:-1]])))
    if not len(begins):
        return np.empty(0, dtype=np.intp)
    place = np.arange(begins[0], len(codes)) - np.repeat(begins, np.diff([*begins, len(codes)]))
    signs = _mixed(codes + np.uint64(1))
    signs[kinds == _SPACE] = 0  # spaces add nothing to the word before
    words = _mixed(np.add.reduceat(signs[begins[0] :] * _POWERS[place], begins - begins[0]))
    pairs = _mixed(words[:-1] * _ODD + words[1:])
    return np.unique(np.concatenate([words, pairs]) >> np.uint64(64 - BITS)).astype(np.intp)


def _kinds(codes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    """Return what each sign is: space, part of a word, or a word by itself."""
    kinds = _KIND[np.minimum(codes, 127)]
    if (beyond := codes > 127).any():
        first, after = _PUNCTUATION
        letters = (codes >= _FROM_LATIN) & (codes < _FROM_WIDE) & ((codes < first) | (codes >= after))
        kinds[beyond] = np.where(letters[beyond], _LETTER, _SIGN)
    return kinds


def _mixed(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return hashes whose high bits depend on all bits of those given (the finaliser of MurmurHash3, shortened)."""
    hashes = (hashes ^ (hashes >> np.uint64(29))) * _MIX
    return hashes ^ (hashes >> np.uint64(32))
