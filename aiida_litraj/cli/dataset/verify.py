"""``aiida-litraj dataset verify``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from ..console import emit_json
from ..errors import Refusal, refusals
from ..options import json_option, with_profile
from .options import progress_bar

_SHOWN = 20


@click.command('verify', short_help='Compute all checksums again.')
@click.argument('name')
@click.option(
    '--source', multiple=True, type=click.Path(exists=True, path_type=Path),
    help='Zip, folder or file to compare with those imported; can be given several times.',
)  # fmt: skip
@json_option
@with_profile
def verify_(name: str, source: tuple[Path, ...], as_json: bool) -> None:
    """Compute all checksums and hashes of the set NAME again; exit status 1 if anything is not what was imported.

    \b
    Example:
      aiida-litraj dataset verify MPLiTrj_subsample --source MPLiTrj_subsample.zip
    """
    with refusals():
        from ...groups.verify import verify

        with progress_bar(as_json, counted='nodes') as tell:
            found = verify(name, source, tell)
    if as_json:
        emit_json({**asdict(found), 'ok': found.ok})
        if not found.ok:
            raise SystemExit(1)
        return
    for line in found.checked:
        click.echo(f'{click.style("holds", fg="green")}  {line}')
    for line in found.notes:
        click.echo(f'{click.style("note", fg="yellow")}   {line}')
    for line in found.problems[:_SHOWN]:
        click.echo(f'{click.style("wrong", fg="red")}  {line}')
    if len(found.problems) > _SHOWN:
        click.echo(f'       and {len(found.problems) - _SHOWN} more: --json tells all')
    for line in found.other_sources:
        click.echo(f'{click.style("other", fg="red")}  {line}')
    if found.problems:
        raise Refusal(
            f'{name} is not what was imported: {len(found.problems)} problem(s)',
            f'Delete it and import it again: aiida-litraj dataset delete {name}',
        )
    if found.other_sources:
        raise Refusal(
            f'{name} was not imported from what was given',
            'The set itself is sound. Give the files that it was made of, or import these under another --name.',
        )
