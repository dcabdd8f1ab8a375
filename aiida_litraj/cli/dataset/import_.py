"""``aiida-litraj dataset import``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...report.words import counted
from ..console import emit_json, print_pairs
from ..errors import Refusal, refusals
from ..options import json_option, with_profile
from .options import progress_bar
from .sets import card_of, demand_set

if TYPE_CHECKING:
    from ...datasets.ingest.run import ImportReport

_SHOWN = 10
"""Problems told one by one; --json tells all."""


@click.command('import', short_help='Store the entries of a set.')
@click.argument('source', nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option('--card', metavar='CARD', help="Name of a known set, or a YAML file.  [default: the source's name]")
@click.option('--name', metavar='NAME', help="Name for the set.  [default: the card's]")
@click.option('--limit', type=click.IntRange(1), help='Entries of each part at most; a later import goes on.')
@click.option(
    '--granularity', type=click.Choice(['entry', 'trajectory']), default='entry', show_default=True,
    help='A node for each entry, or for each chunk of many.',
)  # fmt: skip
@click.option('--strict', is_flag=True, help='Refuse a source with malformed entries instead of leaving them out.')
@click.option('--workers', type=click.IntRange(0), help='Processes that parse.  [default: one per core, up to four]')
@json_option
@with_profile
def import_(
    source: tuple[Path, ...],
    card: str | None,
    name: str | None,
    limit: int | None,
    granularity: str,
    strict: bool,
    workers: int | None,
    as_json: bool,
) -> None:
    """Store the entries of SOURCE, the publisher's zip, its unpacked folder or files, each with its provenance.

    Killed at any moment and started again, it goes on where it was. Malformed entries are left out and told.

    \b
    Examples:
      aiida-litraj dataset import MPLiTrj_subsample.zip
      aiida-litraj dataset import MPLiTrj.zip --limit 1000 --name try
      aiida-litraj dataset import run1.xyz run2.xyz --card my_card.yaml
    """
    with refusals(RuntimeError):
        from ...datasets.card import load_card
        from ...datasets.importers import importer_of
        from ...datasets.ingest.run import import_dataset
        from ...datasets.labels import labels_not_taken
        from ...datasets.source import Source
        from ...groups.notes import composition_note

        known = load_card(card or card_of(source[0]))
        if len(source) == 1:
            demand_set(source[0], known)
        notes = labels_not_taken(source, known)
        with Source.open(list(source) if len(source) > 1 else source[0]) as opened:
            notes += importer_of(known).remarks(opened, known)
        _tell(() if as_json else notes)
        with progress_bar(as_json, counted='entries') as tell, _goes_on():
            report = import_dataset(
                list(source) if len(source) > 1 else source[0], known, name, limit, granularity, strict, workers,
                progress=tell,
            )  # type: ignore[arg-type]  # fmt: skip
        after = composition_note(report.dataset)
    if as_json:
        emit_json({**_as_dict(report), 'notes': [*notes, *after]})
        return
    _tell(after)
    _print(report, limit)


def _tell(notes: Iterable[str]) -> None:
    for note in notes:
        click.echo(f'{click.style("note", fg="yellow")}  {note}', err=True)


@contextmanager
def _goes_on() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as error:
        raise Refusal('stopped; what was stored stays', 'Run the same command again: it goes on from there.') from error


def _as_dict(report: ImportReport) -> dict[str, object]:
    return {
        'dataset': report.dataset,
        'granularity': report.granularity,
        'entries': report.entries,
        'stored': report.stored,
        'present': report.present,
        'nodes': report.nodes,
        'skipped': len(report.problems),
        'problems': [
            {'file': one.file, 'line': one.line, 'entry': one.entry_id, 'reason': one.reason} for one in report.problems
        ],
        'seconds': report.seconds,
        'import_per_s': report.import_per_s,
        'complete': report.complete,
        'left_out_before': report.left_out_before,
        'sources_before': list(report.second_to),
    }


def _limited(limit: int | None, parts: int) -> str | None:
    if limit is None:
        return None
    of_each = f' of each of the {parts} parts' if parts > 1 else ''
    return f'the first {counted(limit, "entry")}{of_each} at most (--limit); without it the import goes on'


def _print(report: ImportReport, limit: int | None) -> None:
    click.echo(f'{report.dataset}: {counted(report.entries, "entry")}')
    if report.second_to:
        click.echo(
            f'This adds a second source to {report.dataset}, which was read from {", ".join(report.second_to)}: '
            f'now {counted(report.entries, "entry")}. A set of its own takes another --name'
        )
    entries = sum(1 for one in report.problems if one.line or one.entry_id is not None)
    nodes = counted(report.nodes, 'node')
    rate = f'{report.stored:,} in {nodes}, {report.seconds:.1f} s, {report.import_per_s:,.0f} a second'
    print_pairs(
        [
            ('stored now', rate if report.stored else 'nothing, all was there'),
            ('there before', f'{report.present:,}' if report.present else None),
            ('left out', f'{entries:,}' if entries else None),
            ('left out before', f'{report.left_out_before:,}' if report.left_out_before else None),
            ('read', _limited(limit, report.parts)),
        ]
    )
    for problem in report.problems[:_SHOWN]:
        click.echo(f'  {problem}', err=True)
    if len(report.problems) > _SHOWN:
        click.echo(f'  and {len(report.problems) - _SHOWN} more: --json tells all', err=True)
    click.echo(f'\nNext: aiida-litraj dataset show {report.dataset}')
