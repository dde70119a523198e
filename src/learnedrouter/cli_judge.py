"""``learnedrouter evaluate`` and ``learnedrouter tune``; parsing and printing only."""

from dataclasses import asdict
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from learnedrouter.chat import Usage
from learnedrouter.cli_options import (
    DEFAULT_CACHE,
    Accept,
    Artifact,
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
from learnedrouter.tiers import Ladder

if TYPE_CHECKING:
    from learnedrouter.classifier.model import TierClassifier
    from learnedrouter.training.examples import Labels, Outcomes
    from learnedrouter.training.patterns import BoolMatrix, FloatMatrix


def evaluate(
    artifact: Annotated[Path | None, typer.Option("--artifact", help="Folder of the artefact; not with --folds.")] = None,
    data: Data = None,
    outcomes: OutcomeData = None,
    ladder: ModelLadder = None,
    folds: Annotated[int | None, typer.Option(help="Judge the method in place of an artefact: by cross-validation on --outcomes.")] = None,
    accept: Accept = None,
    encoder: Encoder = "onnx",
    max_tokens: MaxTokens = 128,
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


def tune(
    artifact: Artifact,
    data: Data = None,
    outcomes: OutcomeData = None,
    ladder: ModelLadder = None,
    accept: Accept = None,
    max_under_route: Annotated[
        float | None, typer.Option(help="Share of requests that may go to too low a tier; 0.03 if no budget is given.")
    ] = None,
    confidence: Annotated[float, typer.Option(help="With which probability that promise holds.")] = 0.95,
    max_usd_per_1k: Annotated[str | None, typer.Option(help="Budget in place of that: average price of 1,000 requests, in USD.")] = None,
    tokens_in: Annotated[int, typer.Option(help="Tokens that a request sends on average; for the budget.")] = 500,
    tokens_out: Annotated[int, typer.Option(help="Tokens that an answer has on average; for the budget.")] = 500,
    config: Annotated[Path, typer.Option(help="The configuration, for the prices.")] = Path("router.toml"),
    as_json: Json = False,
) -> None:
    """Solve for the threshold that keeps a promise or a budget, on labelled prompts or outcomes that the artefact has not seen."""
    from learnedrouter.classifier.artifact import load
    from learnedrouter.training.held_out import accepted_from, held_out

    if max_usd_per_1k is not None and max_under_route is not None:
        raise InputError("--max-under-route and --max-usd-per-1k: expected one of them")
    classifier = load(artifact)
    if outcomes and accept is None:
        accept = accepted_from(artifact)
    held = held_out(artifact, classifier, chosen_source(data, outcomes, classifier.ladder, ladder, accept))
    sufficiency = classifier.assess(held.asks).believed
    if max_usd_per_1k is None:
        promised = 0.03 if max_under_route is None else max_under_route
        _show_promise(sufficiency, held.acceptable, promised, confidence, classifier.ladder, as_json)
    else:
        if min(tokens_in, tokens_out) < 0:
            raise InputError(f"--tokens-in {tokens_in} --tokens-out {tokens_out}: expected none below 0")
        usage = Usage(tokens_in, output_tokens=tokens_out)
        _show_budget(sufficiency, _usd(max_usd_per_1k), usage, config, classifier.ladder, as_json)


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


def _show_budget(sufficiency: "FloatMatrix", max_usd: Decimal, usage: Usage, config: Path, ladder: Ladder, as_json: bool) -> None:
    from learnedrouter.config import load_settings
    from learnedrouter.training import budget

    request_usd = budget.request_prices(load_settings(config), ladder, usage)
    point = budget.solve(budget.prices(sufficiency, request_usd), max_usd)
    shares = dict(zip(ladder.names, point.shares, strict=True))
    if as_json:
        print_json({"threshold": point.threshold, "rows": len(sufficiency), "usd_per_1k": float(point.usd_per_1k), "shares": shares})
        return
    print(
        f"threshold {point.threshold}: {point.usd_per_1k:.4f} USD per 1,000 requests of {usage.input_tokens} tokens in and "
        f"{usage.output_tokens} out, over {len(sufficiency)} rows; " + ", ".join(f"{share:.1%} to {tier}" for tier, share in shares.items())
    )


def _show_promise(
    sufficiency: "FloatMatrix", acceptable: "BoolMatrix", max_under_route: float, confidence: float, ladder: Ladder, as_json: bool
) -> None:
    from learnedrouter.training import threshold

    if not 0 < max_under_route < 1:
        raise InputError(f"--max-under-route {max_under_route}: expected a share between 0 and 1")
    point = threshold.solve(threshold.curve(sufficiency, acceptable, confidence), max_under_route)
    if as_json:
        print_json({"rows": len(sufficiency), **asdict(point)})
        return
    print(
        f"threshold {point.threshold}: under-routed {point.under_routed:.1%} of {len(sufficiency)} rows, at most "
        f"{point.under_route_bound:.1%} with {confidence:.0%} confidence; "
        f"spares {point.spared:.1%} of the requests that need less than {ladder.names[-1]}"
    )


def _say_left_out(count: int, artifact: Path) -> None:
    if count:
        print(f"{count} rows left out: {artifact} was fitted or tuned on them")


def _usd(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        raise InputError(f"--max-usd-per-1k {text!r}: expected an amount in USD, such as 2.50")
    return amount
