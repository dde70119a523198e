"""``learnedrouter tune``; parsing and printing only."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from learnedrouter.chat import Usage
from learnedrouter.cli_options import Accept, Artifact, Data, Json, ModelLadder, OutcomeData, chosen_source
from learnedrouter.errors import InputError
from learnedrouter.printing import print_json, print_table
from learnedrouter.tiers import Ladder

if TYPE_CHECKING:
    from learnedrouter.training.patterns import BoolMatrix, FloatMatrix
    from learnedrouter.training.threshold import Point

_SHOWN_POINTS = 15
"""Points of the Pareto curve in the printed table; JSON has all of them."""


@dataclass(frozen=True, slots=True)
class _Solved:
    """A threshold, the curve that it lies on, and how to tell of it.

    Parameters
    ----------
    found
        For JSON, and for the manifest.
    solved_for
        The promise, in words.
    told
        What it does, in words.
    curve
        The Pareto curve.
    usd_per_1k
        Of each of its points, where prices were asked for.
    """

    found: Mapping[str, Any]
    solved_for: str
    told: str
    curve: "Sequence[Point]"
    usd_per_1k: Sequence[float] | None = None


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
    plot: Annotated[Path | None, typer.Option(help="Draw the Pareto curve into this PNG file; needs matplotlib.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Write the threshold into the artefact and its card.")] = False,
    as_json: Json = False,
) -> None:
    """Solve for the threshold that keeps a promise or a budget, on labelled prompts or outcomes that the artefact has not seen."""
    from learnedrouter.classifier.artifact import load
    from learnedrouter.training.assess import assess
    from learnedrouter.training.held_out import accepted_from, held_out

    if max_usd_per_1k is not None and max_under_route is not None:
        raise InputError("--max-under-route and --max-usd-per-1k: expected one of them")
    promised = 0.03 if max_under_route is None else max_under_route
    if not 0 < promised < 1:
        raise InputError(f"--max-under-route {promised}: expected a share between 0 and 1")
    if plot:
        _refuse_plot(plot)
    classifier = load(artifact)
    if outcomes and accept is None:
        accept = accepted_from(artifact)
    held = held_out(artifact, classifier, chosen_source(data, outcomes, classifier.ladder, ladder, accept))
    sufficiency = assess(classifier, held.asks).believed
    if max_usd_per_1k is None:
        solved = _for_promise(sufficiency, held.acceptable, promised, confidence, classifier.ladder)
    else:
        if min(tokens_in, tokens_out) < 0:
            raise InputError(f"--tokens-in {tokens_in} --tokens-out {tokens_out}: expected none below 0")
        usage = Usage(tokens_in, output_tokens=tokens_out)
        budget = _usd(max_usd_per_1k)
        solved = _for_budget(sufficiency, held.acceptable, budget, usage, config, classifier.ladder)
    if plot:
        _draw(solved, plot)
    named = _written(artifact, solved, held.fingerprints) if write else None
    if as_json:
        print_json({**solved.found, "solved_for": solved.solved_for, "curve": _points(solved), **({"written": named} if named else {})})
        return
    print(f"threshold {solved.found['threshold']}: {solved.told}")
    _print_curve(solved)
    if named:
        print(f"written: the artefact is {named} now")


def _for_promise(
    sufficiency: "FloatMatrix", acceptable: "BoolMatrix", max_under_route: float, confidence: float, ladder: Ladder
) -> _Solved:
    from learnedrouter.training import threshold

    points = threshold.curve(sufficiency, acceptable, confidence)
    point = threshold.solve(points, max_under_route)
    rows = len(sufficiency)
    told = (
        f"under-routed {point.under_routed:.1%} of {rows} rows, at most {point.under_route_bound:.1%} with {confidence:.0%} confidence; "
        f"spares {point.spared:.1%} of the requests that need less than {ladder.names[-1]}"
    )
    solved_for = f"under-route at most {max_under_route:.3g} of the requests with {confidence:.0%} confidence, on {rows} rows"
    return _Solved({"rows": rows, **asdict(point)}, solved_for, told, threshold.pareto(points))


def _for_budget(
    sufficiency: "FloatMatrix", acceptable: "BoolMatrix", max_usd: Decimal, usage: Usage, config: Path, ladder: Ladder
) -> _Solved:
    from learnedrouter.config import load_settings
    from learnedrouter.training import budget, threshold

    priced = budget.prices(sufficiency, budget.request_prices(load_settings(config), ladder, usage))
    point = budget.solve(priced, max_usd)
    curve = threshold.pareto(threshold.curve(sufficiency, acceptable, threshold.DEFAULT_CONFIDENCE))
    usd = {entry.threshold: float(entry.usd_per_1k) for entry in priced}
    shares = dict(zip(ladder.names, point.shares, strict=True))
    requests = f"1,000 requests of {usage.input_tokens} tokens in and {usage.output_tokens} out"
    told = f"{point.usd_per_1k:.4f} USD per {requests}, over {len(sufficiency)} rows; " + ", ".join(
        f"{share:.1%} to {tier}" for tier, share in shares.items()
    )
    found = {"threshold": point.threshold, "rows": len(sufficiency), "usd_per_1k": float(point.usd_per_1k), "shares": shares}
    solved_for = f"at most {max_usd} USD per {requests}, on {len(sufficiency)} rows"
    return _Solved(found, solved_for, told, curve, [usd[entry.threshold] for entry in curve])


def _written(folder: Path, solved: _Solved, fingerprints: Any) -> str:
    from learnedrouter.training.retune import write_threshold

    said = {key: value for key, value in solved.found.items() if key != "threshold"}
    threshold = {"value": solved.found["threshold"], "solved_for": solved.solved_for, "feasible": True, **said}
    return write_threshold(folder, threshold, fingerprints).name


def _points(solved: _Solved) -> list[dict[str, Any]]:
    priced: Sequence[float | None] = solved.usd_per_1k or [None] * len(solved.curve)
    return [asdict(point) | ({} if usd is None else {"usd_per_1k": usd}) for point, usd in zip(solved.curve, priced, strict=True)]


def _print_curve(solved: _Solved) -> None:
    points = _points(solved)
    step = max(1, -(-len(points) // _SHOWN_POINTS))
    chosen = min(points, key=lambda point: abs(point["threshold"] - solved.found["threshold"]))
    shown = [point for place, point in enumerate(points) if place % step == 0 or point is chosen or place == len(points) - 1]
    names = [name for name in points[0] if name != "threshold"]
    rows = [[f"{point['threshold']:g}", *(f"{point[name]:.3f}" for name in names), "<" if point is chosen else ""] for point in shown]
    print_table(f"the Pareto curve ({len(shown)} of {len(points)} points)", ("threshold", *names, ""), rows)


def _refuse_plot(path: Path) -> None:
    from importlib.util import find_spec

    if path.suffix.lower() != ".png" or not path.absolute().parent.is_dir():
        raise InputError(f"--plot {path}: expected a .png file in a folder that exists")
    if find_spec("matplotlib") is None:
        raise InputError("--plot: needs matplotlib, which is not installed; expected pip install 'learnedrouter[plot]'")


def _draw(solved: _Solved, path: Path) -> None:
    from learnedrouter import plots

    across = solved.usd_per_1k or [point.over_routed for point in solved.curve]
    label = "USD per 1,000 requests" if solved.usd_per_1k else "share of requests over-routed"
    plots.save_pareto(path, across, solved.curve, solved.found["threshold"], label, solved.solved_for)


def _usd(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        raise InputError(f"--max-usd-per-1k {text!r}: expected an amount in USD, such as 2.50")
    return amount
