"""What a transformer knows halfway up, joined to its embedding."""

from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import BoW

from learnedrouter.training.compile import compile_transformer
from learnedrouter.training.embed import load_model, weights_hash
from learnedrouter.training.halfway import joined
from tests.tiny import make_model

TEXTS = ["alpha beta", "gamma", "delta alpha gamma beta"]


def test_the_middle_layer_stands_after_the_embedding(tmp_path: Path) -> None:
    """Each has unit length by itself and the same share of the whole; padding has no part in the mean."""
    model = load_model(str(make_model(tmp_path, " ".join(TEXTS), layers=4)), 32)
    own = model.encode(TEXTS, normalize_embeddings=True)

    whole = joined(model).encode(TEXTS)

    assert whole.shape == (len(TEXTS), 2 * own.shape[1])
    np.testing.assert_allclose(whole[:, : own.shape[1]] * np.sqrt(2), own, atol=1e-6)
    for text, vector in zip(TEXTS, whole[:, own.shape[1] :], strict=True):
        read = model.tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            middle = model[0].model(**read, output_hidden_states=True).hidden_states[2][0].mean(dim=0).numpy()
        np.testing.assert_allclose(vector * np.sqrt(2), middle / np.linalg.norm(middle), atol=1e-5)


def test_it_compiles_and_is_another_model_to_the_cache(tmp_path: Path) -> None:
    """The encoder says how many dimensions it has; embeddings that were cached for the plain model are not taken for it."""
    model = load_model(str(make_model(tmp_path, " ".join(TEXTS), layers=2)), 32)

    encoder, whole, why_not = compile_transformer(model, "tiny", tmp_path / "encoder", "fp32")

    assert (encoder.spec.dimension, why_not) == (64, "")
    np.testing.assert_allclose(encoder.encode(TEXTS)[0], whole.encode(TEXTS), atol=1e-5)
    assert weights_hash(whole) != weights_hash(model)


def test_what_has_no_halfway_stays_as_it_is(tmp_path: Path) -> None:
    """A single layer, and a model that is no transformer."""
    single = load_model(str(make_model(tmp_path, " ".join(TEXTS))), 32)
    words = SentenceTransformer(modules=[BoW(vocab=["alpha", "beta"])], device="cpu")

    assert joined(single) is single
    assert joined(words) is words


def test_a_model_that_does_not_compile_is_served_plain(tmp_path: Path) -> None:
    """Its folder is loaded by sentence-transformers alone, which knows nothing of what we join."""
    model = load_model(str(make_model(tmp_path, " ".join(TEXTS), layers=2)), 32)
    model[0].model.forward = _refusing

    encoder, served, why_not = compile_transformer(model, "tiny", tmp_path / "encoder", "fp32")

    assert served is model
    assert encoder.spec.dimension == 32
    assert "cannot be compiled" in why_not


def _refusing(*_: object, **__: object) -> None:
    raise ValueError("not today")
