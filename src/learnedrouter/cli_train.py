"""``learnedrouter train``; parsing and printing only."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from learnedrouter.cli_options import (
    DEFAULT_CACHE,
    DEFAULT_MAX_TOKENS,
    Accept,
    Cache,
    Data,
    Json,
    MaxTokens,
    ModelLadder,
    OutcomeData,
    Seed,
    ShapedEncoder,
    chosen_source,
    shaped_encoder,
)
from learnedrouter.errors import InputError
from learnedrouter.printing import print_json, print_outcome_report, print_report, progress_bar
from learnedrouter.tiers import DEFAULT_LADDER


def train(
    data: Data = None,
    outcomes: OutcomeData = None,
    ladder: ModelLadder = None,
    accept: Accept = None,
    out: Annotated[Path, typer.Option(help="Folder to write the artefact to.")] = Path("models/default"),
    encoder: ShapedEncoder = "onnx",
    finetune: Annotated[bool, typer.Option("--finetune", help="Fine-tune the encoder on the data first; takes minutes an epoch.")] = False,
    epochs: Annotated[int, typer.Option(help="Passes over the data when fine-tuning.")] = 3,
    max_tokens: MaxTokens = DEFAULT_MAX_TOKENS,
    precision: Annotated[str, typer.Option(help="Of a compiled transformer: fp32 or int8; token vectors are int8 anyway.")] = "fp32",
    seed: Seed = 0,
    cache: Cache = DEFAULT_CACHE,
    backend: Annotated[str, typer.Option(help="Where joblib runs tasks: threading, loky, dask or ray.")] = "threading",
    jobs: Annotated[int | None, typer.Option(help="Tasks at a time; one a core, or all of the cluster's. Dask takes all.")] = None,
    as_json: Json = False,
) -> None:
    """Train a classifier on labelled prompts, or on outcomes."""
    if precision not in ("fp32", "int8"):
        raise InputError(f"--precision {precision!r}: expected fp32 or int8")
    if epochs < 1 or max_tokens < 16:
        raise InputError(f"--epochs {epochs} --max-tokens {max_tokens}: expected at least 1 and 16")
    if jobs is not None and jobs < 1:
        raise InputError(f"--jobs {jobs}: expected at least 1")
    source = chosen_source(data, outcomes, DEFAULT_LADDER, ladder, accept)

    from learnedrouter.training.finetune import FROZEN, Recipe
    from learnedrouter.training.parallel import BACKENDS, Workers
    from learnedrouter.training.pipeline import TrainingPlan
    from learnedrouter.training.pipeline import train as run

    workers = next((Workers(known, jobs) for known in BACKENDS if known == backend), None)
    if workers is None:
        raise InputError(f"--backend {backend!r}: expected one of {', '.join(BACKENDS)}")
    shape, model = shaped_encoder(encoder)
    plan = TrainingPlan(
        source=source,
        out=out,
        encoder=model,
        shape=shape,
        max_tokens=max_tokens,
        precision="int8" if precision == "int8" else "fp32",
        recipe=Recipe(epochs=epochs) if finetune else FROZEN,
        seed=seed,
        cache=cache,
        workers=workers,
        command=shlex.join(["learnedrouter", *_without(sys.argv[1:], ("--cache", "--backend", "--jobs"), "--json")]),
    )
    with progress_bar() as progress:
        trained = run(plan, progress)
    manifest, report = trained.manifest, trained.findings.report
    if as_json:
        print_json(
            {"artifact": str(out), "name": manifest.name, "parity": trained.parity, "cascade": dict(manifest.cascade), "report": report}
        )
        return
    print(f"{out}: {manifest.name}, threshold {manifest.threshold['value']} ({manifest.threshold['solved_for']})")
    if manifest.cascade:
        print(_cascade_told(manifest.cascade))
    (print_outcome_report if outcomes else print_report)(report)


def _cascade_told(cascade: Mapping[str, Any]) -> str:
    if not cascade["feasible"]:
        return f"no cascade: {cascade['solved_for']}"
    test = cascade["test"]
    return (
        f"cascade: on the test rows the static head answers {test['share']:.1%}; macro-F1 {test['macro_f1']:.3f}, "
        f"with the last stage alone {test['alone']:.3f} ({cascade['solved_for']})"
    )


def _without(arguments: list[str], valued: tuple[str, ...], flag: str) -> list[str]:
    """Return `arguments` without what makes no difference to the artefact, and names places on one machine only."""
    kept, skipped = [], False
    for argument in arguments:
        if not skipped and argument not in (*valued, flag) and argument.partition("=")[0] not in valued:
            kept.append(argument)
        skipped = argument in valued
    return kept
