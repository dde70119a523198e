"""Fine-tuning a sentence encoder on labels, so that requests of one tier lie together.

A linear layer over the embedding predicts the class; its loss is sent back through the whole encoder. The layer itself is
thrown away: the head is fitted afterwards, on the tuned embeddings, as on any other encoder's.

Source of the recipe: Sun et al. 2019, "How to Fine-Tune BERT for Text Classification?" (few epochs, linear warm-up and decay, and
lower rates for lower layers, section 5.3.3: these know the language, and need not forget it). Label smoothing: Szegedy et al. 2016,
section 7. In place of dropout, whose masks take a quarter of the time to draw, some tokens of each text are masked (Devlin et al.
2019, section 3.1), so that no single word decides.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from learnedrouter.classifier.features import IntArray
from learnedrouter.training.compile import plain_attention
from learnedrouter.training.embed import Progress

_BATCHES_SORTED_TOGETHER = 20
"""Batches whose rows are sorted by length before they are cut: little padding, and still well mixed."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to tune an encoder on labels.

    Parameters
    ----------
    epochs
        Passes over the rows; 0 leaves the encoder as it is.
    batch
        Rows a step.
    encoder_rate, layer_rate
        Peak learning rates of the encoder (a static one is its token vectors), and of the linear layer over it.
    layer_decay
        What each layer's rate is multiplied by, to have that of the layer below. One rate for all (1.2e-4) is better on 6,400 rows, and
        worse on the 24,695 shipped ones: log loss .550 for .544 on the validation rows.
    warm_up
        Share of the steps over which the rates rise.
    smoothing
        Share of a label's weight that is spread over all classes; neighbouring tiers are a matter of opinion.
    masked
        Share of a text's tokens that are hidden at each step; with a fifth, macro-F1 on the validation rows was .797 for .802.
    scale
        Logits are this times the layer's output: embeddings have unit length, and softmax needs a wider range.
    """

    epochs: int = 3
    batch: int = 32
    encoder_rate: float = 1.5e-4
    layer_rate: float = 2e-3
    layer_decay: float = 0.85
    warm_up: float = 0.1
    smoothing: float = 0.1
    masked: float = 0.1
    scale: float = 8.0


FROZEN = Recipe(epochs=0)
"""The encoder as it is."""


def fine_tune(model: SentenceTransformer, texts: Sequence[str], classes: IntArray, recipe: Recipe, seed: int, progress: Progress) -> None:
    """Fine-tune `model` in place.

    Parameters
    ----------
    texts : (n,)
        As the encoder will read them, already cut to its length.
    classes : (n,)
        Class of each text, from 0.
    """
    torch.manual_seed(seed)
    layer = torch.nn.Linear(model.get_embedding_dimension() or 0, int(classes.max()) + 1)
    optimizer = torch.optim.AdamW(
        [*_by_layer(model, recipe), {"params": layer.parameters(), "lr": recipe.layer_rate}],
        weight_decay=0.01,
        fused=True,
    )
    steps = recipe.epochs * math.ceil(len(texts) / recipe.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, steps, recipe.warm_up))
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=recipe.smoothing)
    rng = np.random.default_rng(seed)
    targets = torch.from_numpy(classes.astype(np.int64))
    batches = (batch for _ in range(recipe.epochs) for batch in _batches(texts, recipe.batch, rng))
    model.eval()  # no dropout
    with plain_attention(model):
        for done, batch in enumerate(batches, 1):
            with _native_precision():
                vectors = model(_masked(model, [texts[place] for place in batch], recipe.masked))["sentence_embedding"]
            loss = loss_of(recipe.scale * layer(vectors.float()), targets[batch])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            progress("fine-tuning", done, steps)


def _by_layer(model: SentenceTransformer, recipe: Recipe) -> list[dict[str, Any]]:
    """Return the parameters of `model` with their rates: the highest layer's, and what follows it, have the recipe's."""
    numbered = [(re.search(r"\.layers?\.(\d+)\.", name), parameter) for name, parameter in model.named_parameters()]
    layers = 1 + max((int(found[1]) for found, _ in numbered if found), default=-1)
    by_depth: dict[int, list[torch.nn.Parameter]] = {}
    depth = layers  # of the embeddings, which come first: below all layers
    for found, parameter in numbered:
        if found:
            depth = layers - 1 - int(found[1])
        by_depth.setdefault(depth, []).append(parameter)
    return [{"params": own, "lr": recipe.encoder_rate * recipe.layer_decay**depth} for depth, own in by_depth.items()]


def _masked(model: SentenceTransformer, texts: Sequence[str], share: float) -> dict[str, torch.Tensor]:
    """Return what `model` reads of `texts`, a random `share` of the tokens masked; none where its tokenizer knows no mask."""
    features: dict[str, torch.Tensor] = model.preprocess(list(texts))
    mask = getattr(model.tokenizer, "mask_token_id", None)
    if mask is not None:
        ids = features["input_ids"]
        hidden = torch.rand(ids.shape) < share
        hidden &= ~torch.isin(ids, torch.tensor(model.tokenizer.all_special_ids))
        features["input_ids"] = ids.masked_fill(hidden, mask)
    return features


def _native_precision() -> torch.autocast:
    """Compute in bfloat16 where the processor multiplies it: half the time, and the same figures; elsewhere it would be emulated."""
    able = torch.cpu.get_capabilities()
    return torch.autocast("cpu", torch.bfloat16, enabled=bool(able.get("avx512_bf16") or able.get("amx_bf16")))


def rate(step: int, steps: int, warm_up: float) -> float:
    """Rise to 1 over the first `warm_up` of the steps, then fall to 0."""
    rising = max(1.0, warm_up * steps)
    return min((step + 1) / rising, max(0.0, (steps - step) / max(1.0, steps - rising)))


def _batches(texts: Sequence[str], size: int, rng: np.random.Generator) -> Iterator[list[int]]:
    """Yield every row once, in batches of rows of like length, in random order."""
    mixed = rng.permutation(len(texts)).tolist()
    together = size * _BATCHES_SORTED_TOGETHER
    batches: list[list[int]] = []
    for start in range(0, len(mixed), together):
        alike = sorted(mixed[start : start + together], key=lambda place: len(texts[place]))
        batches.extend(alike[first : first + size] for first in range(0, len(alike), size))
    yield from (batches[place] for place in rng.permutation(len(batches)))
