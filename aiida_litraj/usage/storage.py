"""What chains have put into the profile: nodes in the database, files in the repository."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from aiida.common.links import LinkType
from aiida.manage import get_manager
from aiida.orm import Data, Node, ProcessNode, QueryBuilder, WorkflowNode

from .jobs import CALLS

_CREATES = {'type': LinkType.CREATE.value}


@dataclass(frozen=True)
class Storage:
    """What some chains have stored: the processes below them, themselves, and all that those have made.

    Not what they were given, which others may share.

    :ivar files: names of files; equal files are one object.
    :ivar bytes: of the objects, as the repository holds them, compressed where it has compressed them.
    """

    nodes: int
    files: int
    objects: int
    bytes: int

    def as_dict(self) -> dict[str, int]:
        """Return the numbers by their names."""
        return asdict(self)


def storage_of(pks: Iterable[int]) -> tuple[dict[int, Storage], Storage]:
    """Return what each of some processes has stored, and all together.

    An object that several have is counted for each, and once for all.
    """
    pks = list(pks)
    own = _nodes_of(pks)
    keys = _keys({pk for nodes in own.values() for pk in nodes})
    sizes = _sizes({key for found in keys.values() for key in found})
    together: set[int] = set().union(*own.values())
    return {pk: _sum(own[pk], keys, sizes) for pk in pks}, _sum(together, keys, sizes)


def _sum(nodes: set[int], keys: Mapping[int, list[str]], sizes: Mapping[str, int]) -> Storage:
    files = [key for pk in nodes for key in keys.get(pk, ())]
    objects = set(files)
    return Storage(len(nodes), len(files), len(objects), sum(sizes.get(key, 0) for key in objects))


def _nodes_of(pks: list[int]) -> dict[int, set[int]]:
    """Return the pks of all nodes of each process; one question for each generation of all of them together."""
    below: dict[int, list[int]] = {}
    seen: set[int] = set()
    layer = set(pks)
    while layer := layer - seen:
        seen |= layer
        query = QueryBuilder().append(WorkflowNode, filters={'id': {'in': sorted(layer)}}, tag='caller', project='id')
        query.append(ProcessNode, with_incoming='caller', edge_filters=CALLS, project='id')
        pairs = query.all()
        for above, pk in pairs:
            below.setdefault(above, []).append(pk)
        layer = {pk for _, pk in pairs}
    made: dict[int, list[int]] = {}
    if seen:
        query = QueryBuilder().append(ProcessNode, filters={'id': {'in': sorted(seen)}}, tag='maker', project='id')
        query.append(Data, with_incoming='maker', edge_filters=_CREATES, project='id')
        for maker, pk in query.all():
            made.setdefault(maker, []).append(pk)
    found = {}
    for pk in pks:
        nodes: set[int] = set()
        ahead = [pk]
        while ahead:
            process = ahead.pop()
            if process not in nodes:
                nodes.add(process)
                nodes.update(made.get(process, ()))
                ahead += below.get(process, ())
        found[pk] = nodes
    return found


def _keys(pks: set[int]) -> dict[int, list[str]]:
    """Return the keys of the objects of each node, one for each file."""
    if not pks:
        return {}
    query = QueryBuilder().append(Node, filters={'id': {'in': sorted(pks)}}, project=['id', 'repository_metadata'])
    return {pk: found for pk, tree in query.all() if (found := list(_leaves(tree or {})))}


def _leaves(tree: Mapping[str, Any]) -> Iterator[str]:
    if 'k' in tree:
        yield tree['k']
    for entry in (tree.get('o') or {}).values():
        yield from _leaves(entry)


def _sizes(keys: set[str]) -> dict[str, int]:
    """Return how many bytes each object takes; aiida-core has no public way to ask that serves all storages."""
    container = get_manager().get_profile_storage().get_repository()._container
    found = container.get_objects_meta(sorted(keys), skip_if_missing=True)
    return {key: int(meta['pack_length'] or meta['size']) for key, meta in found}
