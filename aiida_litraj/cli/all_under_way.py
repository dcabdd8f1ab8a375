"""``aiida-litraj status`` without a pk: the chains that are under way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..report.words import counted
from .console import emit_json, print_table

if TYPE_CHECKING:
    from aiida.orm import ProcessNode

NOTHING = (
    'Nothing is under way. Begin something: aiida-litraj launch --help. '
    'What has ended lately: verdi process list -a -p 1'
)


def tell(as_json: bool) -> None:
    """Print the chains that a person has launched and that have not ended, and how far they are."""
    content = [_about(chain) for chain in under_way()]
    if as_json:
        emit_json(content)
        return
    if not content:
        click.echo(NOTHING)
        return
    rows = [(one['pk'], one['process'], one['state'], one['since'], one['progress']) for one in content]
    print_table(None, ('>pk', 'chain', 'state', 'since', ''), rows)
    left = [one['pk'] for one in content if one['left_behind']]
    if left:
        them = 'it' if len(left) == 1 else 'them'
        click.echo(f'Nothing goes on with {", ".join(map(str, left))}: the next launch ends {them}')
    from aiida.engine.daemon.client import get_daemon_client

    alone = [one for one in content if not one['in_foreground']]
    if alone and not get_daemon_client().is_daemon_running:
        click.echo(
            f'The daemon does not run, and {counted(len(alone), "chain")} waits for it: aiida-litraj daemon start'
        )
    click.echo(f'More of one: aiida-litraj status {content[-1]["pk"]}')


def under_way() -> list[ProcessNode]:
    """Return the chains of the kinds that are launched, and not of another such chain, that have not ended.

    With them are the processes that such a chain, which has ended, has left alone.
    """
    from aiida.orm import QueryBuilder, WorkChainNode

    from .chains import CHAINS
    from .left_behind import left_alone
    from .under_way import ALIVE

    kinds = [f'aiida.workflows:{name}' for name in CHAINS]
    filters = {'attributes.process_state': {'in': ALIVE}, 'process_type': {'in': kinds}}
    query = QueryBuilder().append(WorkChainNode, filters=filters).order_by({WorkChainNode: 'id'})
    return [chain for chain in query.all(flat=True) if chain.caller is None] + left_alone()


def _about(chain: ProcessNode) -> dict[str, Any]:
    from .label_state import labels_so_far, labels_text
    from .left_behind import RUN_BY, is_left_behind
    from .processes import entry_point
    from .under_way import running_jobs

    labels, left = labels_so_far(chain), is_left_behind(chain)
    running = [] if labels else running_jobs(chain)
    told = '; '.join(labels_text(one) for one in labels) or (
        f'{counted(len(running), "job")} running' if running else ''
    )
    return {
        'pk': chain.pk,
        'uuid': chain.uuid,
        'process': entry_point(chain) or chain.process_label,
        'state': 'left behind' if left else chain.process_state.value if chain.process_state else 'lost',
        'since': f'{chain.ctime.astimezone():%Y-%m-%d %H:%M}',
        'left_behind': left,
        'in_foreground': left or chain.base.extras.get(RUN_BY, None) is not None,
        'labels': labels,
        'progress': told or None,
    }
