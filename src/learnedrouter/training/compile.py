"""Compiling a sentence-transformers model into an encoder that serves without torch, and proving that it is the same."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from sentence_transformers import SentenceTransformer
from transformers import PreTrainedModel

from learnedrouter.classifier.encoder import Encoder, EncoderSpec
from learnedrouter.classifier.onnx import OnnxEncoder
from learnedrouter.classifier.uncompiled import MODEL, UncompiledEncoder
from learnedrouter.errors import InputError
from learnedrouter.training.halfway import joined

Precision = Literal["fp32", "int8"]
MIN_COSINE = 0.999
"""What a compiled fp32 encoder must reach against sentence-transformers on every text; rounding alone stays above 0.99999."""


_ENDLESS = 1_000_000
"""Tokens that a model reads which sets no limit."""


class _Sentence(torch.nn.Module):
    """A sentence-transformers model as a plain function of token ids, pooling and normalisation included; nothing is padding."""

    def __init__(self, model: SentenceTransformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        vector = self.model({"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids)})["sentence_embedding"]
        return torch.nn.functional.normalize(vector, dim=1)


@contextmanager
def plain_attention(model: SentenceTransformer) -> Iterator[None]:
    """Have attention computed by plain matrix products.

    Torch's fused attention leaves masks and guards in a compiled graph, a sixth of its time; and to train through it takes three
    times as long in bfloat16 (at 128 tokens; torch 2.13, two cores with AMX).
    """
    own = {part: part.config._attn_implementation for part in model.modules() if isinstance(part, PreTrainedModel)}
    try:
        for part in own:
            part.set_attn_implementation("eager")
        yield
    finally:
        for part, implementation in own.items():
            part.set_attn_implementation(implementation)


def compile_transformer(
    model: SentenceTransformer, source: str, folder: Path, precision: Precision
) -> tuple[Encoder, SentenceTransformer, str]:
    """Return an encoder in `folder`, the model that it is made of, and why that could not be compiled, else an empty text.

    Compiled, it is of `model` joined with what it knows halfway up; where that cannot be, of `model` as it is.
    """
    try:
        whole = joined(model)
        return compile_onnx(whole, source, folder, precision), whole, ""
    except InputError as error:
        for path in folder.iterdir():
            path.unlink()
        model.save(str(folder / MODEL), create_model_card=False)
        max_tokens = int(min(model.max_seq_length or 512, _ENDLESS))
        EncoderSpec("sentence-transformers", source, int(model.get_embedding_dimension() or 0), max_tokens, "fp32").save(folder)
        return UncompiledEncoder(folder), model, str(error)


def compile_onnx(model: SentenceTransformer, source: str, folder: Path, precision: Precision) -> OnnxEncoder:
    """Write `model` as an ONNX encoder into `folder`, and return it loaded.

    Raises
    ------
    InputError
        The model cannot be compiled: it is no transformer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / "model.onnx"
    tokenizer = getattr(model.tokenizer, "backend_tokenizer", None)
    if tokenizer is None:
        raise InputError(f"encoder {source!r}: cannot be compiled, it has no fast tokenizer")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.save(str(folder / "tokenizer.json"))
    sample = model.tokenizer("a text", return_tensors="pt")
    try:
        with warnings.catch_warnings(), torch.no_grad(), plain_attention(model):
            warnings.simplefilter("ignore")  # the tracer's remarks on constants; what matters is checked by parity
            torch.onnx.export(
                _Sentence(model).eval(),
                (sample["input_ids"],),
                str(weights),
                input_names=["input_ids"],
                output_names=["embedding"],
                dynamic_axes={"input_ids": {0: "batch", 1: "tokens"}, "embedding": {0: "batch"}},
                opset_version=17,
                dynamo=False,  # the newer exporter needs onnxscript, and gives no faster graph for this kind of model
            )
    except Exception as error:  # the exporter raises whatever the model's code does
        raise InputError(f"encoder {source!r}: cannot be compiled to ONNX ({error})") from error
    if precision == "int8":
        whole = weights.rename(folder / "fp32.onnx")
        quantize_dynamic(whole, weights, weight_type=QuantType.QInt8, per_channel=True)  # a scale a channel: cosine 0.99, else 0.93
        whole.unlink()
    dimension = model.get_embedding_dimension()
    EncoderSpec("onnx", source, int(dimension or 0), int(model.max_seq_length or 512), precision).save(folder)
    return OnnxEncoder(folder)
