"""``aiida-litraj usage``: what chains have cost."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from ..report.words import counted
from .ages import Age
from .console import emit_json, print_table
from .errors import refusals
from .options import json_option, with_profile

if TYPE_CHECKING:
    from ..usage.cost import Job
    from ..usage.jobs import Found

MOST_ROWS = 40
BY = ('chain', 'potential', 'code', 'computer', 'kind')
NOTHING = 'No job of this plugin has run here. Begin something: aiida-litraj launch --help'
_SOURCES = {
    'accounting': "by the scheduler's accounting",
    'engine': "by the engine's own clock",
    'code': "by the code's own clock",
    'scheduler': 'as the scheduler was last asked',
    'polls': 'between polls of AiiDA',
    'unknown': 'not known',
}


@click.command(short_help='What chains have cost.')
@click.argument('pks', metavar='[PK]...', nargs=-1)
@click.option('--since', type=Age(), metavar='AGE', help='Only jobs made since: 12h, 7d, 2w, or a day: 2026-11-01.')
@click.option('--by', type=click.Choice(BY), default='chain', show_default=True, help='What to add up by.')
@click.option('--storage', is_flag=True, help='Also nodes and bytes in the repository, by chain.')
@click.option('--remote', is_flag=True, help='Also bytes of folders on the computers, which are asked; by chain.')
@click.option('--csv', 'as_csv', is_flag=True, help='Print comma-separated values, a line for each row.')
@json_option
@with_profile
def usage(
    pks: tuple[str, ...],
    since: datetime | None,
    by: str,
    storage: bool,
    remote: bool,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Show GPU hours, core hours and model calls of the chains or jobs PK, or of all chains, and what was lost.

    A job counts once, however chains are nested. One from the cache costs nothing. What is not known is shown as ?, and
    a sum that lacks some of it with a + behind. Lost is the share of the time whose evaluations nobody got, for a job
    that was cut off was not gone on from.

    \b
    Examples:
      aiida-litraj usage
      aiida-litraj usage 123 456 --storage
      aiida-litraj usage --since 7d --by potential
      aiida-litraj usage --since 2026-11-01 --csv > november.csv
    """
    if as_csv and as_json:
        raise click.UsageError('--csv and --json: give one of both')
    if (storage or remote) and by != 'chain':
        raise click.UsageError(f'--{"storage" if storage else "remote"} goes by chain: leave out --by {by}')
    with refusals():
        content = _content(pks, since, by, storage, remote)
    if as_json:
        emit_json(content)
    elif as_csv:
        _print_csv(content)
    else:
        _print(content)


def _content(pks: tuple[str, ...], since: datetime | None, by: str, storage: bool, remote: bool) -> dict[str, Any]:
    """Return the sums as ``--json`` prints them."""
    from ..usage.jobs import find_jobs
    from ..usage.sums import add_up, key_of
    from .processes import load_process

    asked = [load_process(text).pk for text in pks]
    found = find_jobs(asked, since)

    def keys_of(job: Job) -> list[Any]:
        if by != 'chain':
            return [key_of(job, by)]
        above = (job.pk, *job.callers)
        return [pk for pk in asked if pk in above] if asked else [above[-1]]

    sums, total = add_up(found.jobs, keys_of, found.lineage)
    for pk in asked if by == 'chain' else ():
        sums.setdefault(pk, type(total)())
    rows = [{**_about(key, by, found), **one.as_dict()} for key, one in sums.items()]
    rows.sort(key=lambda row: (row['gpu_hours'] or 0.0, row['core_hours'] or 0.0, row['jobs']), reverse=True)
    content = {
        'since': None if since is None else since.isoformat(),
        'by': by,
        'rows': rows,
        'total': total.as_dict(),
    }
    if storage:
        _add_storage(content)
    if remote:
        _add_remote(content, found, keys_of)
    return content


def _about(key: Any, by: str, found: Found) -> dict[str, Any]:
    """Return what a row is of."""
    if by != 'chain':
        return {by: key}
    chain = found.chains.get(key)
    if chain is None:  # a process without a job
        from aiida.orm import load_node

        from .processes import entry_point

        node: Any = load_node(key)
        state = node.process_state.value if node.process_state else None
        kind = entry_point(node) or node.process_label
        return _row(key, node.uuid, kind, node.label, node.ctime, state, node.exit_status)
    return _row(chain.pk, chain.uuid, chain.kind, chain.label, chain.created, chain.state, chain.exit_status)


def _row(pk: int, uuid: str, kind: str, label: str, created: datetime, state: Any, status: Any) -> dict[str, Any]:
    return {
        'pk': pk,
        'uuid': uuid,
        'chain': kind,
        'label': label,
        'created': created.astimezone().isoformat(timespec='seconds'),
        'state': state,
        'exit_status': status,
    }


def _add_storage(content: dict[str, Any]) -> None:
    from ..usage.storage import storage_of

    each, together = storage_of([row['pk'] for row in content['rows']])
    for row in content['rows']:
        row['storage'] = each[row['pk']].as_dict()
    content['total']['storage'] = together.as_dict()


def _add_remote(content: dict[str, Any], found: Found, keys_of: Any) -> None:
    from ..usage.folders import folders_of, sizes_of

    folders = {folder.job: folder for folder in folders_of(job.pk for job in found.jobs)}
    sizes, problems = sizes_of(list(folders.values()))
    of_chain: dict[Any, set[int]] = {}
    for job in found.jobs:
        for key in keys_of(job):
            of_chain.setdefault(key, set()).add(job.pk)
    for row in content['rows']:
        mine = [folder for pk, folder in folders.items() if pk in of_chain.get(row['pk'], ())]
        row['remote'] = _remote(mine, sizes)
    content['total']['remote'] = _remote(list(folders.values()), sizes)
    content['problems'] = problems


def _remote(folders: list[Any], sizes: dict[int, int]) -> dict[str, Any]:
    known = [sizes[folder.pk] for folder in folders if folder.pk in sizes]
    return {
        'folders': len(folders),
        'bytes': sum(known) if known or not folders else None,
        'unknown': len(folders) - len(known),
    }


def _print_csv(content: dict[str, Any]) -> None:
    import csv
    import sys

    def flat(row: dict[str, Any], prefix: str = '') -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in row.items():
            if name != 'sources':
                found |= flat(value, f'{prefix}{name}_') if isinstance(value, dict) else {f'{prefix}{name}': value}
        return found

    rows = [flat(row) for row in content['rows']]
    # The head is there without a row too: a program reads it.
    total = flat(content['total'])
    writer = csv.DictWriter(sys.stdout, fieldnames=list(rows[0] if rows else total), lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)


def _print(content: dict[str, Any]) -> None:
    rows, total = content['rows'], content['total']
    if not total['jobs'] and not rows:
        click.echo(NOTHING if content['since'] is None else f'No job since {content["since"][:16]}.')
        return
    by = content['by']
    first: tuple[str, ...] = ('>pk', 'chain', 'label', 'since', 'ended') if by == 'chain' else (by,)
    stored = ('>nodes', '>repository') if 'storage' in total else ()
    remote = ('>on computers',) if 'remote' in total else ()
    columns = (*first, '>jobs', '>cached', '>GPU h', '>core h', '>wall h', '>model calls', '>lost', *stored, *remote)
    shown = [(*_names(row, by), *_numbers(row)) for row in rows[:MOST_ROWS]]
    if len(rows) > 1:
        shown.append((*('',) * (len(first) - 1), 'all', *_numbers(total)))
    print_table(None, columns, shown)
    if len(rows) > MOST_ROWS:
        click.echo(f'{len(rows) - MOST_ROWS:,} more that cost less: --json or --csv has all.')
    for line in _notes(total, rows):
        click.echo(line)
    for problem in content.get('problems', ()):
        click.echo(problem, err=True)


def _names(row: dict[str, Any], by: str) -> tuple[object, ...]:
    if by != 'chain':
        return (row[by],)
    ended = row['state'] if row['exit_status'] is None else row['exit_status']
    return row['pk'], row['chain'], row['label'][:30], row['created'][:16].replace('T', ' '), ended


def _numbers(row: dict[str, Any]) -> tuple[object, ...]:
    unknown = row['unknown']
    calls = row['model_calls']
    found: list[object] = [
        row['jobs'],
        row['cached_jobs'] or '',
        _hours(row['gpu_hours'], unknown['gpu']),
        _hours(row['core_hours'], unknown['core']),
        _hours(row['wall_hours'], unknown['wall']),
        '?' if calls is None else f'{calls:,}{"+" if unknown["model_calls"] else ""}',
        '' if not row['lost_share'] else f'{row["lost_share"]:.0%}',
    ]
    if 'storage' in row:
        found += [f'{row["storage"]["nodes"]:,}', bytes_text(row['storage']['bytes'])]
    if 'remote' in row:
        found.append(bytes_text(row['remote']['bytes']) + ('+' if row['remote']['unknown'] else ''))
    return tuple(found)


def _hours(value: float | None, unknown: int) -> str:
    if value is None:
        return '?'
    text = '0' if not value else '<0.01' if value < 0.01 else f'{value:,.0f}' if value >= 1000 else f'{value:.3g}'
    return text + ('+' if unknown else '')


def bytes_text(number: int | None) -> str:
    """Return a number of bytes in the unit in which a person thinks of it."""
    if number is None:
        return '?'
    value = float(number)
    for unit in ('B', 'kB', 'MB', 'GB'):
        if value < 1000.0:
            return f'{value:.3g} {unit}'
        value /= 1000.0
    return f'{value:.3g} TB'


def _lost_calls(total: dict[str, Any]) -> str:
    """Return how many model calls were lost; a job that has left no account of itself does not tell."""
    lost, unknown = total['lost_model_calls'], total['unknown_losses']
    if not unknown:
        return f'{lost or 0:,} model calls'
    of = f'{counted(unknown, "job")} did not tell'
    return f'an unknown number of model calls ({of})' if not lost else f'at least {lost:,} model calls ({of})'


def _notes(total: dict[str, Any], rows: list[dict[str, Any]]) -> list[str]:
    """Return what else is to be said of the sums."""
    found = []
    if total['cached_jobs']:
        kept = f'{_hours(total["saved_gpu_hours"], 0)} GPU h, {_hours(total["saved_core_hours"], 0)} core h'
        calls = f'{total["saved_model_calls"]:,} model calls'
        found.append(f'From the cache: {counted(total["cached_jobs"], "job")}, which saved {kept}, {calls}.')
    if total['lost_share']:
        hours = (
            f'{_hours(total["lost_gpu_hours"] or 0.0, 0)} GPU h, {_hours(total["lost_core_hours"] or 0.0, 0)} core h'
        )
        found.append(f'Lost: {hours}, {_lost_calls(total)}, in jobs that were cut off or failed and not gone on from.')
    if total['trainings']:
        hours = _hours(total['seconds_of_training'] / 3600.0, 0)
        found.append(f'{counted(total["trainings"], "training")} came to an end, with {hours} h of epochs.')
    told = [f'{number:,} {_SOURCES[name]}' for name, number in sorted(total['sources'].items())]
    if told:
        found.append(f'Times of jobs: {"; ".join(told)}.')
    if total['running_jobs']:
        found.append(f'{counted(total["running_jobs"], "job")} under way, counted as far as known.')
    if 'storage' in total and len(rows) > 1:
        found.append('What chains have in common is counted for each, and once for all.')
    return found
