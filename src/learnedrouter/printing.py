"""Figures as tables on a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table


def print_table(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; the first column is text, the others are figures."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for place, header in enumerate(headers):
        table.add_column(header, justify="left" if place == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def print_report(report: Mapping[str, Any]) -> None:
    """Print what `training.evaluate` found, as plain values."""
    figures = [[name, f"{f['value']:.3f}", f"{f['low']:.3f} - {f['high']:.3f}"] for name, f in report["figures"].items()]
    title = f"{report['rows']} rows that the artefact has not seen, threshold {report['threshold']:g}"
    print_table(title, ("figure", "value", "95 % interval"), figures)
    print_table("recall", ("tier", "share"), [[tier, f"{share:.3f}"] for tier, share in report["recall"].items()])
    for heading, key in (("slices", "slices"), ("controls", "controls")):
        shown = report[key]
        names = list(next(iter(shown.values()), {}))
        rows = [
            [name, *(f"{value:g}" if value == int(value) else f"{value:.3f}" for value in entry.values())] for name, entry in shown.items()
        ]
        print_table(heading, (heading[:-1], *names), rows)
