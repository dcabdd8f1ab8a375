"""How far labels are, and what of them is kept when their chain is stopped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..report.words import counted

if TYPE_CHECKING:
    from aiida.orm import ProcessNode


def labels_so_far(process: ProcessNode) -> list[dict[str, Any]]:
    """Return how far a chain of labels is, and those below a chain that labels among other things.

    :returns: ``pk`` of each, how many there are in ``total``, are ``labelled``, have ``failed``, are ``in_flight``.
    """
    from aiida.orm import QueryBuilder, WorkChainNode

    from ..groups.label_chains import PROGRESS_EXTRA

    own = process.base.extras.get(PROGRESS_EXTRA, None)
    if own is not None:
        return [{'pk': process.pk, **own}]
    query = QueryBuilder().append(WorkChainNode, filters={'id': process.pk}, tag='above')
    below = {'extras': {'has_key': PROGRESS_EXTRA}}
    query.append(WorkChainNode, with_incoming='above', filters=below, project=['id', f'extras.{PROGRESS_EXTRA}'])
    return [{'pk': pk, **one} for pk, one in sorted(query.all(), key=lambda row: row[0])]


def labels_text(one: Mapping[str, Any], over: bool = False) -> str:
    """Return in words how far labels are.

    :param over: nothing is under way any more.
    """
    parts = [f'{one["labelled"]:,} of {counted(one["total"], "configuration")} labelled']
    if one['failed']:
        parts.append(f'{one["failed"]:,} failed')
    if not over:
        parts.append(f'{one["in_flight"]} in flight')
    return ', '.join(parts)


def share_done(labels: list[dict[str, Any]]) -> float:
    """Return which part of the configurations has ended, well or not."""
    total = sum(one['total'] for one in labels)
    return sum(one['labelled'] + one['failed'] for one in labels) / total if total else 0.0


def kept_text(process: ProcessNode) -> str | None:
    """Return what of a stopped chain of labels is kept and what is not; ``None`` of a chain of another kind."""
    labels = labels_so_far(process)
    if not labels:
        return None
    done = sum(one['labelled'] for one in labels)
    lost = sum(one['in_flight'] for one in labels)
    kept = f'{counted(done, "finished label")} kept' if done else 'No label was finished'
    if not lost:
        return f'{kept}. {_again(process)}' if done else f'{kept}.'
    how = 'is lost and begins' if lost == 1 else 'are lost and begin'
    under_way = f'{counted(lost, "calculation")} under way {how} from the start'
    return f'{kept}; {under_way}, for a cycle to self-consistency leaves nothing to go on from. {_again(process)}'


def reuses(process: ProcessNode) -> bool:
    """Return whether the same launch would take the jobs of a process again, by what the profile reuses."""
    from aiida.manage.caching import get_use_cache

    from .processes import jobs_of

    return all(get_use_cache(identifier=kind) for kind in {job.process_type for job in jobs_of(process)})


def _again(process: ProcessNode) -> str:
    """Return what the same launch does now."""
    if not reuses(process):
        return 'The same launch computes all of them again, unless it is given --cache.'
    return 'The same launch computes what is missing.'
