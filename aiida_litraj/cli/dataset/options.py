"""Options by which entries are asked for, and the bar that shows how far something is."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import click

from ..console import console

Tell = Callable[[str, int, int | None], None]


class RangeType(click.ParamType):
    """A range as ``LOW:HIGH``; either end may be left out, and one number is both."""

    name = 'low:high'

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float | None, float | None]:
        if isinstance(value, tuple):
            return value
        found = parse_range(str(value))
        if found is None:
            self.fail(f'{value!r} is not a range: write LOW:HIGH, LOW: or :HIGH, for example 0.2:0.5', param, ctx)
        return found


def parse_range(text: str) -> tuple[float | None, float | None] | None:
    """Return the ends of a range, None if the text is none."""
    ends = text.split(':') if ':' in text else [text, text]
    try:
        low, high = (float(end) if end.strip() else None for end in ends)
    except ValueError:
        return None
    return None if low is None and high is None else (low, high)


def criteria_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which entries are meant; the command gets them as ``criteria``."""

    @functools.wraps(command)
    def wrapped(*args: Any, **options: Any) -> Any:
        names = ('split', 'formula', 'elements', 'chemsys', 'material', 'barrier', 'n_atoms', 'fmax', 'energy_per_atom')
        criteria = {name: value for name in names if (value := options.pop(name)) not in (None, ())}
        if where := options.pop('where'):
            criteria['properties'] = dict(_property(text) for text in where)
        return command(*args, criteria=criteria, **options)

    for option in reversed(
        (
            click.option('--split', metavar='NAME', help='train, val, test or a split of the set.'),
            click.option('--formula', metavar='F', multiple=True, help='Reduced formula in any order. Repeatable.'),
            click.option('--elements', metavar='A-B', help='Elements all of which occur, for example Li-P-S.'),
            click.option('--chemsys', metavar='A-B', help='Elements of which it consists, and no other.'),
            click.option('--material', metavar='ID', multiple=True, help='Material it belongs to. Repeatable.'),
            click.option('--barrier', type=RangeType(), help='Barrier in eV, for example 0.2:0.5 or :0.3.'),
            click.option('--n-atoms', type=RangeType(), help='Number of atoms.'),
            click.option('--fmax', type=RangeType(), help='Largest force on an atom in eV/Å.'),
            click.option('--energy-per-atom', type=RangeType(), help='Energy per atom in eV.'),
            click.option(
                '--where', metavar='P=VALUE', multiple=True,
                help="A property of the card: range or word, for example E_1D=:0.4. Repeatable.",
            ),
        )
    ):  # fmt: skip
        wrapped = option(wrapped)
    return wrapped


def _property(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition('=')
    if not name or not equals or not value:
        raise click.UsageError(f'--where {text!r} does not parse: write PROPERTY=LOW:HIGH or PROPERTY=WORD')
    if (found := parse_range(value)) is not None:
        return name, found
    return name, {'true': True, 'false': False}.get(value.lower(), value)


@contextlib.contextmanager
def progress_bar(as_json: bool, counted: str = 'bytes') -> Iterator[Tell]:
    """Give a function to be told a stage, how much is done and how much there is; silent but in a terminal.

    :param counted: ``bytes``, or what the numbers count.
    """
    screen = console(stderr=True)
    if as_json or not screen.is_terminal:
        yield lambda *_: None
        return
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = [DownloadColumn(), TransferSpeedColumn()] if counted == 'bytes' else [MofNCompleteColumn()]
    with Progress(
        TextColumn('{task.description}'), BarColumn(), *columns, TimeRemainingColumn(), console=screen
    ) as bar:
        tasks: dict[str, Any] = {}

        def tell(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done, total=total)

        yield tell


def profile_if_any() -> str | None:
    """Load the profile, and return why there is none if none was asked for by name.

    :raises Refusal: if the one that was asked for is not there.
    """
    from ...codes.problems import SetupProblem
    from ...codes.profile import load
    from ..errors import refusals

    name = click.get_current_context().find_root().obj
    with refusals():
        try:
            load(name)
        except SetupProblem as problem:
            if name is not None:
                raise
            return str(problem)
    return None
