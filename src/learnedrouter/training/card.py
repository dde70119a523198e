"""The model card: what an artefact is and how good it is, written from its own manifest and what judging it found."""

from collections.abc import Mapping
from typing import Any

from learnedrouter.training import calibration
from learnedrouter.training.evaluate import Figure, Report
from learnedrouter.training.quality import RANKING, ROUTING, OutcomeReport


def model_card(
    name: str,
    encoder: str,
    compiled: Mapping[str, Any],
    cascade: Mapping[str, Any],
    threshold: Mapping[str, Any],
    data: Mapping[str, Any],
    section: str,
) -> str:
    """Return the card as Markdown; `section` has the figures, see `labels_section` and `outcomes_section`."""
    return f"""# Model card: {name}

A learnedrouter classifier: predicts the cheapest tier of model whose answer to a request will be accepted.

- **Encoder**: {encoder}; {_compiled(compiled)}{_cascade(cascade)}
- **Data**: {data["rows"]} {_told(data)} ({data["train"]} to train, {data["validation"]} to solve the threshold,
  {data["test"]} to test), sha256 `{data["sha256"]}`
- **Made by**: `{data["command"]}`
- **Threshold**: {threshold["value"]} ({threshold["solved_for"]})

{section}
## What it does not know

It judges the newest ask alone, not the answer. It has learned from the data named above: on requests of another kind, in another
language, or under other standards of what is acceptable, its probabilities mean less. Measure it on your own data first.
A request whose text looks like nothing in training is `unfamiliar` and goes to the top tier; a new topic in familiar words is not noticed.
"""


def labels_section(report: Report) -> str:
    """Return the figures of a classifier that was trained on labels."""
    figures = "\n".join(f"| {label} | {f.value:.3f} | {f.low:.3f} - {f.high:.3f} |" for label, f in report.figures.items())
    recall = "\n".join(f"| {tier} | {f.value:.3f} | {f.low:.3f} - {f.high:.3f} |" for tier, f in report.recall.items())
    controls = "\n".join(
        f"| {router} | {c['under_route']:.3f} | {c['over_route']:.3f} | {c['spared']:.3f} |" for router, c in report.controls.items()
    )
    errors = ", ".join(
        f"{f.error.value:.3f} ({f.error.low:.3f} - {f.error.high:.3f}) {name} calibration" for name, f in report.calibration.items()
    )
    return f"""## On the test split ({report.rows} rows that took no part in training)

| figure | value | 95 % interval (bootstrap) |
| --- | --- | --- |
{figures}

`acceptable` counts a prediction as right that the annotators would also have given. `spared` is the share of the requests that
need less than the top tier and did not go there. `unfamiliar` is the share that was held for unlike anything in training, and sent to
the top tier for that: on these rows, false alarms. What was routed was routed so.

| tier | recall | 95 % interval |
| --- | --- | --- |
{recall}

| router | under-routed | over-routed | spared |
| --- | --- | --- | --- |
{controls}

### Calibration

Expected calibration error: {errors}.
Rule: {calibration.BIN_RULE}.

{calibration.table({name: list(found.bins) for name, found in report.calibration.items()})}
"""


def outcomes_section(report: OutcomeReport) -> str:
    """Return the figures of a classifier that was trained on outcomes."""
    return f"""## On the test split ({report.rows} rows that took no part in training)

What its ranking of the requests is worth, whatever the threshold, with 95 % bootstrap intervals. APGR is the share of the quality
gap between the cheapest and the strongest model that is recovered, averaged over all shares of calls to the strongest; `cpt_50` and
`cpt_80` are the least such shares that recover 50 and 80 % of it, `share_at_95` the least with 95 % of the strongest's quality.

{_table(RANKING, report.ranking)}

At its threshold; quality is the mean score of the answers.

{_table(ROUTING, report.routing)}
"""


def _compiled(figures: Mapping[str, Any]) -> str:
    fitted = f"head fitted on the {figures['head_fitted_on']} rows"
    judged = ", judged by folds" if figures["head_fitted_on"] == "validation" else ""
    told = f"{figures['compiled']}; {fitted}. Macro-F1 on the validation rows{judged} {figures['validation_macro_f1']:.3f}"
    return f"{told};\n  smallest cosine to the original there {figures['parity']:.5f}" if "parity" in figures else told


def _cascade(cascade: Mapping[str, Any]) -> str:
    if not cascade:
        return ""
    if not cascade["feasible"]:
        return f"\n- **Cascade**: {cascade['solved_for']}"
    lines = [
        f"  - {rows}: the static head answers {t['share']:.1%}; macro-F1 {t['macro_f1']:.3f}, with the last stage alone {t['alone']:.3f}, "
        f"with the static head alone {t['first']:.3f}"
        for rows in ("validation", "test")
        if (t := cascade[rows])
    ]
    head = f"- **Cascade**: a static head answers where its probability is at least {cascade['switch']:.3f} ({cascade['solved_for']})"
    say = f"  - elsewhere its opinion has a weight of {cascade['weight']:.2f} in the answer, fitted on the validation rows"
    return "\n" + "\n".join([head, say, *lines])


def _told(data: Mapping[str, Any]) -> str:
    if data["kind"] == "labels":
        return "labelled requests"
    return f"requests with outcomes of {', '.join(f'{model} ({tier})' for tier, model in data['models'].items())}"


def _table(names: tuple[str, ...], routers: Mapping[str, Mapping[str, Figure]]) -> str:
    lines = [f"| router | {' | '.join(names)} |", "| --- " * (len(names) + 1) + "|"]
    for router, found in routers.items():
        cells = (f"{found[name].value:.3f} ({found[name].low:.3f} - {found[name].high:.3f})" for name in names)
        lines.append(f"| {router} | {' | '.join(cells)} |")
    return "\n".join(lines)
