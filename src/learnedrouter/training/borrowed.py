"""Encoders of an artefact that is there already, under new heads.

What an encoder that was tuned on labels has learned of requests carries over to other labels, and to outcomes: five-fold on
160 real requests, heads over the shipped encoder have macro-F1 .61 to .64, over the model that it was tuned from .50 to .52.
Nothing is compiled or tuned anew, so it is the fastest way to train, too.
"""

from dataclasses import dataclass
from pathlib import Path

from learnedrouter.classifier import artifact
from learnedrouter.classifier.kinds import load_encoder
from learnedrouter.training.embed import Compiled


@dataclass(frozen=True, slots=True)
class Lender:
    """An artefact whose encoders are borrowed.

    Parameters
    ----------
    folder
        Where it lies; its files are those that its manifest lists.
    manifest
        What it is.
    """

    folder: Path
    manifest: artifact.Manifest

    @property
    def shown(self) -> str:
        """Return what the encoder is, for the card."""
        return f"{self.manifest.encoder}, borrowed from {self.manifest.name}"

    def embedder(self) -> Compiled:
        """Return its encoder, the last one of a cascade, as an embedder."""
        folder = self.folder / artifact.ENCODER
        return Compiled(load_encoder(folder), folder)


def lender(encoder: str) -> Lender | None:
    """Return the artefact that ``--encoder`` names; None where it names none.

    Raises
    ------
    ArtifactError
        It is damaged, tampered with, or made by other versions.
    """
    folder = Path(encoder)
    if not (folder / artifact.MANIFEST).is_file():
        return None
    manifest = artifact.read_manifest(folder)
    artifact.verify(folder, manifest)
    return Lender(folder, manifest)
