"""The command line: parsing and printing only."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from learnedrouter.cli_budgets import budgets
from learnedrouter.cli_data import app as data_app
from learnedrouter.cli_judge import ablate, evaluate
from learnedrouter.cli_options import Artifact, Json
from learnedrouter.cli_savings import savings
from learnedrouter.cli_simulate import simulate
from learnedrouter.cli_train import train
from learnedrouter.cli_tune import tune
from learnedrouter.errors import InfeasibleError, InputError
from learnedrouter.printing import print_json, print_table

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="The cheapest model that will do.")

app.add_typer(data_app, name="data")

DEFAULT_ARTIFACT = Path("models/default")


def main() -> None:
    """Run a command; bad input is one line on standard error, and exit status 2."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # half a surrogate pair, which JSON may hold and no terminal takes
    try:
        app()
    except (InputError, InfeasibleError) as error:
        print(f"learnedrouter: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(1)


app.command()(train)
app.command()(evaluate)
app.command()(tune)
app.command()(ablate)
app.command()(simulate)
app.command()(savings)
app.command()(budgets)


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
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help="Port to bind; 0 takes a free one.")] = None,
    config: Annotated[Path, typer.Option(help="The configuration.")] = Path("router.toml"),
    artifact: Annotated[Path | None, typer.Option("--artifact", help="Folder of the artefact, in place of the configured one.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes to serve with.")] = None,
    offline: Annotated[bool | None, typer.Option("--offline", help="Call no provider, whatever keys there are.")] = None,
) -> None:
    """Serve on HTTP."""
    from learnedrouter.service.garbage import collect_nothing_yet

    collect_nothing_yet()  # before the imports, which are most of the start
    from learnedrouter.config import load_settings
    from learnedrouter.service.server import run

    run(load_settings(config, host=host, port=port, artifact=artifact, workers=workers, offline=offline))


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
    print_table(f"{len(rows)} requests to {url}", ("ask", "tier", "confidence", "model", "cost, USD", "at the top tier"), shown)


@app.command()
def explain(
    identity: Annotated[str, typer.Argument(metavar="ID", help="A request's id, as the header x-learnedrouter-id gives it.")],
    url: Annotated[str, typer.Option(help="Where the service runs.")] = "http://127.0.0.1:8080",
    key: Annotated[str | None, typer.Option(envvar="LEARNEDROUTER_API_KEY", help="A key that the service accepts.")] = None,
    ledger: Annotated[str | None, typer.Option(help="Read this ledger instead: sqlite:///ledger.db, or any address like it.")] = None,
    as_json: Json = False,
) -> None:
    """Tell what was decided for a request, what was tried, and what that cost."""
    from learnedrouter.explain import explain as ask
    from learnedrouter.explain import explain_from

    told = explain_from(ledger, identity) if ledger else ask(url, identity, key)
    if as_json:
        print_json(told)
        return
    decision = told["decision"]
    print(f"{told['id']}: {told['outcome']}, answered by {told['model'] or 'no model'}, {_usd(told['cost']['usd'])} USD")
    print(f"tier {decision['tier']} (predicted {decision['predicted_tier']}) because: {', '.join(decision['reasons'])}")
    print_table("sufficiency", ("tier", "probability"), [[tier, f"{value:.3f}"] for tier, value in decision["sufficiency"].items()])
    tried = [[attempt["model"], attempt["outcome"], f"{attempt['duration_ms']:.0f}"] for attempt in told["attempts"]]
    print_table("attempts", ("model", "outcome", "ms"), tried)


@app.command()
def migrate(
    config: Annotated[Path, typer.Option(help="The configuration; its ledger.url is meant.")] = Path("router.toml"),
) -> None:
    """Bring the ledger's tables up to date, which `serve` does too when it starts."""
    from learnedrouter.config import load_settings
    from learnedrouter.sinks.ledger.database import bring_up_to_date

    print(f"the ledger is at version {bring_up_to_date(load_settings(config).ledger.url)}")


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
