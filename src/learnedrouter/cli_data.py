"""``learnedrouter data``: checking, importing and labelling of data files; parsing and printing only."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from learnedrouter.cli_options import DEFAULT_CACHE
from learnedrouter.errors import InputError
from learnedrouter.printing import print_json, print_table, progress_bar
from learnedrouter.tiers import DEFAULT_LADDER

app = typer.Typer(no_args_is_help=True, help="Data files: check, import, label.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Column = Annotated[str | None, typer.Option(help="Name of the column; our own name where it is not given.")]
_ASK = 70
"""Characters of an ask in a table."""

_LISTED = 10
"""Rejects that are printed; --rejects lists all."""


@app.command()
def check(
    paths: Annotated[list[Path], typer.Argument(help="Labelled JSON lines: files, or folders of *.jsonl.")],
    embeddings: Annotated[bool, typer.Option(help="Look for near-duplicates and suspicious labels too; needs the encoder.")] = True,
    cache: Annotated[Path, typer.Option(help="Folder that keeps embeddings, shared with train.")] = DEFAULT_CACHE,
    show: Annotated[int, typer.Option(help="Findings of a kind to list; --json lists all.")] = 10,
    as_json: Json = False,
) -> None:
    """Validate data files, count what is in them, and find duplicates, leakage between splits and suspicious labels."""
    from learnedrouter.training.check import Embed
    from learnedrouter.training.check import check as run

    with progress_bar() as progress:

        def embed(rows: Any) -> Any:
            from learnedrouter.training import embed as embedding

            progress("loading the encoder", 0, 1)
            model = embedding.load_model(embedding.DEFAULT_MODEL, embedding.DEFAULT_MAX_TOKENS)
            progress("loading the encoder", 1, 1)
            return embedding.embed_readings(model, [row.ask.reading for row in rows], cache, progress)

        chosen: Embed | None = embed if embeddings else None
        found = run(paths, DEFAULT_LADDER, chosen)
    if as_json:
        print_json(found.as_dict())
    else:
        _print_findings(found.as_dict(), show)
    if found.errors:
        raise InputError(
            f"{', '.join(map(str, paths))}: {found.errors} errors ({len(found.problems)} unusable rows, "
            f"{len(found.straddling)} in groups that straddle splits, {len(found.leakage)} near-duplicates across splits)"
        )


@app.command("import")
def import_(
    format: Annotated[str, typer.Argument(help="csv, tsv, jsonl, parquet; openai-log, anthropic-log; routerbench, routellm, routerarena.")],
    path: Annotated[Path, typer.Argument(help="The source; for tables of outcomes also a folder.")],
    out: Annotated[Path, typer.Option(help="Data file to write; never overwritten.")],
    rejects: Annotated[Path | None, typer.Option(help="File to list in what could not be converted, as JSON lines.")] = None,
    prompt_column: Column = None,
    messages_column: Column = None,
    tier_column: Column = None,
    id_column: Column = None,
    group_column: Column = None,
    family_column: Column = None,
    language_column: Column = None,
    slices_column: Annotated[str | None, typer.Option(help="Column of a list, or of names with | between them.")] = None,
    tier_name: Annotated[list[str] | None, typer.Option(help="OTHER=TIER: what a table calls a tier.")] = None,
    model_tier: Annotated[list[str] | None, typer.Option(help="MODEL=TIER: the tier of a log's requests to a model.")] = None,
    as_json: Json = False,
) -> None:
    """Convert tables, request logs and tables of outcomes into data files; rows without a tier are left to label."""
    from learnedrouter.training.importing.convert import ImportPlan, convert
    from learnedrouter.training.importing.tables import Columns

    columns = Columns(prompt_column, messages_column, tier_column, id_column, group_column, family_column, language_column, slices_column)
    names, tiers = _pairs("--tier-name", tier_name), _pairs("--model-tier", model_tier)
    done = convert(ImportPlan(format, path, out, rejects, columns, names, tiers)).as_dict()
    if as_json:
        print_json(done)
        return
    print(f"{out}: {done['rows']} rows, {done['to_label']} of them to label; {len(done['rejects'])} records could not be converted")
    for what in ("tiers", "models"):
        if done[what]:
            print_table(what, (what[:-1], "rows"), [[name, str(count)] for name, count in done[what].items()])
    if done["rejects"]:
        listed = [[f"{reject['path']}:{reject['line']}", reject["reason"]] for reject in done["rejects"][:_LISTED]]
        others = len(done["rejects"]) - len(listed)
        print_table("not converted", ("where", "why"), listed)
        if others:
            print(f"and {others} more" + (f", all in {rejects}" if rejects else "; --rejects FILE lists all"))


@app.command()
def label(
    path: Annotated[Path, typer.Argument(help="A data file; written after every answer.")],
    again: Annotated[
        bool, typer.Option("--again", help="Ask about rows that have a tier as well; it is shown only after the choice.")
    ] = False,
    start: Annotated[str | None, typer.Option("--from", help="Id of the row to begin with.")] = None,
    artifact: Annotated[Path | None, typer.Option(help="Folder of an artefact, whose guess is shown after each choice.")] = None,
    rubric: Annotated[Path, typer.Option(help="What the key r shows.")] = Path("data/RUBRIC.md"),
) -> None:
    """Label rows by hand, a key a row: 1 to 4 for the tiers, u undo, s skip, r rubric, q quit."""
    from rich.console import Console

    from learnedrouter import desk
    from learnedrouter.training import labelling

    classifier = None
    if artifact:
        from learnedrouter.classifier.artifact import load

        classifier = load(artifact)
    session = labelling.begin(path, classifier.ladder if classifier else DEFAULT_LADDER, again=again, start=start)
    if not session.queue:
        print(f"{path}: every row has a tier; --again asks about them once more")
        return
    given = desk.label(session, _keys(), Console(highlight=False), rubric, desk.guesser(classifier) if classifier else None)
    left = session.current
    resume = f"; go on with: learnedrouter data label {path}" + (f" --again --from {left.id}" if again and left else "") if left else ""
    print(f"{path}: {given} tiers given, {len(session.queue) - session.done} rows left{resume}")


def _keys() -> Iterator[str]:
    """Yield keys as they are pressed; from a pipe, its characters. Control-C and the end of the pipe end them."""
    if not sys.stdin.isatty():
        yield from sys.stdin.read()
        return
    while True:
        try:
            yield typer.getchar()
        except (KeyboardInterrupt, EOFError):
            return


def _pairs(option: str, given: list[str] | None) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given or ():
        name, equals, tier = text.rpartition("=")
        if not equals or not name:
            raise InputError(f"{option} {text!r}: expected NAME=TIER")
        DEFAULT_LADDER.index(tier)
        pairs[name] = tier
    return pairs


def _print_findings(found: dict[str, Any], show: int) -> None:
    tiers = list(found["tiers"])
    total = found["rows"] or 1
    print(f"{found['rows']} rows in {', '.join(found['files'])}")
    print_table("tiers", ("tier", "rows", "share"), [[name, str(count), f"{count / total:.1%}"] for name, count in found["tiers"].items()])
    for heading, names in found["counts"].items():
        shown = list(names.items())[: max(show, 8)] if heading == "family" else list(names.items())
        rows = [[name, *(str(row[tier]) for tier in tiers), str(sum(row.values()))] for name, row in shown]
        more = f", the {len(shown)} largest of {len(names)}" if len(shown) < len(names) else ""
        print_table(f"tier by {heading}{more}", (heading, *tiers, "all"), rows)
    summary = Counter({key: len(found[key]) for key in ("problems", "straddling", "leakage", "conflicts", "near_duplicates", "suspects")})
    for key, title in (("problems", "unusable rows"), ("straddling", "rows whose group is in two splits")):
        if found[key]:
            shown = [[f"{entry['path']}:{entry['line']}", entry["problem"]] for entry in found[key][:show]]
            print_table(f"ERROR: {title} ({summary[key]})", ("where", "problem"), shown)
    for key, title in (
        ("leakage", "ERROR: near-duplicates across splits"),
        ("conflicts", "near-duplicates with different labels"),
        ("near_duplicates", "near-duplicates of different groups"),
    ):
        if found[key]:
            print_table(
                f"{title} ({summary[key]})", ("row", "tier", "split", "cosine", "same words", "ask"), list(_pair_rows(found[key][:show]))
            )
    if found["suspects"]:
        shown = [
            [entry["id"], entry["tier"], f"{entry['label_probability']:.3f}", entry["predicted"], entry["ask"][:_ASK]]
            for entry in found["suspects"][:show]
        ]
        print_table(f"suspicious labels ({summary['suspects']})", ("row", "label", "p(label)", "model says", "ask"), shown)
    for what, why in found["skipped"].items():
        print(f"not looked for: {what} ({why})")
    print(
        f"{found['errors']} errors; {summary['conflicts']} conflicts, {summary['near_duplicates']} near-duplicates in one split, "
        f"{found['variations']} near-duplicates within groups, {summary['suspects']} suspicious labels"
    )


def _pair_rows(pairs: list[dict[str, Any]]) -> Iterator[list[str]]:
    for pair in pairs:
        for place in ("first", "second"):
            row = pair[place]
            yield [row["id"], row["tier"], row["split"], f"{pair['cosine']:.3f}", f"{pair['shared_words']:.0%}", row["ask"][:_ASK]]
