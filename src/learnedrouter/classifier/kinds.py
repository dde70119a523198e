"""The kinds of encoders that can serve.

``onnx`` (`classifier.onnx`), ``static`` (`classifier.static`), and ``sentence-transformers`` (`classifier.uncompiled`), for
models that do not compile.
"""

from pathlib import Path

from learnedrouter.classifier.encoder import Encoder, EncoderSpec


def load_encoder(folder: Path) -> Encoder:
    """Return the encoder that lies in `folder`; only what its kind needs is imported.

    Raises
    ------
    ArtifactError
        It is damaged, or of a kind that this environment cannot run.
    """
    kind = EncoderSpec.load(folder).kind
    if kind == "static":
        from learnedrouter.classifier.static import StaticEncoder

        return StaticEncoder(folder)
    if kind == "sentence-transformers":
        from learnedrouter.classifier.uncompiled import UncompiledEncoder

        return UncompiledEncoder(folder)
    from learnedrouter.classifier.onnx import OnnxEncoder

    return OnnxEncoder(folder)
