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

_BATCH = {"fp32": 32, "int8": 1}
"""Texts computed together. With int8 weights the activations are quantised too, over the whole batch: a text's vector would
depend on its neighbours (cosine down to 0.95, measured on the test split), so each is computed by itself."""


class OnnxEncoder:
    """A compiled transformer.

    One intra-op thread: for texts of this size a second thread costs more in handing over than it computes. It pickles by the
    content of its model, so it can be sent to where its folder is not.

    Parameters
    ----------
    folder
        Where ``encoder.json``, ``model.onnx`` and ``tokenizer.json`` lie.
    """

    def __init__(self, folder: Path) -> None:
        self.spec = EncoderSpec.load(folder)
        self._model: Path | bytes = folder / "model.onnx"
        try:
            self._window = TokenWindow(Tokenizer.from_file(str(folder / "tokenizer.json")), self.spec.max_tokens)
            self._session = _session(self._model)
        except Exception as error:  # both libraries raise bare Exception for files that they cannot read
            raise ArtifactError(f"{folder}: not a compiled encoder ({error})") from error
        self._batch = _BATCH.get(self.spec.precision, 1)

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickles: all but the session, and for that the model's content."""
        model = self._model if isinstance(self._model, bytes) else self._model.read_bytes()
        return {name: value for name, value in vars(self).items() if name != "_session"} | {"_model": model}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open a session on the model's content."""
        vars(self).update(state)
        self._session = _session(self._model)

    def encode(self, texts: Sequence[str]) -> tuple[FloatArray, IntArray]:
        """See `Encoder.encode`."""
        windows, lengths = self._window.read(texts)
        vectors = np.empty((len(windows), self.spec.dimension), dtype=np.float32)
        by_length = sorted(range(len(windows)), key=lambda place: len(windows[place]))  # little padding within a batch
        for start in range(0, len(by_length), self._batch):
            batch = by_length[start : start + self._batch]
            vectors[batch] = self.encode_ids([windows[place] for place in batch])
        return vectors, lengths

    def encode_ids(self, windows: Sequence[Sequence[int]]) -> FloatArray:
        """Return a vector for each list of token ids, ``(n, dimension)``, all of them computed together."""
        ids = np.zeros((len(windows), max(map(len, windows))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, window in enumerate(windows):
            ids[row, : len(window)] = window
            mask[row, : len(window)] = 1
        (vectors,) = self._session.run(["embedding"], {"input_ids": ids, "attention_mask": mask})
        return np.asarray(vectors, dtype=np.float32)


def _session(model: Path | bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
