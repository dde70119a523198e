"""A static encoder: a vector for each token, and their mean.

The files are model2vec's: a matrix of token vectors in ``model.safetensors``, and a tokenizer. They are read here and not by
model2vec because its ``encode`` changes its tokenizer's settings while it runs, so it is not safe to call from two threads;
it keeps no tail of a long text; and it does not say how long a text was.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from learnedrouter.classifier.encoder import EncoderSpec
from learnedrouter.classifier.features import FloatArray, IntArray
from learnedrouter.classifier.window import TokenWindow
from learnedrouter.errors import ArtifactError

WEIGHTS = "model.safetensors"


class StaticEncoder:
    """Token vectors, averaged.

    Parameters
    ----------
    folder
        Where ``encoder.json``, ``model.safetensors`` and ``tokenizer.json`` lie.
    """

    def __init__(self, folder: Path) -> None:
        self.spec = EncoderSpec.load(folder)
        try:
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self._vectors = load_file(folder / WEIGHTS)["embeddings"]
        except Exception as error:  # both libraries raise bare Exception for files that they cannot read
            raise ArtifactError(f"{folder}: not a static encoder ({error})") from error
        if self._vectors.shape != (tokenizer.get_vocab_size(), self.spec.dimension):
            raise ArtifactError(
                f"{folder / WEIGHTS}: holds {self._vectors.shape}, "
                f"expected {tokenizer.get_vocab_size()} token vectors of {self.spec.dimension} dimensions"
            )
        self._window = TokenWindow(tokenizer, self.spec.max_tokens)

    def encode(self, texts: Sequence[str]) -> tuple[FloatArray, IntArray]:
        """See `Encoder.encode`; a text without any token has the vector 0."""
        windows, lengths = self._window.read(texts)
        vectors = np.zeros((len(windows), self.spec.dimension), dtype=np.float32)
        for row, window in enumerate(windows):
            if window:
                mean = self._vectors[window].sum(axis=0, dtype=np.float32)  # normalised below, so the sum does for the mean
                vectors[row] = mean / max(float(np.sqrt(mean @ mean)), 1e-12)
        return vectors, lengths
