"""The model card: what an artefact is and how good it is, written from its own manifest and report."""

from collections.abc import Mapping
from typing import Any

from learnedrouter.training.evaluate import Report


def model_card(
    name: str, encoder: str, compiled: Mapping[str, Any], threshold: Mapping[str, Any], data: Mapping[str, Any], report: Report
) -> str:
    """Return the card as Markdown."""
    figures = "\n".join(f"| {label} | {f.value:.3f} | {f.low:.3f} - {f.high:.3f} |" for label, f in report.figures.items())
    recall = "\n".join(f"| {tier} | {share:.3f} |" for tier, share in report.recall.items())
    controls = "\n".join(
        f"| {router} | {c['under_route']:.3f} | {c['over_route']:.3f} | {c['spared']:.3f} |" for router, c in report.controls.items()
    )
    return f"""# Model card: {name}

A learnedrouter classifier: predicts the cheapest tier of model whose answer to a request will be accepted.

- **Encoder**: {encoder}; compiled to ONNX in {compiled["precision"]}. Smallest cosine to the original on the validation rows:
  {compiled["parity"]:.5f}; macro-F1 there {compiled["validation_macro_f1"]:.3f}, before compiling
  {compiled["validation_macro_f1_before_compiling"]:.3f}
- **Data**: {data["rows"]} labelled requests ({data["train"]} to train, {data["validation"]} to solve the threshold,
  {data["test"]} to test), sha256 `{data["sha256"]}`
- **Made by**: `{data["command"]}`
- **Threshold**: {threshold["value"]} ({threshold["solved_for"]})

## On the test split ({report.rows} rows that took no part in training)

| figure | value | 95 % interval (bootstrap) |
| --- | --- | --- |
{figures}

`acceptable` counts a prediction as right that the annotators would also have given. `spared` is the share of the requests that
need less than the top tier and did not go there. `calibration_error` is over sufficiency, in bins of equal width.

| tier | recall |
| --- | --- |
{recall}

| router | under-routed | over-routed | spared |
| --- | --- | --- | --- |
{controls}

## What it does not know

It judges the newest ask alone, not the answer. It has learned from the data named above: on requests of another kind, in another
language, or under other standards of what is acceptable, its probabilities mean less. Measure it on your own labels first.
"""
