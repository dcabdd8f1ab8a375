"""The trainings of a chain that has several: where each of them is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..report.words import counted

if TYPE_CHECKING:
    from aiida.orm import ProcessNode, WorkChainNode

    from ..contract.result import Progress

PREFIX = 'train_'
"""Before the name of a training, in the label of its call."""
MOST_ROWS = 40
"""Of a table that a person reads; ``--json`` has all."""


def trainings_of(process: ProcessNode, running: Mapping[int, Progress]) -> list[dict[str, Any]]:
    """Return how far each training below a chain is: state, epochs made and asked for, loss, seconds left.

    The loss is that on the validation set, after the last epoch; of a training that has ended, in its best one.
    ``epoch`` is ``None`` where nobody knows: in the moment between the last epoch and its files, and of a training
    that was killed.

    :param running: by pk, what the engines of the jobs wrote last that are on a computer now.
    """
    from aiida.orm import QueryBuilder, WorkChainNode

    query = QueryBuilder().append(type(process), filters={'id': process.pk}, tag='above')
    below = {'process_type': 'aiida.workflows:litraj.train.base'}
    query.append(
        WorkChainNode, with_incoming='above', filters=below, edge_filters={'label': {'like': f'{PREFIX}%'}},
        edge_project='label', project='*',
    )  # fmt: skip
    found = sorted(((node, label) for node, label in query.all()), key=lambda one: one[0].pk)
    return [_row(node, label, running) for node, label in found]


def _row(chain: WorkChainNode, stage: str, running: Mapping[int, Progress]) -> dict[str, Any]:
    from .processes import jobs_of

    row = {
        'stage': stage, 'training': stage.removeprefix(PREFIX), 'pk': chain.pk, 'state': 'waiting', 'epoch': 0,
        'epochs': chain.inputs.train.parameters['epochs'], 'valid_loss': None, 'seconds_left': None, 'reason': None,
    }  # fmt: skip
    if chain.is_terminated:
        return {**row, **_ended(chain)}
    for job in jobs_of(chain):
        if job.pk not in running:
            continue
        progress = running[job.pk]
        if progress.active:
            item = progress.active[0]
            row.update(state='training', epoch=item.step, valid_loss=item.loss, seconds_left=item.seconds_left)
        elif progress.n_finished:  # its files are on their way; how many epochs there were is in them
            row.update(state='ending', epoch=None)
        else:
            row['state'] = 'starting'
    return row


def _ended(chain: WorkChainNode) -> dict[str, Any]:
    """Return what is said of a training that has ended."""
    items = chain.outputs.results['items'] if 'results' in chain.outputs else {}
    item: dict[str, Any] = next(iter(items.values()), {})
    state = 'done' if chain.is_finished_ok else 'killed' if chain.is_killed else 'failed'
    reason = None if state == 'done' else item.get('reason') or chain.exit_message
    curve = next(iter(chain.outputs.curves.values()), None) if 'curves' in chain.outputs else None
    best, loss = item.get('best_epoch'), None
    if curve is not None and best:
        losses = curve.get_array('valid_loss')[curve.get_array('epoch') == best]
        loss = float(losses[0]) if len(losses) else None
    return {'state': state, 'epoch': item.get('n_epochs'), 'valid_loss': loss, 'reason': reason}


def trainings_text(trainings: Sequence[Mapping[str, Any]]) -> str | None:
    """Return in words how many trainings have ended, ``None`` if there are none."""
    if not trainings:
        return None
    states = [one['state'] for one in trainings]
    parts = [f'{states.count("done")} of {counted(len(trainings), "training")} done']
    parts += [f'{states.count(name)} {name}' for name in ('failed', 'killed') if name in states]
    return ', '.join(parts)


def rows_of(trainings: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """Return the rows of a table for a person; of very many what has ended well is left out first."""
    from .live import duration_text

    order = {'failed': 0, 'killed': 0, 'training': 1, 'ending': 1, 'starting': 2, 'waiting': 3, 'done': 4}
    kept = {one['stage'] for one in sorted(trainings, key=lambda one: order[one['state']])[:MOST_ROWS]}
    rows: list[tuple[Any, ...]] = [
        (
            one['training'], one['state'], one['epoch'], one['epochs'],
            None if one['valid_loss'] is None else f'{one["valid_loss"]:.4g}',
            one['reason'] if one['seconds_left'] is None else f'about {duration_text(one["seconds_left"])} left',
        )
        for one in trainings if one['stage'] in kept
    ]  # fmt: skip
    left_out = len(trainings) - len(rows)
    return [*rows, *([('', f'and {left_out} more', '', '', '', 'all with --json')] if left_out else [])]
