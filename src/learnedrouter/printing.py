"""Figures as tables, JSON and progress bars on a terminal."""

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

PIPED_WIDTH = 120
"""Characters a line where there is no terminal to ask, and no COLUMNS in the environment."""

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def print_table(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; columns of figures stand to the right, text to the left."""
    table = Table(title=plain(title), title_justify="left", header_style="bold")
    for place, header in enumerate(headers):
        figures = place > 0 and all(row[place][:1] in "+-.0123456789" for row in rows)
        table.add_column(header, justify="right" if figures else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(plain, row))
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPED_WIDTH
    Console(markup=False, emoji=False, width=width).print(table)  # prompts hold brackets and colons that mean nothing here


def plain(text: str) -> str:
    """Return text without control characters: a prompt may hold escape sequences, which a terminal would obey."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)


def print_report(report: Mapping[str, Any]) -> None:
    """Print what `training.evaluate` found, as plain values."""
    figures = [_interval(name, f) for name, f in report["figures"].items()]
    title = f"{report['rows']} rows that the artefact has not seen, threshold {report['threshold']:g}"
    print_table(title, ("figure", "value", "95 % interval"), figures)
    print_table("recall", ("tier", "share", "95 % interval"), [_interval(tier, f) for tier, f in report["recall"].items()])
    calibration = [_interval(name, found["error"]) for name, found in report["calibration"].items()]
    print_table("calibration error without and with temperature", ("calibration", "error", "95 % interval"), calibration)
    for heading, key in (("slices", "slices"), ("controls", "controls")):
        shown = report[key]
        names = list(next(iter(shown.values()), {}))
        rows = [
            [name, *(f"{value:g}" if value == int(value) else f"{value:.3f}" for value in entry.values())] for name, entry in shown.items()
        ]
        print_table(heading, (heading[:-1], *names), rows)


def _interval(name: str, figure: Mapping[str, float]) -> list[str]:
    return [name, f"{figure['value']:.3f}", f"{figure['low']:.3f} - {figure['high']:.3f}"]


def print_outcome_report(report: Mapping[str, Any]) -> None:
    """Print what `training.quality` found, as plain values."""
    at = "" if report["threshold"] is None else f", threshold {report['threshold']:g}"
    title = f"{report['rows']} rows{at}: " + ", ".join(f"{tier} = {model}" for tier, model in report["models"].items())
    for heading, routers in ((title, report["ranking"]), ("what routing gives", report["routing"])):
        names = list(next(iter(routers.values())))
        rows = [
            [router, *(f"{found[name]['value']:.3f} ({found[name]['low']:.3f} - {found[name]['high']:.3f})" for name in names)]
            for router, found in routers.items()
        ]
        print_table(heading, ("router", *names), rows)


def dollars(amount: Decimal | None) -> str:
    """Return an amount as tables show it: to the cent, or smaller ones by their first two figures."""
    if amount is None:
        return "unknown"
    return f"{amount:,.2f}" if not amount or abs(amount) >= Decimal("0.01") else f"{amount:.2g}"


def percent(share: Decimal | float | None) -> str:
    """Return a share as tables show it; None is a share of nothing."""
    return "-" if share is None else f"{share:.1%}"


def number(value: Decimal | None) -> float | None:
    """Return a figure as JSON has it: there are no decimals, but a double holds a cent to fifteen digits."""
    return None if value is None else float(value)


def print_json(value: Any) -> None:
    """Print `value` as JSON on standard output."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


@contextmanager
def progress_bar() -> Iterator[Any]:
    """Give a `Progress` that draws on standard error, where that is a terminal; elsewhere one line a step."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console) as bar:
        steps: dict[str, Any] = {}

        def advance(step: str, done: int, total: int) -> None:
            if step not in steps:
                steps[step] = bar.add_task(step, total=total)
            bar.update(steps[step], completed=done, total=total)

        yield advance
