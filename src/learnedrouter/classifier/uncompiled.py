"""The fallback for sentence-transformers models that cannot be compiled: served as they are, through torch.

Slow to start, slow to decide, and heavy; it needs the extra ``train`` installed where it serves. Better than no choice.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from learnedrouter.classifier.encoder import EncoderSpec
from learnedrouter.classifier.features import FloatArray, IntArray
from learnedrouter.errors import ArtifactError

MODEL = "model"
"""Folder of the model, within the encoder's."""


class UncompiledEncoder:
    """A sentence-transformers model.

    Parameters
    ----------
    folder
        Where ``encoder.json`` lies, and the model in ``model/``.
    """

    def __init__(self, folder: Path) -> None:
        self.spec = EncoderSpec.load(folder)
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise ArtifactError(
                f"{folder}: {self.spec.source!r} was not compiled and needs torch to serve; "
                "install it with: pip install 'learnedrouter[train]', or train with an encoder that compiles"
            ) from error
        try:
            self._model = SentenceTransformer(str(folder / MODEL), device="cpu", local_files_only=True)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ArtifactError(f"{folder}: not a sentence-transformers model ({error})") from error
        with suppress(AttributeError):  # a model that is no transformer may read everything, and cannot be told otherwise
            self._model.max_seq_length = self.spec.max_tokens

    def encode(self, texts: Sequence[str]) -> tuple[FloatArray, IntArray]:
        """See `Encoder.encode`; of a long text the model reads the head alone, and its length is given as what was read."""
        vectors = self._model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        features = self._model.preprocess(list(texts))
        mask = features.get("attention_mask")
        lengths = mask.sum(dim=1).numpy() if mask is not None else np.array([len(text.split()) for text in texts])
        return np.asarray(vectors, dtype=np.float32).reshape(len(texts), -1), lengths.astype(np.intp)
