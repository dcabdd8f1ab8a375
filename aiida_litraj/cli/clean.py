"""``aiida-litraj clean``: folders of finished chains taken away from their computers."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from ..report.words import counted
from .ages import Age
from .console import emit_json, print_table
from .errors import Refusal, refusals
from .options import json_option, with_profile
from .usage import bytes_text

if TYPE_CHECKING:
    from ..usage.cleaning import Plan

MOST_ROWS = 20


@click.command(short_help='Take away folders of finished chains.')
@click.argument('pks', metavar='[PK]...', nargs=-1)
@click.option(
    '--older-than', type=Age(), metavar='AGE', help='Only what has ended before: 14d, 2w, or a day: 2026-11-01.'
)
@click.option('--failed', is_flag=True, help='Also of what was cut off or failed, which then begins anew.')
@click.option('--kept', is_flag=True, help='Also what was launched to keep its folder: keep_folder, clean_workdir.')
@click.option('--dry-run', is_flag=True, help='Say what would go, and take nothing away.')
@click.option(
    '--sizes/--no-sizes', default=True, show_default=True, help='Ask the computers how large the folders are.'
)
@click.option('--yes', is_flag=True, help='Do not ask.')
@json_option
@with_profile
def clean(
    pks: tuple[str, ...],
    older_than: datetime | None,
    failed: bool,
    kept: bool,
    dry_run: bool,
    sizes: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Take the folders of the chains or jobs PK, or of all, away from their computers, where they have finished well.

    What has been computed is in the database and stays. Folders of what is under way, and those that a job goes on
    from, stay in any case; those of what was cut off stay without --failed, for the same launch goes on from there, and
    those that were to be kept without --kept.

    \b
    Examples:
      aiida-litraj clean --dry-run
      aiida-litraj clean --older-than 14d
      aiida-litraj clean 123 --failed --yes
    """
    with refusals():
        from ..usage.cleaning import plan
        from ..usage.folders import sizes_of
        from .processes import load_process

        planned = plan([load_process(text).pk for text in pks], older_than, failed, kept)
        measured, problems = sizes_of(planned.folders) if sizes else ({}, [])
    content = _content(planned, measured, problems)
    if not as_json:
        _print_plan(planned, measured, problems)
    if dry_run or not planned.folders:
        if as_json:
            emit_json({**content, 'cleaned': 0})
        elif dry_run:
            click.echo('Nothing was taken away (--dry-run).')
        return
    if not yes:
        if as_json:
            raise Refusal('nothing was taken away: nobody can be asked with --json', 'Add --yes or --dry-run.')
        click.confirm(f'Take {counted(len(planned.folders), "folder")} away? It cannot be undone', abort=True)
    left = _clean(planned, as_json)
    cleaned = len(planned.folders) - len(left)
    if as_json:
        emit_json({**content, 'cleaned': cleaned, 'problems': [*problems, *left]})
    else:
        click.echo(f'Taken away: {counted(cleaned, "folder")}.')
    if left:
        if as_json:
            raise SystemExit(1)
        alike = Counter(left).most_common(3)
        said = '; '.join(text if number == 1 else f'{text} ({number} times)' for text, number in alike)
        raise Refusal(
            f'{counted(len(left), "folder")} could not be taken away: {said}', 'The same command tries again.'
        )


def _content(planned: Plan, measured: dict[int, int], problems: list[str]) -> dict[str, Any]:
    """Return the plan as ``--json`` prints it."""
    known = [measured[folder.pk] for folder in planned.folders if folder.pk in measured]
    return {
        'folders': [
            {
                'pk': folder.pk,
                'job': folder.job,
                'chain': planned.chain_of[folder.pk].pk,
                'computer': folder.computer,
                'path': folder.path,
                'bytes': measured.get(folder.pk),
            }
            for folder in planned.folders
        ],
        'bytes': sum(known) if known or not planned.folders else None,
        'kept': planned.kept,
        'not_to_be_gone_on_from': planned.resumable,
        'anew_by_an_equal_launch': planned.several,
        'problems': problems,
    }


def _print_plan(planned: Plan, measured: dict[int, int], problems: list[str]) -> None:
    from ..usage.cleaning import KEPT

    by_chain: dict[int, list[Any]] = {}
    for folder in planned.folders:
        by_chain.setdefault(planned.chain_of[folder.pk].pk, []).append(folder)
    rows = []
    for pk, folders in sorted(by_chain.items()):
        chain, computers = planned.chain_of[folders[0].pk], sorted({folder.computer for folder in folders})
        ended = chain.state if chain.exit_status is None else chain.exit_status
        rows.append(
            (pk, chain.kind, chain.label[:30], ended, ', '.join(computers), len(folders), _size(folders, measured))
        )
    if rows:
        shown = rows[:MOST_ROWS]
        print_table(None, ('>pk', 'chain', 'label', 'ended', 'computer', '>folders', '>size'), shown)
    if len(rows) > MOST_ROWS:
        click.echo(f'and {len(rows) - MOST_ROWS:,} more.')
    if planned.folders:
        click.echo(f'To go: {counted(len(planned.folders), "folder")}, {_size(planned.folders, measured)}.')
    else:
        click.echo('There is no folder to take away.')
    for why, number in planned.kept.items():
        click.echo(f'Kept: {counted(number, "folder")} {KEPT[why]}.')
    if planned.resumable:
        some = ', '.join(map(str, planned.resumable[:5])) + (', ...' if len(planned.resumable) > 5 else '')
        click.echo(
            f'Careful: {counted(len(planned.resumable), "job")} ({some}) did not come to an end; without the folders '
            'nothing can go on from there, and the same launch begins anew.'
        )
    if planned.several:
        click.echo(
            f'Careful: {counted(len(planned.several), "chain")} came to an end in a job that had only the rest of the '
            'items; without its folder the same launch again computes anew.'
        )
    for problem in problems:
        click.echo(problem, err=True)


def _size(folders: list[Any], measured: dict[int, int]) -> str:
    known = [measured[folder.pk] for folder in folders if folder.pk in measured]
    if not known:
        return 'size not known'
    return bytes_text(sum(known)) + ('' if len(known) == len(folders) else ' and more')


def _clean(planned: Plan, quiet: bool) -> list[str]:
    """Take the folders away, with a bar, and return what went wrong."""
    from rich.progress import Progress

    from ..usage.folders import clean as take_away
    from .console import console

    left = []
    with Progress(console=console(stderr=True), disable=quiet, transient=True) as bar:
        task = bar.add_task('cleaning', total=len(planned.folders))

        def tell(_: Any, problem: str | None) -> None:
            bar.advance(task)
            if problem is not None:
                left.append(problem)

        take_away(planned.folders, tell)
    return left
