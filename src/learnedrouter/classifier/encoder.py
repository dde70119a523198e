"""Sentence encoders as they serve: compiled, and without torch.

An encoder is a folder: ``encoder.json`` says what it is, ``model.onnx`` and ``tokenizer.json`` are the weights and the
vocabulary. `training.compile` makes it from a sentence-transformers model.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime
from tokenizers import Encoding, Tokenizer

from learnedrouter.classifier.features import FloatArray, IntArray
from learnedrouter.errors import ArtifactError

_BATCH = 32


class Encoder(Protocol):
    """Turns texts into unit vectors."""

    @property
    def dimension(self) -> int:
        """Length of the vectors."""

    @property
    def max_tokens(self) -> int:
        """What it reads of a text, special tokens included; of a longer one, the head and the tail."""

    def encode(self, texts: Sequence[str]) -> tuple[FloatArray, IntArray]:
        """Return a vector a text, ``(n, dimension)``, and the texts' lengths in tokens before any cut, ``(n,)``.

        Safe to call from several threads.
        """


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """What ``encoder.json`` holds.

    Parameters
    ----------
    kind
        How the encoder was compiled: ``onnx``.
    source
        The sentence-transformers model that it was compiled from.
    dimension
        Length of its vectors.
    max_tokens
        What it reads of a text, special tokens included; of a longer one, the head and the tail.
    precision
        ``fp32`` or ``int8``.
    """

    kind: str
    source: str
    dimension: int
    max_tokens: int
    precision: str

    def save(self, folder: Path) -> None:
        """Write ``encoder.json``."""
        (folder / "encoder.json").write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "EncoderSpec":
        """Read ``encoder.json``.

        Raises
        ------
        ArtifactError
            It is missing, or does not say what it must.
        """
        try:
            return cls(**json.loads((folder / "encoder.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise ArtifactError(f"{folder / 'encoder.json'}: not a description of an encoder ({error})") from error


class TokenWindow:
    """What an encoder sees of a text: all of it, or its head and its tail.

    Parameters
    ----------
    tokenizer
        The encoder's own; its truncation and padding are switched off.
    max_tokens
        Size of the window, special tokens included.
    """

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer, self.max_tokens = tokenizer, max_tokens

    def read(self, texts: Sequence[str]) -> tuple[list[list[int]], IntArray]:
        """Return the token ids in the window for each text, and the texts' lengths in tokens before any cut, ``(n,)``."""
        encodings = self._tokenizer.encode_batch(list(texts))
        windows = [
            encoding.ids if len(encoding) <= self.max_tokens else self._tokenizer.encode(self._cut(text, encoding)).ids
            for text, encoding in zip(texts, encodings, strict=True)
        ]
        return windows, np.array([len(encoding) for encoding in encodings], dtype=np.intp)

    def shorten(self, text: str) -> str:
        """Return the part of `text` that fits into the window."""
        encoding = self._tokenizer.encode(text)
        return text if len(encoding) <= self.max_tokens else self._cut(text, encoding)

    def _cut(self, text: str, encoding: Encoding) -> str:
        special = encoding.special_tokens_mask
        spans = [span for span, is_special in zip(encoding.offsets, special, strict=True) if not is_special]
        for kept in range(self.max_tokens - sum(special), 1, -1):  # the seam may be cut into more tokens: then one less is kept
            head, tail = kept // 2, kept - kept // 2
            shorter = f"{text[: spans[head - 1][1]]}\n{text[spans[-tail][0] :]}"
            if len(self._tokenizer.encode(shorter)) <= self.max_tokens:
                return shorter
        return ""


class OnnxEncoder:
    """A compiled transformer.

    One intra-op thread: for texts of this size a second thread costs more in handing over than it computes.

    Parameters
    ----------
    folder
        Where ``encoder.json``, ``model.onnx`` and ``tokenizer.json`` lie.
    """

    def __init__(self, folder: Path) -> None:
        self.spec = EncoderSpec.load(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._window = TokenWindow(Tokenizer.from_file(str(folder / "tokenizer.json")), self.spec.max_tokens)
            self._session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # both libraries raise bare Exception for files that they cannot read
            raise ArtifactError(f"{folder}: not a compiled encoder ({error})") from error

    @property
    def dimension(self) -> int:
        """See `Encoder.dimension`."""
        return self.spec.dimension

    @property
    def max_tokens(self) -> int:
        """See `Encoder.max_tokens`."""
        return self.spec.max_tokens

    def encode(self, texts: Sequence[str]) -> tuple[FloatArray, IntArray]:
        """See `Encoder.encode`."""
        windows, lengths = self._window.read(texts)
        vectors = np.empty((len(windows), self.dimension), dtype=np.float32)
        by_length = sorted(range(len(windows)), key=lambda place: len(windows[place]))  # little padding within a batch
        for start in range(0, len(by_length), _BATCH):
            batch = by_length[start : start + _BATCH]
            vectors[batch] = self._run([windows[place] for place in batch])
        return vectors, lengths

    def _run(self, windows: Sequence[Sequence[int]]) -> FloatArray:
        ids = np.zeros((len(windows), max(map(len, windows))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, window in enumerate(windows):
            ids[row, : len(window)] = window
            mask[row, : len(window)] = 1
        (vectors,) = self._session.run(["embedding"], {"input_ids": ids, "attention_mask": mask})
        return np.asarray(vectors, dtype=np.float32)
