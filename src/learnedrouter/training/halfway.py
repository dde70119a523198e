"""Joining what a transformer knows halfway up to what it makes at its top.

The top of a sentence encoder says what a text is about, or, once it was tuned on labels, which class it is of; much of how the text
is put together is plainer in the middle (Tenney et al. 2019, "BERT Rediscovers the Classical NLP Pipeline"). The mean of the middle
layer's tokens costs no time to speak of: it is on the way. Judged by folds with seeds that no figure is reported for, over the
tuned encoder, it takes APGR from .666 to .677 on GSM8K's outcomes and from .700 to .707 on MMLU's (over the frozen one from .658 to
.665 and from .697 to .705), and macro-F1 on our own labels from .800 to .802. On GSM8K the layer after it does nearly as well
(.676), the one before less (.669), and several together no better (.673).
"""

from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from torch.nn.functional import normalize

from learnedrouter.training.embed import has_fast_tokenizer


def joined(model: SentenceTransformer) -> SentenceTransformer:
    """Return `model` with further dimensions: after its own embedding the mean of the tokens halfway up. Both models share the weights.

    A model that is no transformer, or has no halfway, or cannot be compiled, is returned as it is.
    """
    config: Any = model[0].model.config if isinstance(model[0], Transformer) else None
    layers = getattr(config, "num_hidden_layers", 1)
    if layers < 2 or not has_fast_tokenizer(model):
        return model
    config.output_hidden_states = True
    dimension = int(model.get_embedding_dimension() or 0) + int(config.hidden_size)
    prompts = {name: prompt or "" for name, prompt in model.prompts.items()}
    parts = [*model.children(), _Halfway(layers // 2, dimension)]
    return SentenceTransformer(modules=parts, prompts=prompts, default_prompt_name=model.default_prompt_name, device="cpu")


class _Halfway(torch.nn.Module):
    """Appends the mean of the tokens' states after `layer` layers to the embedding, both of unit length, and makes that of unit length.

    Parameters
    ----------
    layer
        From 1.
    dimension
        Of what it makes.
    """

    def __init__(self, layer: int, dimension: int) -> None:
        super().__init__()
        self.layer, self.dimension = layer, dimension

    def extra_repr(self) -> str:
        """Return what tells it from others: a model is known by it, beside its weights."""
        return f"layer={self.layer}"

    def get_embedding_dimension(self) -> int:
        """Return the columns of what it makes."""
        return self.dimension

    def forward(self, features: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return `features` with the embedding joined."""
        states, mask = features["all_layer_embeddings"][self.layer], features["attention_mask"].unsqueeze(-1)
        mean = (states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
        both = torch.cat([normalize(features["sentence_embedding"], dim=1), normalize(mean, dim=1)], dim=1)
        return {**features, "sentence_embedding": normalize(both, dim=1)}
