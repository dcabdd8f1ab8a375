"""``aiida-litraj dataset delete``."""

from __future__ import annotations

import click

from ..console import emit_json
from ..errors import Refusal, refusals
from ..options import json_option, with_profile


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
        click.echo(f'{plan.dataset}: {plan.entries:,} nodes of entries, {len(plan.pks):,} nodes in all')
        if plan.others:
            kinds = ', '.join(f'{number:,} {kind}' for kind, number in sorted(plan.others.items()))
            click.echo(f'Computed from them, and gone too: {kinds}')
            click.echo(''.join(f'  {label}\n' for label in plan.labels), nl=False)
        if plan.shared:
            click.echo(f'Groups that lose members: {", ".join(plan.shared)}')
    if dry_run:
        if as_json:
            emit_json({**content, 'deleted': 0})
        else:
            click.echo('Nothing was deleted (--dry-run).')
        return
    if not force:
        if as_json:
            raise Refusal(f'{name} was not deleted: nobody can be asked with --json', 'Add --force or --dry-run.')
        click.confirm('Delete all this? It cannot be undone', abort=True)
    with refusals(RuntimeError):
        deleted = remove(plan)
    if as_json:
        emit_json({**content, 'deleted': deleted})
    else:
        click.echo(f'Deleted {deleted:,} nodes. The files go with: verdi storage maintain')
