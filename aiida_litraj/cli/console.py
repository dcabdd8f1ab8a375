"""Printing: tables and progress with rich for a person, JSON for a program."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console


def emit_json(content: Mapping[str, Any] | list[Any]) -> None:
    """Print one JSON object on a line of its own on the standard output."""
    click.echo(json.dumps(content, allow_nan=False, default=str))


def console(stderr: bool = False) -> Console:
    """Return a console that neither colours numbers nor folds what is piped into a file."""
    from rich.console import Console

    made = Console(stderr=stderr, highlight=False, markup=False)
    if not made.is_terminal:
        made = Console(stderr=stderr, highlight=False, markup=False, width=160)
    return made


def print_table(title: str | None, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table; a column whose name begins with ``>`` is set flush right."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify='left', title_style='bold', pad_edge=False)
    for name in columns:
        table.add_column(name.removeprefix('>'), justify='right' if name.startswith('>') else 'left', overflow='fold')
    for row in rows:
        table.add_row(*('' if value is None else str(value) for value in row))
    console().print(table)


def print_pairs(rows: Iterable[tuple[str, object]]) -> None:
    """Print names and values in two columns; a value of ``None`` leaves its row out."""
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style='bold')
    table.add_column(overflow='fold')
    for name, value in rows:
        if value is not None:
            table.add_row(name, str(value))
    console().print(table)
