"""Giving an artefact another threshold: the manifest is sealed anew and the card says what it was solved for."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from learnedrouter.classifier import artifact

_LINE = re.compile(r"^- \*\*Threshold\*\*: .*$", re.MULTILINE)


def write_threshold(folder: Path, threshold: Mapping[str, Any], fingerprints: npt.NDArray[np.uint64]) -> artifact.Manifest:
    """Write a threshold into the artefact in `folder`, whole or not at all; everything else stays as it is.

    The figures of the artefact were taken at the threshold before; manifest and card say at which. The rows that the new one was
    solved on are remembered beside it: they are no longer good to judge it on, though good to solve another on.

    Parameters
    ----------
    threshold
        What the manifest shall say: ``value``, ``solved_for`` and what goes with it.
    fingerprints : (n,)
        Of the rows that it was solved on.

    Raises
    ------
    ArtifactError
        The folder holds no artefact, or one that is damaged.
    """
    manifest = artifact.read_manifest(folder)
    artifact.verify(folder, manifest)
    said = {**threshold, "judged_at": manifest.judged_at}
    with artifact.staged(folder) as stage:
        for name in manifest.files:
            (stage / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(folder / name, stage / name)
        np.save(stage / artifact.TUNED, np.unique(np.concatenate([artifact.load_tuned(folder), fingerprints])))
        card = (stage / artifact.CARD).read_text(encoding="utf-8")
        line = f"- **Threshold**: {said['value']} ({said['solved_for']}; the figures below on routing were taken at {manifest.judged_at})"
        (stage / artifact.CARD).write_text(_LINE.sub(lambda _: line, card, count=1), encoding="utf-8")
        return artifact.reseal(stage, manifest, said)
