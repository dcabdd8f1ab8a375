"""``aiida-litraj dataset delete``."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from ...report.words import counted
from ..console import emit_json
from ..errors import Refusal, refusals
from ..options import json_option, with_profile

if TYPE_CHECKING:
    from ...groups.remove import Removal


@click.command('delete', short_help='Delete a set with what hangs on it.')
@click.argument('name')
@click.option('--dry-run', is_flag=True, help='Say what would go, and delete nothing.')
@click.option('--force', is_flag=True, help='Delete without asking, with all that was computed from it.')
@json_option
@with_profile
def delete_(name: str, dry_run: bool, force: bool, as_json: bool) -> None:
    """Delete the set NAME with its imports; what was computed from its entries has to go with it.

    \b
    Examples:
      aiida-litraj dataset delete try --dry-run
      aiida-litraj dataset delete try
    """
    with refusals():
        from ...groups.remove import plan_removal, remove

        plan = plan_removal(name)
    content = {
        'dataset': name,
        'nodes': len(plan.pks),
        'entries': plan.entries,
        'others': plan.others,
        'groups': list(plan.shared),
    }
    if not as_json:
        click.echo(
            f'{plan.dataset} in the profile {_profile()}: {counted(plan.entries, "node")} of entries, '
            f'{counted(len(plan.pks), "node")} in all'
        )
        if plan.others:
            kinds = ', '.join(f'{number:,} {kind}' for kind, number in sorted(plan.others.items()))
            click.echo(f'Computed from them, and gone too: {kinds}')
            click.echo(''.join(f'  {line}\n' for line in _examples(plan)), nl=False)
        if plan.shared:
            click.echo(f'Groups that lose members: {", ".join(map(_described, plan.shared))}')
    if dry_run:
        if as_json:
            emit_json({**content, 'deleted': 0})
        else:
            click.echo('Nothing was deleted (--dry-run).')
        return
    if not force:
        if as_json:
            raise Refusal(f'{name} was not deleted: nobody can be asked with --json', 'Add --force or --dry-run.')
        click.confirm(f'Delete all this from the profile {_profile()}? It cannot be undone', abort=True)
    with refusals(RuntimeError):
        deleted = remove(plan)
    if as_json:
        emit_json({**content, 'deleted': deleted})
    else:
        click.echo(f'Deleted {counted(deleted, "node")}. The files go with: verdi storage maintain')


def _examples(plan: Removal) -> list[str]:
    """Return by what labels a person may know some of what goes; that of a process only repeats its kind."""
    counts = Counter(label for label in plan.labels if label not in plan.others)
    return [
        f'for example "{label}"' + (f', {number} of them' if number > 1 else '') for label, number in counts.items()
    ]


def _profile() -> str:
    from ...codes.profile import load

    return load()  # the one that is loaded


def _described(label: str) -> str:
    """Return the label of a group, with where it comes from if AiiDA has made it."""
    from aiida.orm import Group, ImportGroup

    group = Group.collection.find({'label': label})
    made = bool(group) and isinstance(group[0], ImportGroup)
    return f'{label} (made by verdi archive import of what it brought)' if made else label
