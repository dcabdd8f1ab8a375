"""``aiida-litraj dataset export``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from ...report.words import counted
from ..console import emit_json
from ..errors import refusals
from ..options import json_option, with_profile
from .options import criteria_options, progress_bar


@click.command('export', short_help='Write a set or a selection to files.')
@click.argument('name')
@criteria_options
@click.option(
    '--format', 'kind', type=click.Choice(['publisher', 'extxyz', 'extxyz-mace', 'extxyz-sevennet', 'archive']),
    help='What to write.  [default: publisher of a set that was imported, else extxyz]',
)  # fmt: skip
@click.option(
    '-o', '--output', type=click.Path(path_type=Path), help='Folder for publisher, else a file.  [default: by the name]'
)
@click.option('--force', is_flag=True, help='Replace what is there.')
@json_option
@with_profile
def export_(
    name: str, criteria: dict[str, Any], kind: str | None, output: Path | None, force: bool, as_json: bool
) -> None:
    """Write the set NAME, a split of it, or a selection (pk or uuid) to files, to the last digit.

    Labelled configurations are a selection too: NAME is their pk, or that of the chain that labelled them.

    \b
    publisher        the layout in which it was published
    extxyz           one file with energy, forces, stress as ASE reads them
    extxyz-mace      one file with REF_energy, REF_forces, REF_stress
    extxyz-sevennet  the same as extxyz, which SevenNet reads
    archive          an AiiDA archive, with all that the entries came from, and
                     so with the other entries of the chunks they were read in

    \b
    Examples:
      aiida-litraj dataset export nebDFT2k -o published/
      aiida-litraj dataset export my-labels -o my-labels.xyz
      aiida-litraj dataset export MPLiTrj/train --elements Li-P-S --format extxyz-mace -o train.xyz
      aiida-litraj dataset export 1234 --format extxyz-sevennet -o selection.xyz
    """
    with refusals(FileExistsError, FileNotFoundError):
        if kind is None:
            from ...groups.export import default_format

            kind = default_format(name)
        path = output or _default(name, kind)
        from aiida.manage import get_manager

        from ...groups.dataset import DatasetGroup
        from ...groups.export import export
        from ...groups.notes import left_out_note

        get_manager().get_profile_storage()  # opening it, which takes a second, is no part of writing
        began = time.monotonic()
        with progress_bar(as_json, counted='entries') as tell:
            done = export(name, kind, path, force, tell, **criteria)
        seconds = time.monotonic() - began
        # A selection has no entry that was left out.
        notes = [*done.notes, *(left_out_note(DatasetGroup.of(name)) if _is_set(name) else ())]
    if as_json:
        rate = done.entries / seconds if seconds else 0.0
        emit_json(
            {
                'path': str(done.path),
                'format': kind,
                'entries': done.entries,
                'configurations': done.configurations if done.nodes is None else None,
                'seconds': seconds,
                'export_per_s': rate,
                'nodes': done.nodes,
                'other_entries': done.others,
                'notes': notes,
            }
        )
        return
    click.echo(f'Wrote {counted(done.entries, "entry")} to {done.path} in {seconds:.1f} s')
    if done.nodes is not None:
        click.echo(f'In the archive: {counted(done.nodes, "node")}, with all that the entries came from')
    if done.others:
        click.echo(
            f'{click.style("note", fg="yellow")}  {counted(done.others, "entry")} more than asked for: by '
            "AiiDA's rules an import goes with all that it made, a chunk of entries. To pass on just these, use an "
            'extxyz format'
        )
    for note in notes:
        click.echo(f'{click.style("note", fg="yellow")}  {note}')


def _is_set(name: str) -> bool:
    from ...groups.dataset import DatasetGroup

    try:
        DatasetGroup.of(name)
    except ValueError:
        return False
    return True


def _default(name: str, kind: str) -> Path:
    if kind == 'publisher':
        return Path('.')
    return Path(name.replace('/', '_') + ('.aiida' if kind == 'archive' else '.xyz'))
