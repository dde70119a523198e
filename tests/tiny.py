"""A sentence-transformers model of a few hundred tokens and one layer: real, and trained on in a second."""

import string
from collections import Counter
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from transformers import BertConfig, BertModel, BertTokenizerFast


def make_model(folder: Path, texts: str, *, seed: int = 0, layers: int = 1) -> Path:
    """Write a model whose words are those of `texts`, and return its folder."""
    torch.manual_seed(seed)
    signs = [sign for sign in string.printable.lower() if not sign.isspace()]
    words = [word for word, _ in Counter(word for word in texts.lower().split() if word.isalpha()).most_common(300)]
    vocabulary = list(dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *signs, *(f"##{sign}" for sign in signs), *words]))
    plain = folder / "plain"
    plain.mkdir(parents=True, exist_ok=True)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(plain)
    BertTokenizerFast(vocab={word: place for place, word in enumerate(vocabulary)}, model_max_length=128).save_pretrained(plain)
    transformer = Transformer(str(plain))
    model = SentenceTransformer(modules=[transformer, Pooling(transformer.get_embedding_dimension())], device="cpu")
    model.save(str(folder / "model"), create_model_card=False)
    return folder / "model"
