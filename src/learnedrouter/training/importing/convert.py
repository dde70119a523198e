"""From a file in some format to a data file: checked row by row, written whole or not at all."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from learnedrouter.errors import DatasetError, InputError
from learnedrouter.rows import parse_request, write_object
from learnedrouter.tiers import DEFAULT_LADDER, Ladder
from learnedrouter.training.atomic import replaced
from learnedrouter.training.dataset import fingerprint
from learnedrouter.training.importing import anthropic_log, openai_log, routellm, routerarena, routerbench, tables
from learnedrouter.training.importing.records import READERS, Item, read_any, read_jsonl
from learnedrouter.training.importing.tables import Columns, TierNames

TABLES = ("csv", "tsv", "jsonl", "parquet")
LOGS = {"openai-log": openai_log.convert, "anthropic-log": anthropic_log.convert}
OUTCOMES = {"routerbench": routerbench.convert, "routellm": routellm.convert, "routerarena": routerarena.convert}
FORMATS = (*TABLES, *LOGS, *OUTCOMES)


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What to import, and how.

    Parameters
    ----------
    format
        One of `FORMATS`.
    path
        The source; for tables of outcomes also a folder.
    out
        The data file to write; must not be there yet.
    rejects
        Where to list what could not be converted; None for nowhere.
    columns
        Names of a table's columns.
    tier_names
        A table's names of tiers to ours.
    model_tiers
        A log's models to tiers.
    ladder
        The tiers.
    """

    format: str
    path: Path
    out: Path
    rejects: Path | None = None
    columns: Columns = field(default_factory=Columns)
    tier_names: Mapping[str, str] = field(default_factory=dict)
    model_tiers: Mapping[str, str] = field(default_factory=dict)
    ladder: Ladder = DEFAULT_LADDER


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a source.

    Parameters
    ----------
    rows
        Rows written.
    to_label
        Rows among them that have neither a tier nor outcomes.
    tiers
        Rows by tier.
    models
        By model, the rows that hold an outcome of it.
    rejects
        Why the others were not converted, in the source's order.
    """

    rows: int
    to_label: int
    tiers: Mapping[str, int]
    models: Mapping[str, int]
    rejects: tuple[DatasetError, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        rejects = [listed(problem) for problem in self.rejects]
        return {"rows": self.rows, "to_label": self.to_label, "tiers": self.tiers, "models": self.models, "rejects": rejects}


def convert(plan: ImportPlan) -> Imported:
    """Convert a source, and write what could be converted.

    Raises
    ------
    InputError
        The plan or the source as a whole cannot be used, or no record of it could be converted; nothing is written then.
    """
    _check(plan)
    rows: list[dict[str, Any]] = []
    rejects: list[DatasetError] = []
    known: dict[str, str] = {}
    for item in _converted(plan):
        try:
            rows.append(_checked(item, known))
        except DatasetError as problem:
            rejects.append(problem)
    if plan.rejects:
        _write(plan.rejects, [listed(problem) for problem in rejects])
    if not rows:
        first = f"; the first: {rejects[0]}" if rejects else ""
        raise DatasetError(plan.path, None, f"nothing could be converted of {len(rejects)} records{first}")
    _write(plan.out, rows)
    tiers = {name: sum(row.get("tier") == name for row in rows) for name in plan.ladder.names}
    models = sorted({model for row in rows for model in row.get("outcomes", {})})
    return Imported(
        rows=len(rows),
        to_label=sum("tier" not in row and "outcomes" not in row for row in rows),
        tiers={name: count for name, count in tiers.items() if count},
        models={model: sum(model in row["outcomes"] for row in rows) for model in models},
        rejects=tuple(rejects),
    )


def listed(problem: DatasetError) -> dict[str, Any]:
    """Return a reject as plain values."""
    return {"path": str(problem.path), "line": problem.line, "reason": problem.problem}


def _converted(plan: ImportPlan) -> Iterator[Item]:
    if plan.format in TABLES:
        return tables.convert(READERS[plan.format](plan.path), plan.columns, TierNames(plan.ladder, plan.tier_names))
    if plan.format in LOGS:
        return LOGS[plan.format](read_jsonl(plan.path), plan.model_tiers)
    return OUTCOMES[plan.format](read_any(plan.path))


def _check(plan: ImportPlan) -> None:
    if plan.format not in FORMATS:
        raise InputError(f"format {plan.format!r}: expected one of {', '.join(FORMATS)}")
    if plan.format not in TABLES and (plan.columns != Columns() or plan.tier_names):
        raise InputError(f"format {plan.format!r}: columns and --tier-name are for {', '.join(TABLES)}")
    if plan.columns.prompt and plan.columns.messages:
        raise InputError("--prompt-column and --messages-column: expected one of them, a request is either")
    if plan.format not in LOGS and plan.model_tiers:
        raise InputError(f"format {plan.format!r}: --model-tier is for {', '.join(LOGS)}")
    for tier in (*plan.tier_names.values(), *plan.model_tiers.values()):
        plan.ladder.index(tier)
    for path in (plan.out, plan.rejects):
        if path and not path.parent.is_dir():
            raise InputError(f"{path}: the folder {path.parent} does not exist")
    if plan.out.exists():
        raise InputError(f"{plan.out}: exists already; import never overwrites, so remove it or name another file")
    if plan.rejects and plan.rejects in (plan.path, plan.out):
        raise InputError(f"--rejects {plan.rejects}: is a file of this import itself; name another one")


def _checked(item: Item, known: dict[str, str]) -> dict[str, Any]:
    """Return a row that every reader of data files will take.

    Parameters
    ----------
    known
        Where ids and requests were seen; added to.
    """
    if isinstance(item, DatasetError):
        raise item
    row = dict(item.values)
    words = f"request {fingerprint(parse_request(item.path, item.line, row))}"
    identity = f"id {row['id']!r}"
    if words in known:
        raise DatasetError(item.path, item.line, f"duplicate of {known[words]}")
    if identity in known:
        raise DatasetError(item.path, item.line, f"{identity} stands at {known[identity]} already")
    known |= dict.fromkeys((words, identity), f"{item.path}:{item.line}")
    return row


def _write(path: Path, values: Iterable[Mapping[str, Any]]) -> None:
    with replaced(path) as file:
        file.writelines(map(write_object, values))
