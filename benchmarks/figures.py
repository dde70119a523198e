"""Write the figures of an artefact into a text, between two marks: so that none there is typed by hand.

    python benchmarks/figures.py [ARTIFACT [DATA [TEXT]]]

They are of `learnedrouter evaluate` on the test split: the rows of DATA that the artefact has not seen. Nothing else of the text changes.
"""

import re
import sys
from pathlib import Path

from learnedrouter.classifier import artifact
from learnedrouter.training import dataset
from learnedrouter.training.evaluate import Report, evaluate
from learnedrouter.training.held_out import unseen

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- figures: begin (written by `make figures`) -->", "<!-- figures: end -->"
SHOWN = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "under_route": "sent to a tier below the one needed",
    "over_route": "sent to a tier above the one needed",
    "spared": "spared the top tier, of those that need less",
    "calibration_error": "calibration error",
    "unfamiliar": "called unfamiliar by mistake",
}


def block(manifest: artifact.Manifest, report: Report) -> str:
    """Return the text between the marks, marks included."""
    known = [name for name in SHOWN if name != "unfamiliar" or artifact.FAMILIARITY in manifest.files]
    figures = [(SHOWN[name], report.figures[name]) for name in known]
    rows = [f"| {heading} | {f.value:.3f} | {f.low:.3f} - {f.high:.3f} |" for heading, f in figures]
    promise = manifest.threshold["solved_for"]
    controls = [f"| {name} | {c['under_route']:.3f} | {c['over_route']:.3f} | {c['spared']:.3f} |" for name, c in report.controls.items()]
    return "\n".join(
        [
            BEGIN,
            f"`{manifest.name}` on the {report.rows} test requests, at its threshold {report.threshold:g} ({promise}):",
            "",
            "| figure | value | 95 % interval |",
            "| --- | --- | --- |",
            *rows,
            "",
            "| router | under-routed | over-routed | spared |",
            "| --- | --- | --- | --- |",
            *controls,
            END,
        ]
    )


def written(text: str, new: str) -> str:
    """Return `text` with what stands between its marks replaced.

    Raises
    ------
    ValueError
        The marks do not stand there once.
    """
    changed, count = re.subn(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: new, text, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"found the marks {count} times, expected once: {BEGIN} ... {END}")
    return changed


def main() -> None:
    """Evaluate, and rewrite the text."""
    given = [Path(argument) for argument in sys.argv[1:]]
    folder, data, text = (*given, *(ROOT / "models" / "default", ROOT / "data", ROOT / "README.md")[len(given) :])
    classifier = artifact.load(folder)
    rows = unseen(dataset.load([data], classifier.ladder), folder)
    new = block(artifact.read_manifest(folder), evaluate(classifier, rows))
    text.write_text(written(text.read_text(encoding="utf-8"), new), encoding="utf-8")
    print(new)


if __name__ == "__main__":
    main()
