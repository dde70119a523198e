"""Making a static encoder: token vectors distilled from a sentence encoder, tuned on the training rows, and compiled.

The method is model2vec's (https://github.com/MinishLab/model2vec): each token goes through the encoder by itself, and the
principal components of what comes out are kept. The tokens go through the compiled encoder, in chunks on whatever workers
there are: a tenth of the time that model2vec's own ``distill`` takes through torch, with the same files as the result.

A mean of token vectors cannot weigh its tokens by their context, so the vectors are tuned to the task afterwards, through a
linear layer that is thrown away: on the shipped data that lifts macro-F1 on the validation rows by a good three points, in
seconds. (fastText trains such vectors from nothing: Joulin et al. 2016, "Bag of Tricks for Efficient Text Classification".)
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from sentence_transformers import SentenceTransformer
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits
from tokenizers import Tokenizer

from learnedrouter.classifier.encoder import EncoderSpec
from learnedrouter.classifier.features import FloatArray, IntArray
from learnedrouter.classifier.onnx import OnnxEncoder
from learnedrouter.classifier.static import WEIGHTS, StaticEncoder
from learnedrouter.classifier.window import TokenWindow, special_tokens
from learnedrouter.errors import InputError
from learnedrouter.training.compile import compile_onnx
from learnedrouter.training.embed import Progress, has_fast_tokenizer, plain_tokenizer, weights_hash
from learnedrouter.training.finetune import Recipe, rate
from learnedrouter.training.kept import kept
from learnedrouter.training.parallel import run

DIMENSION = 128
"""Principal components that are kept: tuned, 256 or all of them are no better on the shipped data."""

MAX_TOKENS = 256
"""What a static encoder reads of a text: tokenising costs more than all the rest, and more tokens blur the mean."""

_CHUNK = 512
"""Tokens that go through the encoder together."""

TUNED = Recipe(epochs=5, encoder_rate=1e-3, masked=0.2)
"""For vectors of length 1 on average; chosen on the validation rows of the shipped data, where faster rates lose two points, and
nothing masked half a point."""


@dataclass(frozen=True, slots=True)
class TokenVectors:
    """A static encoder before it is compiled.

    Parameters
    ----------
    vectors : (n_tokens, d)
        In the order of the tokenizer's ids.
    tokenizer
        Cuts texts into these tokens.
    """

    vectors: FloatArray
    tokenizer: Tokenizer


def distill(model: SentenceTransformer, source: str, cache: Path, progress: Progress) -> TokenVectors:
    """Return the token vectors of `model`, computing them only if `cache` does not hold them.

    Raises
    ------
    InputError
        The model cannot be compiled, so it cannot be distilled either.
    """
    if not has_fast_tokenizer(model):
        raise InputError(f"encoder {source!r}: cannot be distilled, it has no fast tokenizer")
    path = cache / f"{weights_hash(model)}-tokens-{DIMENSION}.safetensors"
    tokenizer = plain_tokenizer(model)  # with padding, each token would be read among a hundred others
    if not path.is_file():
        with TemporaryDirectory() as folder:
            encoder = compile_onnx(model, source, Path(folder), "fp32")
            outputs = _token_outputs(encoder, tokenizer, progress)
        with threadpool_limits(1):
            kept = PCA(min(DIMENSION, *outputs.shape), svd_solver="covariance_eigh").fit_transform(outputs).astype(np.float32)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        save_file({"embeddings": kept}, partial)
        partial.replace(path)
    vectors = load_file(path)["embeddings"]
    return TokenVectors(vectors / np.sqrt((vectors**2).sum(axis=1).mean()), tokenizer)


def _token_outputs(encoder: OnnxEncoder, tokenizer: Tokenizer, progress: Progress) -> FloatArray:
    """Return what `encoder` makes of each token by itself, between the special tokens that it expects, ``(n_tokens, d)``."""
    before, after = special_tokens(tokenizer)
    windows = [[*before, token, *after] for token in range(tokenizer.get_vocab_size())]
    chunks = [windows[start : start + _CHUNK] for start in range(0, len(windows), _CHUNK)]
    found: list[FloatArray] = []
    for part in run(OnnxEncoder.encode_ids, encoder, chunks):
        found.append(part)
        progress("distilling", min(len(found) * _CHUNK, len(windows)), len(windows))
    return np.concatenate(found)


def tune(
    tokens: TokenVectors, texts: Sequence[str], classes: IntArray, recipe: Recipe, seed: int, cache: Path, progress: Progress
) -> TokenVectors:
    """Return token vectors that tell the classes apart better, computing them only if `cache` does not hold them.

    Parameters
    ----------
    texts, classes : (n,)
        What is read, and its class, from 0.
    """
    made_from = (Path(__file__).read_bytes(), tokens.vectors, tokens.tokenizer.to_str(), list(texts), classes, recipe, seed)
    found = kept(cache, "tuned", made_from, lambda: {"embeddings": _tuned(tokens, texts, classes, recipe, seed, progress)})
    return TokenVectors(found["embeddings"], tokens.tokenizer)


def _tuned(tokens: TokenVectors, texts: Sequence[str], classes: IntArray, recipe: Recipe, seed: int, progress: Progress) -> FloatArray:
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    windows, _ = TokenWindow(tokens.tokenizer, MAX_TOKENS).read(texts)
    ids = [np.array(window or [0], dtype=np.int64) for window in windows]
    targets = torch.from_numpy(classes.astype(np.int64))
    bag = torch.nn.EmbeddingBag.from_pretrained(torch.from_numpy(tokens.vectors.copy()), freeze=False, mode="mean", sparse=True)
    layer = torch.nn.Linear(tokens.vectors.shape[1], int(classes.max()) + 1)
    optimizers: tuple[torch.optim.Optimizer, ...] = (
        torch.optim.SparseAdam(bag.parameters(), recipe.encoder_rate),
        torch.optim.Adam(layer.parameters(), recipe.layer_rate),
    )
    steps = recipe.epochs * math.ceil(len(ids) / recipe.batch)
    schedules = [torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, steps, recipe.warm_up)) for optimizer in optimizers]
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=recipe.smoothing)
    done = 0
    for _ in range(recipe.epochs):
        mixed = rng.permutation(len(ids))
        for start in range(0, len(ids), recipe.batch):
            batch = mixed[start : start + recipe.batch]
            rows = [_thinned(ids[place], recipe.masked, rng) for place in batch]
            offsets = np.cumsum([0, *(len(row) for row in rows[:-1])])
            vectors = bag(torch.from_numpy(np.concatenate(rows)), torch.from_numpy(offsets))
            loss = loss_of(recipe.scale * layer(torch.nn.functional.normalize(vectors, dim=1)), targets[batch])
            for each in optimizers:
                each.zero_grad()
            loss.backward()
            for optimizer, schedule in zip(optimizers, schedules, strict=True):
                optimizer.step()
                schedule.step()
            done += 1
            if done % 50 == 0 or done == steps:
                progress("tuning token vectors", done, steps)
    tuned: FloatArray = bag.weight.detach().numpy()
    return tuned


def _thinned(ids: IntArray, share: float, rng: np.random.Generator) -> IntArray:
    """Return token ids without a random `share` of them; all of them where none would be left."""
    left = ids[rng.random(len(ids)) >= share]
    return left if len(left) else ids


def compile_static(tokens: TokenVectors, source: str, folder: Path) -> StaticEncoder:
    """Write token vectors as a static encoder into `folder`, and return it loaded; they are kept as int8.

    One scale serves all vectors, so it cancels out where their mean is brought to unit length. In half precision they took twice
    the room and longer to add up, for the same macro-F1 (validation: .7021, and .7023 as int8).
    """
    folder.mkdir(parents=True, exist_ok=True)
    described = json.loads(tokens.tokenizer.to_str()) | {"post_processor": None}  # no special tokens: they would count in every mean
    (folder / "tokenizer.json").write_text(json.dumps(described, ensure_ascii=False), encoding="utf-8")
    kept = np.rint(tokens.vectors * (127 / np.abs(tokens.vectors).max())).astype(np.int8)
    save_file({"embeddings": kept}, folder / WEIGHTS)
    described_for_model2vec = {"model_type": "model2vec", "architectures": ["StaticModel"], "normalize": True, "max_length": MAX_TOKENS}
    (folder / "config.json").write_text(json.dumps(described_for_model2vec) + "\n", encoding="utf-8")
    EncoderSpec("static", source, tokens.vectors.shape[1], MAX_TOKENS, "int8").save(folder)
    return StaticEncoder(folder)
