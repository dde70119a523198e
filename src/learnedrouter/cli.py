"""The command line: parsing and printing only."""

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from learnedrouter.cli_data import app as data_app
from learnedrouter.errors import InfeasibleError, InputError
from learnedrouter.printing import print_json, print_report, print_table, progress_bar
from learnedrouter.tiers import DEFAULT_LADDER

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="The cheapest model that will do.")

app.add_typer(data_app, name="data")

Artifact = Annotated[Path, typer.Option("--artifact", help="Folder of the artefact.")]
DEFAULT_ARTIFACT = Path("models/default")
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Data = Annotated[list[Path], typer.Option("--data", help="Labelled JSON lines: files, or folders of *.jsonl.")]


def main() -> None:
    """Run a command; bad input is one line on standard error, and exit status 2."""
    try:
        app()
    except (InputError, InfeasibleError) as error:
        print(f"learnedrouter: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(1)


@app.command()
def train(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder to write the artefact to.")] = Path("models/default"),
    encoder: Annotated[str, typer.Option(help="onnx (all-MiniLM-L6-v2), or a sentence-transformers name or folder.")] = "onnx",
    finetune: Annotated[
        bool, typer.Option("--finetune", help="Fine-tune the encoder on the labels first; takes minutes an epoch.")
    ] = False,
    epochs: Annotated[int, typer.Option(help="Passes over the data when fine-tuning.")] = 3,
    max_tokens: Annotated[int, typer.Option(help="What the encoder reads of an ask; of a longer one, head and tail.")] = 128,
    precision: Annotated[str, typer.Option(help="Of the compiled encoder: fp32 or int8.")] = "fp32",
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    cache: Annotated[Path, typer.Option(help="Folder that keeps embeddings between trainings.")] = Path(".cache/embeddings"),
    as_json: Json = False,
) -> None:
    """Train a classifier on labelled prompts."""
    from learnedrouter.training.embed import DEFAULT_MODEL
    from learnedrouter.training.finetune import FROZEN, Recipe
    from learnedrouter.training.pipeline import TrainingPlan
    from learnedrouter.training.pipeline import train as run

    if precision not in ("fp32", "int8"):
        raise InputError(f"--precision {precision!r}: expected fp32 or int8")
    if epochs < 1 or max_tokens < 16:
        raise InputError(f"--epochs {epochs} --max-tokens {max_tokens}: expected at least 1 and 16")
    plan = TrainingPlan(
        data=tuple(data),
        out=out,
        ladder=DEFAULT_LADDER,
        encoder=DEFAULT_MODEL if encoder == "onnx" else encoder,
        max_tokens=max_tokens,
        precision="int8" if precision == "int8" else "fp32",
        recipe=Recipe(epochs=epochs) if finetune else FROZEN,
        seed=seed,
        cache=cache,
        command=shlex.join(["learnedrouter", *sys.argv[1:]]),
    )
    with progress_bar() as progress:
        trained = run(plan, progress)
    if as_json:
        print_json({"artifact": str(out), "name": trained.manifest.name, "parity": trained.parity, "report": trained.report.as_dict()})
        return
    print(f"{out}: {trained.manifest.name}, threshold {trained.manifest.threshold['value']} ({trained.manifest.threshold['solved_for']})")
    print_report(trained.report.as_dict())


@app.command()
def evaluate(
    artifact: Artifact, data: Data, as_json: Json = False, errors: Annotated[int, typer.Option(help="Wrong cases to list.")] = 10
) -> None:
    """Judge an artefact on labelled prompts that it has not seen; rows that it was trained on are left out."""
    from learnedrouter.classifier import artifact as artifacts
    from learnedrouter.training import dataset
    from learnedrouter.training.evaluate import evaluate as judge
    from learnedrouter.training.pipeline import unseen

    classifier = artifacts.load(artifact)
    rows = dataset.load(data, classifier.ladder)
    left = unseen(rows, artifact)
    report = judge(classifier, left).as_dict()
    if as_json:
        print_json(report)
        return
    if len(left) < len(rows):
        print(f"{len(rows) - len(left)} rows left out: {artifact} was fitted or tuned on them")
    print_report(report)
    shown = [[error["id"], error["needed"], error["predicted"], error["ask"]] for error in report["errors"][:errors]]
    print_table(f"wrong cases, the surest first ({len(report['errors'])} in all)", ("id", "needed", "predicted", "ask"), shown)


@app.command()
def tune(
    artifact: Artifact,
    data: Data,
    max_under_route: Annotated[float, typer.Option(help="Share of requests that may go to too low a tier.")] = 0.03,
    confidence: Annotated[float, typer.Option(help="With which probability the promise holds.")] = 0.95,
    as_json: Json = False,
) -> None:
    """Solve for the lowest threshold that keeps a promise on labelled prompts that the artefact has not seen."""
    import numpy as np

    from learnedrouter.classifier import artifact as artifacts
    from learnedrouter.training import dataset, threshold
    from learnedrouter.training.pipeline import unseen

    if not 0 < max_under_route < 1:
        raise InputError(f"--max-under-route {max_under_route}: expected a share between 0 and 1")
    classifier = artifacts.load(artifact)
    rows = unseen(dataset.load(data, classifier.ladder), artifact)
    sufficiency = classifier.assess([row.ask for row in rows]).sufficiency
    acceptable = threshold.from_labels(np.array([row.tier for row in rows]), len(classifier.ladder))
    points = threshold.curve(sufficiency, acceptable, confidence)
    point = threshold.solve(points, max_under_route)
    if as_json:
        print_json(
            {
                "threshold": point.threshold,
                "rows": len(rows),
                "under_routed": point.under_routed,
                "under_route_bound": point.under_route_bound,
                "spared": point.spared,
            }
        )
        return
    print(
        f"threshold {point.threshold}: under-routed {point.under_routed:.1%} of {len(rows)} rows, at most {point.under_route_bound:.1%} "
        f"with {confidence:.0%} confidence; spares {point.spared:.1%} of the requests that need less than {classifier.ladder.names[-1]}"
    )


@app.command()
def decide(
    file: Annotated[str, typer.Argument(help="JSON lines of requests, or - for standard input.")], artifact: Artifact = DEFAULT_ARTIFACT
) -> None:
    """Decide for requests, one a line, without calling any model."""
    from learnedrouter.batch import decisions
    from learnedrouter.classifier import artifact as artifacts

    classifier = artifacts.load(artifact)
    with open_input(file) as lines:
        for decision in decisions(classifier, lines, Path(file)):
            print(json.dumps(decision, ensure_ascii=False))


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to bind; loopback by default.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to bind; 0 takes a free one.")] = None,
    config: Annotated[Path, typer.Option(help="The configuration.")] = Path("router.toml"),
    artifact: Annotated[Path | None, typer.Option("--artifact", help="Folder of the artefact, in place of the configured one.")] = None,
    offline: Annotated[bool | None, typer.Option("--offline", help="Call no provider, whatever keys there are.")] = None,
) -> None:
    """Serve on HTTP."""
    from learnedrouter.config import load_settings
    from learnedrouter.service.server import run

    run(load_settings(config, host=host, port=port, artifact=artifact, offline=offline))


@app.command()
def demo(
    url: Annotated[str, typer.Option(help="Where the service runs.")] = "http://127.0.0.1:8080",
    as_json: Json = False,
) -> None:
    """Send a dozen varied requests to a running service, and show what became of them."""
    from learnedrouter.demo import run_demo

    rows = run_demo(url)
    if as_json:
        print_json(rows)
        return
    shown = [
        [row["ask"], row["tier"], f"{row['confidence']:.2f}", row["model"], _usd(row["cost_usd"]), _usd(row["baseline_usd"])]
        for row in rows
    ]
    print_table(f"{len(rows)} requests to {url}", ("ask", "tier", "confidence", "model", "cost, USD", "all at the top tier, USD"), shown)


@app.command()
def explain(
    identity: Annotated[str, typer.Argument(metavar="ID", help="A request's id, as the header x-learnedrouter-id gives it.")],
    url: Annotated[str, typer.Option(help="Where the service runs.")] = "http://127.0.0.1:8080",
    key: Annotated[str | None, typer.Option(envvar="LEARNEDROUTER_API_KEY", help="A key that the service accepts.")] = None,
    as_json: Json = False,
) -> None:
    """Tell what a running service decided for a request, what it tried, and what that cost."""
    from learnedrouter.explain import explain as ask

    told = ask(url, identity, key)
    if as_json:
        print_json(told)
        return
    decision = told["decision"]
    print(f"{told['id']}: {told['outcome']}, answered by {told['model'] or 'no model'}, {_usd(told['cost']['usd'])} USD")
    print(f"tier {decision['tier']} (predicted {decision['predicted_tier']}) because: {', '.join(decision['reasons'])}")
    print_table("sufficiency", ("tier", "probability"), [[tier, f"{value:.3f}"] for tier, value in decision["sufficiency"].items()])
    tried = [[attempt["model"], attempt["outcome"], f"{attempt['duration_ms']:.0f}"] for attempt in told["attempts"]]
    print_table("attempts", ("model", "outcome", "ms"), tried)


@contextmanager
def open_input(name: str) -> Iterator[BinaryIO]:
    """Give a file to read, or standard input for ``-``."""
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        file = open(name, "rb")  # noqa: SIM115 (closed below, past what opening it may raise)
    except OSError as error:
        raise InputError(f"{name}: {error.strerror}; expected a file of JSON lines") from error
    with file:
        yield file


def _usd(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.6f}"
