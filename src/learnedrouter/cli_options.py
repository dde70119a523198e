"""Options that several commands share, and what they mean together."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from learnedrouter.errors import InputError
from learnedrouter.tiers import Ladder

if TYPE_CHECKING:  # at run time they are imported where they are used: a command that needs no training should start at once
    from learnedrouter.training.examples import Labels, Outcomes
    from learnedrouter.training.outcomes import OutcomeLadder
    from learnedrouter.training.pipeline import Shape

Artifact = Annotated[Path, typer.Option("--artifact", help="Folder of the artefact.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Data = Annotated[list[Path] | None, typer.Option("--data", help="Labelled JSON lines: files, or folders of *.jsonl.")]
OutcomeData = Annotated[list[Path] | None, typer.Option("--outcomes", help="JSON lines with outcomes, in place of --data.")]
ModelLadder = Annotated[
    str | None,
    typer.Option("--ladder", help="TIER=MODEL,TIER=MODEL, cheapest first, for --outcomes; else every model, by its mean score."),
]
Accept = Annotated[float | None, typer.Option("--accept", help="Score from which an outcome is acceptable: 0.5, or the artefact's.")]
Encoder = Annotated[str, typer.Option("--encoder", help="onnx (all-MiniLM-L6-v2), a sentence-transformers name or folder, or an artefact.")]
ShapedEncoder = Annotated[
    str,
    typer.Option(
        "--encoder",
        help="onnx, static or cascade, made of all-MiniLM-L6-v2; of another sentence-transformers model: its name or folder (onnx), "
        "static:NAME or cascade:NAME. An artefact's folder: its encoders as they are, under new heads.",
    ),
]
MaxTokens = Annotated[int, typer.Option("--max-tokens", help="What the encoder reads of an ask; of a longer one, head and tail.")]
Seed = Annotated[int, typer.Option("--seed", help="Of everything random.")]
Cache = Annotated[Path, typer.Option("--cache", help="Folder that keeps embeddings between trainings.")]
Config = Annotated[Path, typer.Option("--config", help="The configuration.")]
Ledger = Annotated[str | None, typer.Option("--ledger", help="Of the traffic: an SQLite file, or a database's URL.")]
Prices = Annotated[Path | None, typer.Option("--prices", help="Prices in place of others: a router.toml, or [prices.MODEL] tables.")]
Since = Annotated[str | None, typer.Option("--since", help="From when: a date, a time (UTC), or so long ago: 24h, 7d.")]
Until = Annotated[str | None, typer.Option("--until", help="To when, not included.")]
DEFAULT_CACHE = Path(".cache/embeddings")
DEFAULT_MAX_TOKENS = 128
"""Both as in `training.embed`, which takes seconds to import."""

DEFAULT_CONFIG = Path("router.toml")

_AGO = re.compile(r"(\d{1,6})([mhdw])")
_SECONDS = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def moment(option: str, text: str | None) -> datetime | None:
    """Return the moment that `text`, the value of `option`, means; a time without a zone is in UTC.

    Raises
    ------
    InputError
        It means none.
    """
    if text is None:
        return None
    try:
        if ago := _AGO.fullmatch(text):
            return datetime.now(UTC) - timedelta(seconds=int(ago[1]) * _SECONDS[ago[2]])
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InputError(f"{option} {text!r}: expected a date (2026-11-01), a time (2026-11-01T12:00), or 90m, 24h, 7d, 4w") from None


def chosen_source(
    data: list[Path] | None, outcomes: list[Path] | None, labels: Ladder, ladder: str | None, accept: float | None
) -> "Labels | Outcomes":
    """Return what ``--data`` or ``--outcomes`` names; `labels` are the tiers that labels may name.

    Raises
    ------
    InputError
        Both are given, or neither, or an option goes with the other one.
    """
    from learnedrouter.training.examples import Labels

    if outcomes and not data:
        return outcome_source(outcomes, ladder, accept)
    if outcomes or not data:
        raise InputError("expected either --data PATH or --outcomes PATH")
    if ladder or accept is not None:
        raise InputError("--ladder and --accept: are about --outcomes, not --data")
    return Labels(tuple(data), labels)


def outcome_source(paths: list[Path], ladder: str | None, accept: float | None) -> "Outcomes":
    """Return what ``--outcomes`` names.

    Raises
    ------
    InputError
        The ladder is none, or no score is acceptable.
    """
    from learnedrouter.classifier.assessment import DEFAULT_ACCEPT
    from learnedrouter.training.examples import Outcomes

    if accept is not None and not 0 < accept <= 1:
        raise InputError(f"--accept {accept}: expected a score above 0, at most 1")
    return Outcomes(tuple(paths), _parsed(ladder), DEFAULT_ACCEPT if accept is None else accept)


def encoder_name(option: str) -> str:
    """Return the sentence-transformers model that ``--encoder`` means."""
    from learnedrouter.training.embed import DEFAULT_MODEL

    return DEFAULT_MODEL if option == "onnx" else option


def shaped_encoder(option: str) -> "tuple[Shape, str]":
    """Return what ``train --encoder`` asks for: what is made, and of which sentence-transformers model."""
    from learnedrouter.training.embed import DEFAULT_MODEL
    from learnedrouter.training.pipeline import SHAPES

    shape, _, source = option.partition(":")
    if shape not in SHAPES:
        return "onnx", option
    return shape, source or DEFAULT_MODEL


def _parsed(ladder: str | None) -> "OutcomeLadder | None":
    from learnedrouter.training.outcomes import OutcomeLadder

    return OutcomeLadder.parse(ladder) if ladder else None
