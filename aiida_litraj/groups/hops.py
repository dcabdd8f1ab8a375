"""Hops that are stored: where each began, and what a reference has made of it, from sets, chains and single paths."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiida.common.links import LinkType
from aiida.engine import run_get_node
from aiida.orm import CalcFunctionNode, CalcJobNode, Data, Dict, ProcessNode, QueryBuilder

from ..calculations.functions.initial_path import has_initial, initial_path
from ..calculations.neb import NebCalculation
from ..data.path import PathData
from .query import entries

BATCH = 500
"""Paths loaded at a time."""
INCOMING = (LinkType.INPUT_CALC, LinkType.INPUT_WORK)
OUTGOING = (LinkType.CREATE, LinkType.RETURN)
_PATHS = 'paths__'


@dataclass(frozen=True)
class StoredHop:
    """A hop.

    :ivar initial: where to start from, stored.
    :ivar reference: the path that was optimised from there, with energies, ``None`` if there is none.
    """

    initial: PathData
    reference: PathData | None = None


def hops_of_set(dataset: str, limit: int | None = None, **criteria: Any) -> dict[str, StoredHop]:
    """Return the hops of a set or split, by a name made of their identifiers, in the order of the set.

    Where each began is made a path by ``litraj.initial_path``, once for each entry and profile.

    :param limit: of the first so many.
    :raises ValueError: if there is no such set, or an entry is no path with the images that it began with.
    """
    found = []
    for one in entries(dataset, **criteria):
        if limit is not None and len(found) >= limit:
            break
        found.append(one)
    if not found:
        raise ValueError(f'no entry of {dataset} meets the criteria: widen them')
    hops: dict[str, StoredHop] = {}
    for start in range(0, len(found), BATCH):
        some = found[start : start + BATCH]
        nodes = {node.uuid: node for node in _nodes([one.uuid for one in some])}
        begun = beginnings([nodes[one.uuid] for one in some if one.uuid in nodes])
        for one in some:
            node = nodes.get(one.uuid)
            if node is None:
                raise ValueError(f'entry {one.id} of {dataset} is no path; nebDFT2k and sets in its layout have paths')
            hops[hop_name(one.id, hops)] = StoredHop(begun[node.uuid], node)
    return hops


def hop_of_path(path: PathData) -> StoredHop:
    """Return the hop of a path: of an entry or an optimised path where that began, of any other the path itself."""
    if has_initial(path):
        return StoredHop(beginnings([path])[path.uuid], path)
    made = optimisations([path]).get(path.uuid)
    return StoredHop(path) if made is None else StoredHop(made.start, path if made.converged else None)


def hops_of_process(process: ProcessNode) -> dict[str, StoredHop]:
    """Return the hops of a chain or job: where they began, and the converged paths that it found as references.

    Of a benchmark these are its own paths and references. Empty if it has none.
    """
    inputs = _nested(process, INCOMING)  # once: each look at ``process.inputs`` reads every link
    if 'references' in inputs:
        references = inputs['references']
        return {name: StoredHop(path, references[name]) for name, path in inputs['paths'].items()}
    outputs = _nested(process, OUTGOING)
    items: Mapping[str, Any] = outputs['results']['items'] if 'results' in outputs else {}
    if 'path' in outputs:  # of one hop, whose name in its job is that of any other one's
        name = next(iter(items), 'hop')
        return {hop_name(f'{name}_{process.pk}', ()): _hops({name: outputs['path']}, items)[name]}
    made = {name: path for name, path in outputs.get('paths', {}).items() if isinstance(path, PathData)}
    hops = _hops(made, items)
    for name, path in inputs.get('neb', inputs).get('paths', {}).items():
        hops.setdefault(name, StoredHop(path))
    return dict(sorted(hops.items()))


def _nested(process: ProcessNode, kinds: tuple[LinkType, LinkType]) -> dict[str, Any]:
    """Return the inputs or outputs of a process, namespaces as dictionaries."""
    links = process.base.links
    found = links.get_incoming if kinds is INCOMING else links.get_outgoing
    nested: dict[str, Any] = found(node_class=Data, link_type=kinds).nested()
    return nested


def _hops(paths: Mapping[str, PathData], items: Mapping[str, Any]) -> dict[str, StoredHop]:
    """Return the hops of paths that a process gives, by its account of them."""
    made = optimisations(paths.values())
    starts = {name: made[path.uuid].start if path.uuid in made else path for name, path in paths.items()}
    return {
        name: StoredHop(starts[name], path if items.get(name, {}).get('converged', False) else None)
        for name, path in paths.items()
    }


def start_of(path: PathData) -> PathData:
    """Return the path that an optimisation began with; of a path that no job of ours has made itself."""
    made = optimisations([path]).get(path.uuid)
    return path if made is None else made.start


@dataclass(frozen=True)
class Optimisation:
    """How a job of ours came to a path: where it started, and whether its account says that it converged there."""

    start: PathData
    converged: bool


def optimisations(paths: Iterable[PathData]) -> dict[str, Optimisation]:
    """Return how paths were found, by their uuid; those that no job of ours has made are not among them.

    A job may have made a thousand: its account and its inputs are read once.
    """
    uuids = sorted({path.uuid for path in paths})
    made: list[tuple[str, int, str]] = []
    for begin in range(0, len(uuids), BATCH):
        some = {'uuid': {'in': uuids[begin : begin + BATCH]}}
        query = QueryBuilder().append(PathData, filters=some, tag='path', project='uuid')
        job = {'process_type': NebCalculation.build_process_type()}
        query.append(CalcJobNode, with_outgoing='path', filters=job, edge_project='label', project='id')
        made += [(uuid, pk, label.removeprefix(_PATHS)) for uuid, pk, label in query.all()]
    known = {pk: _job(pk) for pk in {pk for _, pk, _ in made}}
    return {
        uuid: Optimisation(starts[name], items.get(name, {}).get('converged', False))
        for uuid, pk, name in made
        for starts, items in (known[pk],)
    }


def _job(pk: int) -> tuple[dict[str, PathData], Mapping[str, Any]]:
    """Return what a job was to optimise, by name, and its account of it."""
    query = QueryBuilder().append(CalcJobNode, filters={'id': pk}, tag='job')
    query.append(PathData, with_outgoing='job', edge_project='label', project='*')
    starts = {label.removeprefix(_PATHS): path for path, label in query.all()}
    query = QueryBuilder().append(CalcJobNode, filters={'id': pk}, tag='job')
    query.append(Dict, with_incoming='job', edge_filters={'label': 'results'}, project='attributes.items')
    return starts, query.first(flat=True) or {}


def beginnings(paths: Iterable[PathData]) -> dict[str, PathData]:
    """Return where entries began, by their uuid: what ``litraj.initial_path`` has made of them before, or makes now.

    :raises ValueError: if an entry has no such images.
    """
    wanted = {path.uuid: path for path in paths}
    query = QueryBuilder().append(PathData, filters={'uuid': {'in': sorted(wanted)}}, tag='entry', project='uuid')
    kind = initial_path.process_class.build_process_type()  # type: ignore[attr-defined]
    filters = {'process_type': kind, 'attributes.exit_status': 0}
    query.append(CalcFunctionNode, with_incoming='entry', filters=filters, tag='made')
    query.append(PathData, with_incoming='made', project='*')
    known: dict[str, PathData] = dict(query.all()) if wanted else {}
    for uuid, path in wanted.items():
        if uuid not in known:
            if not has_initial(path):
                raise ValueError(f'{path.label or path.uuid} does not say where its optimisation began')
            known[uuid] = run_get_node(initial_path, entry=path)[0]
    return known


def hop_name(text: str, taken: Collection[str]) -> str:
    """Return an identifier as a name that can be part of a link; a minus is ``m``: mp-1_0_3_0_0_-1, mp_1_0_3_0_0_m1.

    :raises ValueError: if it is taken.
    """
    signed = re.sub(r'(?<![A-Za-z0-9])-(?=\d)', 'm', text)
    name = re.sub(r'[^A-Za-z0-9]+', '_', signed).strip('_') or 'hop'
    if name in taken:
        raise ValueError(f'{text}: another hop is called {name} already; give each hop once')
    return name


def _nodes(uuids: list[str]) -> list[PathData]:
    found: list[PathData] = QueryBuilder().append(PathData, filters={'uuid': {'in': uuids}}).all(flat=True)
    return found
