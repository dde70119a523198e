"""Sentence encoders as they serve: compiled, and without torch.

An encoder is a folder: ``encoder.json`` says what it is, ``tokenizer.json`` is the vocabulary, and beside them lie its
weights. `training` makes it from a sentence-transformers model. Which kinds there are stands in `classifier.kinds`.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

from learnedrouter.classifier.features import FloatArray, IntArray
from learnedrouter.errors import ArtifactError

Kind = Literal["onnx", "static", "sentence-transformers"]


class Encoder(Protocol):
    """Turns texts into unit vectors."""

    @property
    def spec(self) -> "EncoderSpec":
        """What it is."""

    def encode(self, texts: Sequence[str]) -> tuple[FloatArray, IntArray]:
        """Return a vector a text, ``(n, dimension)``, and the texts' lengths in tokens before any cut, ``(n,)``.

        A text's vector does not depend on the texts beside it. Safe to call from several threads.
        """


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """What ``encoder.json`` holds.

    Parameters
    ----------
    kind
        How the encoder was compiled.
    source
        The sentence-transformers model that it was compiled from.
    dimension
        Length of its vectors.
    max_tokens
        What it reads of a text, special tokens included; of a longer one, the head and the tail.
    precision
        ``fp32`` or ``int8``; of a static one, always ``int8``.
    """

    kind: Kind
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
            spec = cls(**json.loads((folder / "encoder.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise ArtifactError(f"{folder / 'encoder.json'}: not a description of an encoder ({error})") from error
        if spec.kind not in get_args(Kind):
            raise ArtifactError(f"{folder / 'encoder.json'}: kind {spec.kind!r}, expected one of {', '.join(get_args(Kind))}")
        return spec
