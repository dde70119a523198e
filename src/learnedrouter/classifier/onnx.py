"""A transformer, compiled to ONNX."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from learnedrouter.classifier.encoder import EncoderSpec
from learnedrouter.classifier.features import FloatArray, IntArray
from learnedrouter.classifier.window import TokenWindow
from learnedrouter.errors import ArtifactError

_UNFUSED = ["SkipLayerNormFusion"]
"""Of onnxruntime's optimisations, those that cost time on a processor: its fused sum and norm takes twice as long as the two one
after the other, a seventh of a whole run (onnxruntime 1.32, MiniLM in int8)."""


class OnnxEncoder:
    """A compiled transformer.

    One intra-op thread: for texts of this size a second thread costs more in handing over than it computes. Each text is
    computed by itself, so that no padding has to be masked, and so that int8 weights do not make its vector depend on its
    neighbours: activations are quantised over all that is computed together. It pickles by the content of its model, so it
    can be sent to where its folder is not.

    Parameters
    ----------
    folder
        Where ``encoder.json``, ``model.onnx`` and ``tokenizer.json`` lie.
    """

    def __init__(self, folder: Path) -> None:
        self.spec = EncoderSpec.load(folder)
        self._model: Path | bytes = folder / "model.onnx"
        try:
            self.window = TokenWindow(Tokenizer.from_file(str(folder / "tokenizer.json")), self.spec.max_tokens)
            self._session = session(self._model)
        except Exception as error:  # both libraries raise bare Exception for files that they cannot read
            raise ArtifactError(f"{folder}: not a compiled encoder ({error})") from error

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickles: all but the session, and for that the model's content."""
        model = self._model if isinstance(self._model, bytes) else self._model.read_bytes()
        return {name: value for name, value in vars(self).items() if name != "_session"} | {"_model": model}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open a session on the model's content."""
        vars(self).update(state)
        self._session = session(self._model)

    def encode(self, texts: Sequence[str]) -> tuple[FloatArray, IntArray]:
        """See `Encoder.encode`."""
        windows, lengths = self.window.read(texts)
        vectors = np.empty((len(windows), self.spec.dimension), dtype=np.float32)
        for row, window in enumerate(windows):
            vectors[row] = self.encode_ids([window])
        return vectors, lengths

    def encode_ids(self, windows: Sequence[Sequence[int]]) -> FloatArray:
        """Return a vector for each list of token ids, ``(n, dimension)``; all lists are of one length."""
        (vectors,) = self._session.run(["embedding"], {"input_ids": np.array(windows, dtype=np.int64)})
        return np.asarray(vectors, dtype=np.float32)


def session(model: Path | bytes, threads: int = 1) -> onnxruntime.InferenceSession:
    """Return a session on a compiled transformer, as it serves; `threads` work on one text."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"], disabled_optimizers=_UNFUSED)
