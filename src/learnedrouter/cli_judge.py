"""``learnedrouter evaluate`` and ``learnedrouter ablate``; parsing and printing only."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from learnedrouter.cli_options import (
    DEFAULT_CACHE,
    DEFAULT_MAX_TOKENS,
    Accept,
    Cache,
    Data,
    Encoder,
    Json,
    MaxTokens,
    ModelLadder,
    OutcomeData,
    Seed,
    chosen_source,
    encoder_name,
    outcome_source,
)
from learnedrouter.errors import InputError
from learnedrouter.printing import print_json, print_outcome_report, print_report, print_table, progress_bar
from learnedrouter.tiers import DEFAULT_LADDER

if TYPE_CHECKING:
    from learnedrouter.classifier.model import TierClassifier
    from learnedrouter.training.evaluate import Figure
    from learnedrouter.training.examples import Labels, Outcomes


def evaluate(
    artifact: Annotated[Path | None, typer.Option("--artifact", help="Folder of the artefact; not with --folds.")] = None,
    data: Data = None,
    outcomes: OutcomeData = None,
    ladder: ModelLadder = None,
    folds: Annotated[int | None, typer.Option(help="Judge the method in place of an artefact: by cross-validation on --outcomes.")] = None,
    accept: Accept = None,
    encoder: Encoder = "onnx",
    max_tokens: MaxTokens = DEFAULT_MAX_TOKENS,
    seed: Seed = 0,
    cache: Cache = DEFAULT_CACHE,
    as_json: Json = False,
    errors: Annotated[int, typer.Option(help="Wrong cases to list.")] = 10,
) -> None:
    """Judge an artefact on labelled prompts or outcomes that it has not seen; rows that it was trained on are left out."""
    if folds is not None:
        if artifact or data or not outcomes:
            raise InputError("--folds: judges the method on --outcomes; expected neither --artifact nor --data with it")
        from learnedrouter.training.folds import FoldsPlan, cross_validate

        plan = FoldsPlan(outcome_source(outcomes, ladder, accept), folds, encoder_name(encoder), max_tokens, seed, cache)
        with progress_bar() as progress:
            found = cross_validate(plan, progress).as_dict()
        print_json(found) if as_json else print_outcome_report(found)
        return
    if not artifact:
        raise InputError("expected --artifact DIR, or --folds N with --outcomes")
    from learnedrouter.classifier.artifact import load
    from learnedrouter.training.examples import Labels

    classifier = load(artifact)
    source = chosen_source(data, outcomes, classifier.ladder, ladder, accept)
    if isinstance(source, Labels):
        _evaluate_on_labels(artifact, classifier, source, as_json, errors)
    else:
        _evaluate_on_outcomes(artifact, classifier, source, seed, as_json)


def ablate(
    data: Data = None,
    leave_out: Annotated[str, typer.Option(help="To leave out a fold at a time: worlds, families, or none.")] = "none",
    folds: Annotated[int, typer.Option(help="In which they are left out.")] = 5,
    encoder: Annotated[str, typer.Option(help="onnx (all-MiniLM-L6-v2), or a sentence-transformers name or folder.")] = "onnx",
    seed: Seed = 0,
    cache: Cache = DEFAULT_CACHE,
    as_json: Json = False,
) -> None:
    """Show which structural features pay, and how the method does on worlds or families that it has never seen (frozen encoder)."""
    from learnedrouter.training import ablate as ablation
    from learnedrouter.training.examples import Labels

    if not data:
        raise InputError("expected --data PATH")
    names = {"worlds": ablation.world_of, "families": lambda row: row.family}
    if leave_out not in (*names, "none") or folds < 2:
        raise InputError(f"--leave-out {leave_out!r} --folds {folds}: expected worlds, families or none, in at least 2 folds")
    with progress_bar() as progress:
        held = ablation.embedded(Labels(tuple(data), DEFAULT_LADDER), encoder_name(encoder), cache, progress)
        found = ablation.ablate(held, progress, seed=seed)
        left = [] if leave_out == "none" else [ablation.leave_out(held, leave_out, names[leave_out], folds, progress, seed=seed)]
    if as_json:
        print_json({"ablation": [asdict(entry) for entry in found], "left_out": [asdict(entry) for entry in left]})
        return
    shown = [[e.without, _interval(e.macro_f1), _interval(e.change), f"{e.log_loss:.4f}"] for e in found]
    print_table("on the validation split, without", ("without", "macro-F1", "change", "log loss"), shown)
    for entry in left:
        told = [["known from other rows", _interval(entry.within)], ["never seen", _interval(entry.macro_f1)]]
        print_table(f"{entry.rows} rows of {entry.names} {entry.by}, {folds} folds", (entry.by, "macro-F1"), told)
        worst = [[name, f"{rows}", f"{accuracy:.3f}"] for name, (rows, accuracy) in entry.worst.items()]
        print_table(f"the hardest {entry.by}, never seen", (entry.by, "rows", "accuracy"), worst)


def _interval(figure: "Figure") -> str:
    return f"{figure.value:.3f} ({figure.low:.3f} - {figure.high:.3f})"


def _evaluate_on_labels(artifact: Path, classifier: "TierClassifier", source: "Labels", as_json: bool, errors: int) -> None:
    from learnedrouter.training import dataset
    from learnedrouter.training.evaluate import evaluate as judge
    from learnedrouter.training.held_out import unseen

    rows = dataset.load(source.paths, source.ladder)
    left = unseen(rows, artifact)
    report = judge(classifier, left).as_dict()
    if as_json:
        print_json(report)
        return
    _say_left_out(len(rows) - len(left), artifact)
    print_report(report)
    shown = [[error["id"], error["needed"], error["predicted"], error["ask"]] for error in report["errors"][:errors]]
    print_table(f"wrong cases, the surest first ({len(report['errors'])} in all)", ("id", "needed", "predicted", "ask"), shown)


def _evaluate_on_outcomes(artifact: Path, classifier: "TierClassifier", source: "Outcomes", seed: int, as_json: bool) -> None:
    from learnedrouter.training.held_out import judge_on_outcomes

    report, left_out = judge_on_outcomes(artifact, classifier, source, seed=seed)
    if as_json:
        print_json(report.as_dict())
        return
    _say_left_out(left_out, artifact)
    print_outcome_report(report.as_dict())


def _say_left_out(count: int, artifact: Path) -> None:
    if count:
        print(f"{count} rows left out: {artifact} was fitted or tuned on them")
