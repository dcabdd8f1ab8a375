"""What speaks against taking folders of jobs away, by a few questions to the database for any number of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from aiida.orm import Bool, CalcJobNode, Data, Dict, QueryBuilder, RemoteData, WorkChainNode

from ..contract.errors import stands
from ..contract.result import ITEMS
from ..contract.verdict import is_end

_TYPES = {f'aiida.calculations:litraj.{task}': items for task, items in ITEMS.items()}
_KEEP_FOLDER = f'attributes.{CalcJobNode.METADATA_INPUTS_KEY}.metadata.options.keep_folder'
"""Options are among the attributes of a job if the scheduler is told of them, which this one is not."""
_STATUS = 'attributes.exit_status'


def with_items_left(pks: Iterable[int], done: Collection[int] = frozenset()) -> set[int]:
    """Return which of some jobs have an item that neither they nor any job that went on from them has ended.

    A launch that asks for such an item alone goes on from the folder. A job of another plugin has items that nobody
    knows.

    :param done: pks of jobs of which it is known that nothing of them is left.
    """
    asked = set(pks)
    heirs = _heirs(asked)
    everything = asked.union(*heirs.values())
    given = items_of(everything)
    ended = {pk: given[pk] if pk in done else set() for pk in everything} | _ended(everything - set(done), given)
    left = set()
    for pk in asked - set(done):
        after, layer = set(), {pk}
        while layer := layer - after:
            after |= layer
            layer = {heir for each in layer for heir in heirs.get(each, ())}
        if not given[pk] or given[pk] - set().union(*(ended[each] for each in after)):
            left.add(pk)
    return left


def items_of(pks: Collection[int]) -> dict[int, set[str]]:
    """Return the names of the items of each job, none for jobs of other plugins."""
    found: dict[int, set[str]] = {pk: set() for pk in pks}
    query = QueryBuilder().append(
        CalcJobNode, filters={'id': {'in': sorted(pks)}}, tag='job', project=['id', 'process_type']
    )
    labels = {'or': [{'label': {'like': f'{name}\\_\\_%'}} for name in ITEMS.values()]}
    query.append(Data, with_outgoing='job', edge_filters=labels, edge_project='label')
    for pk, kind, label in query.all() if pks else ():
        items, _, name = label.partition('__')
        if items == _TYPES.get(kind):  # structures are the items of a relaxation, and what dynamics start from
            found[pk].add(name)
    return found


def asked_to_stay(callers: Mapping[int, Collection[int]]) -> set[int]:
    """Return which of some jobs were launched to keep their folder, by an option of theirs or an input of a chain.

    :param callers: by the pk of a job, those of all chains above it.
    """
    if not callers:
        return set()
    kept: dict[str, Any] = {'id': {'in': sorted(callers)}, _KEEP_FOLDER: True}
    query = QueryBuilder().append(CalcJobNode, filters=kept, project='id')
    jobs = set(query.all(flat=True))
    above = sorted({pk for pks in callers.values() for pk in pks})
    chains: set[int] = set()
    for kind, label, filters in (
        (Bool, 'clean_workdir', {'attributes.value': False}),
        (Dict, 'jobs', {'attributes.keep_folders': True}),
    ):
        ours: dict[str, Any] = {'id': {'in': above}, 'process_type': {'like': 'aiida.workflows:litraj.%'}}
        query = QueryBuilder().append(WorkChainNode, filters=ours, tag='chain', project='id')
        query.append(kind, with_outgoing='chain', edge_filters={'label': label}, filters=filters)
        chains |= set(query.all(flat=True)) if above else set()
    return jobs | {pk for pk, pks in callers.items() if not chains.isdisjoint(pks)}


def _heirs(pks: Iterable[int]) -> dict[int, set[int]]:
    """Return the jobs that went on from each, over any number of steps; one question for each step."""
    found: dict[int, set[int]] = defaultdict(set)
    layer, seen = set(pks), set[int]()
    while layer := layer - seen:
        seen |= layer
        query = QueryBuilder().append(CalcJobNode, filters={'id': {'in': sorted(layer)}}, tag='before', project='id')
        query.append(RemoteData, with_incoming='before', tag='folder')
        query.append(CalcJobNode, with_incoming='folder', edge_filters={'label': 'parent_folder'}, project='id')
        rows = query.all()
        for before, heir in rows:
            found[before].add(heir)
        layer = {heir for _, heir in rows}
    return found


def _ended(pks: Collection[int], given: Mapping[int, set[str]]) -> dict[int, set[str]]:
    """Return the names of the items that each job has brought to an end which counts for any launch.

    An item that was given up for where or how long the job ran is not at its end: another launch may go on with it.
    """
    found: dict[int, set[str]] = {pk: set() for pk in pks}
    if not pks:
        return found
    query = QueryBuilder().append(CalcJobNode, filters={'id': {'in': sorted(pks)}}, tag='job')
    query.add_projection('job', ['id', 'attributes.process_state', _STATUS])
    for pk, state, status in query.all():
        if state == 'finished' and status is not None and stands(status):
            found[pk] = given[pk]
    unsure = sorted(pk for pk in pks if not found[pk])
    query = QueryBuilder().append(CalcJobNode, filters={'id': {'in': unsure}}, tag='job', project='id')
    query.append(Dict, with_incoming='job', edge_filters={'label': 'results'}, project='attributes.items')
    for pk, items in query.all() if unsure else ():
        found[pk] = {name for name, entry in (items or {}).items() if name in given[pk] and is_end(entry)}
    return found
