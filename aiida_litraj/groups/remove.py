"""Deletion of a set: what goes, and what hangs on it and goes along."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from aiida.orm import Dict, Group, Node, ProcessNode, QueryBuilder
from aiida.tools import delete_nodes
from aiida.tools.graph.deletions import DELETE_LOGGER

from ..data.source import SourceData
from ..datasets.ingest.lock import only_import
from ..datasets.ingest.records import imports_of
from ..datasets.ingest.store import container_of
from .dataset import DatasetGroup

BATCH = 10_000


@dataclass(frozen=True)
class Removal:
    """What a deletion takes along.

    :ivar pks: nodes to go, with all that was made of them.
    :ivar others: those among them that are neither entries of the set nor its imports, number by kind.
    :ivar labels: labels of some of the others, for a person to recognise.
    :ivar shared: names of other groups that lose members.
    """

    dataset: str
    entries: int
    pks: frozenset[int]
    others: dict[str, int] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()


def plan_removal(dataset: str) -> Removal:
    """Return what deleting a set takes along: by the rules of AiiDA all that was computed from its entries.

    :raises ValueError: if there is no such set.
    """
    group = DatasetGroup.of(dataset)
    if not group.is_whole:
        raise ValueError(f'{group.label} is a split: its entries are those of the set; delete the set {group.name}')
    members, imports = _own(group)
    going = delete_quietly(members | imports, dry_run=True)
    others = going - members - imports
    going |= _unused_without(going, group.facts.get('card'), list(group.facts.get('sources', {}).values()))
    kinds: Counter[str] = Counter()
    labels = []
    for node in _nodes(others):
        kinds[node.process_label if isinstance(node, ProcessNode) else type(node).__name__] += 1
        if node.label and len(labels) < 5:
            labels.append(node.label)
    return Removal(group.label, len(members), frozenset(going), dict(kinds), tuple(labels), _shared(group, members))


def remove(removal: Removal) -> int:
    """Delete a set as planned, with its groups, its card and its source if nothing else uses them.

    Between plan and deletion a person may think for long, and the same source be imported into another set: what is
    deleted is what hangs on this set now. Return the number of nodes deleted. The repository keeps the files until
    ``verdi storage maintain``.

    :raises ValueError: if more hangs on the set than was planned, or it is not there any more.
    :raises RuntimeError: if an import into this profile is under way.
    """
    group = DatasetGroup.of(removal.dataset)
    with only_import(container_of(group.backend)):
        facts = group.facts
        members, imports = _own(group)
        gone = delete_quietly(members | imports, unless=lambda going: _demand_planned(going, removal))
        for one in {one.pk: one for one in (*group.splits.values(), group)}:
            DatasetGroup.collection.delete(one)
        free = (_unused_without(gone, facts.get('card'), list(facts.get('sources', {}).values())) - gone) & removal.pks
        if free:
            delete_quietly(free)
    return len(gone | free)


def _own(group: DatasetGroup) -> tuple[set[int], set[int]]:
    """Return the primary keys of the members of a set, and of the imports into it."""
    query = QueryBuilder().append(DatasetGroup, filters={'id': group.pk}, tag='set')
    members = set(query.append(Node, with_group='set', project='id').all(flat=True))
    return members, set(imports_of(group, ['id']).all(flat=True))


def _demand_planned(going: set[int], removal: Removal) -> None:
    if more := len(going - removal.pks):
        raise ValueError(
            f'{more:,} nodes more hang on {removal.dataset} than a moment ago, so nothing was deleted: '
            'look at what would go, and delete it again'
        )


def _unused_without(gone: set[int], card: str | None, sources: list[str]) -> set[int]:
    """Return the card and the sources of a set that nothing uses but nodes that go or are gone."""
    query = QueryBuilder().append(SourceData, filters={'attributes.sha256': {'in': sources or ['']}}, project='id')
    pks = set(query.all(flat=True))
    if card is not None:
        pks |= set(QueryBuilder().append(Dict, filters={'uuid': card}, project='id').all(flat=True))
    used = QueryBuilder().append(Node, filters={'id': {'in': list(pks) or [0]}}, project='id', tag='input')
    used.append(ProcessNode, with_incoming='input', project='id')
    return pks - {pk for pk, process in used.all() if process not in gone}


def delete_quietly(
    pks: Iterable[int], dry_run: bool = False, unless: Callable[[set[int]], None] | None = None
) -> set[int]:
    """Delete nodes with what was made of them and return all that went, or would.

    :param unless: raises if what would go must not.
    :raises RuntimeError: if AiiDA did not.
    """

    def stop(going: set[int]) -> bool:
        if unless is not None:
            unless(going)
        return dry_run

    # What it reports is told in other words; a profile that is loaded sets the level anew, so not once for all.
    DELETE_LOGGER.setLevel('WARNING')
    gone, done = delete_nodes(pks, dry_run=stop)
    if not done and not dry_run:
        raise RuntimeError('AiiDA did not delete the nodes')
    return set(gone)


def _nodes(pks: set[int]) -> list[Node]:
    ordered = sorted(pks)
    found: list[Node] = []
    for start in range(0, len(ordered), BATCH):
        part = QueryBuilder().append(Node, filters={'id': {'in': ordered[start : start + BATCH]}})
        found += part.all(flat=True)
    return found


def _shared(group: DatasetGroup, members: set[int]) -> tuple[str, ...]:
    """Return the labels of groups other than the set and its splits that hold some of its entries."""
    query = QueryBuilder().append(DatasetGroup, filters={'id': group.pk}, tag='set')
    query.append(Node, with_group='set', tag='entry')
    query.append(Group, with_node='entry', project='label', filters={'id': {'!==': group.pk}})
    own = {one.label for one in group.splits.values()}
    return tuple(sorted(set(query.distinct().all(flat=True)) - own))
