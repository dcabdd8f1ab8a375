"""What a potential has learnt from, and which potentials have seen a configuration: both from the links of the graph.

Each is one query; what it finds is then followed from parent to parent by the links alone, for a training is also
downstream of data that its potential has not seen: of those which the potential learnt that drove the dynamics in which
its own configurations were found.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from aiida.orm import Data, QueryBuilder

from ..calculations.train import TrainCalculation
from ..data.frames import FramesData
from ..data.potential import PotentialData

LEARNT = {'or': [{'like': 'train\\_sets\\_\\_%'}, {'like': 'replay\\_sets\\_\\_%'}]}
"""Labels of the links by which a training learns."""
VALIDATED = {'like': 'valid\\_sets\\_\\_%'}
MADE = {'or': [{'like': 'potentials\\_\\_%'}, {'like': 'last\\_potentials\\_\\_%'}]}
"""Labels of the links by which a training makes potentials."""
_OF_SET = ('n_frames', 'entry_ids', 'entry_id', 'origins', 'material_ids', 'material_id')


@dataclass(frozen=True)
class Configuration:
    """One labelled configuration, where it was learnt from and what it is.

    :ivar set_uuid: the set among the inputs of the training; ``index`` the place in it.
    :ivar node_uuid: the entry that it was chosen from, of no selection the set itself; ``node_index`` the place there.
    """

    set_uuid: str
    index: int
    node_uuid: str
    node_index: int
    entry_id: str | None
    material_id: str | None


@dataclass(frozen=True)
class Lineage:
    """What a potential has seen.

    :ivar parents: what it goes on from, that one's parent, and so on, by uuid.
    :ivar trainings: that made it and its parents, by uuid, the last one first.
    :ivar learnt: configurations learnt in any of them; ``validated`` those that told a best epoch.
    """

    parents: list[str] = field(default_factory=list)
    trainings: list[str] = field(default_factory=list)
    learnt: list[Configuration] = field(default_factory=list)
    validated: list[Configuration] = field(default_factory=list)


def trainings_before(potential: PotentialData, labels: dict[str, Any]) -> QueryBuilder:
    """Return the query for the sets, by the labels of their links, of all trainings upstream of a potential.

    A row is: training, potential that it made, and set, each by its uuid.
    """
    query = QueryBuilder().append(PotentialData, filters={'uuid': potential.uuid}, tag='potential')
    query.append(TrainCalculation, with_descendants='potential', tag='training', project='uuid')
    query.append(PotentialData, with_incoming='training', edge_filters={'label': MADE}, project='uuid')
    learnt = {'with_outgoing': 'training', 'edge_filters': {'label': labels}}
    return query.append(FramesData, **learnt, project='uuid').distinct()


def trainings_after(configuration: Data) -> QueryBuilder:
    """Return the query for all potentials that were trained downstream of a configuration.

    A row is: training, potential that it made, and set that it learnt from, each by its uuid.

    :param configuration: an entry of a data set, a labelled configuration, or a set of them.
    """
    query = QueryBuilder().append(type(configuration), filters={'uuid': configuration.uuid}, tag='configuration')
    query.append(TrainCalculation, with_ancestors='configuration', tag='training', project='uuid')
    query.append(PotentialData, with_incoming='training', edge_filters={'label': MADE}, project='uuid')
    learnt = {'with_outgoing': 'training', 'edge_filters': {'label': LEARNT}}
    return query.append(FramesData, **learnt, project='uuid').distinct()


def lineage(potential: PotentialData) -> Lineage:
    """Return what a potential has seen, in its own training and in those of its parents.

    :param potential: stored; of one that was not trained here nothing is known, and everything is empty.
    """
    found: dict[bool, list[tuple[Any, ...]]] = {
        learnt: trainings_before(potential, labels).all()
        for learnt, labels in ((True, LEARNT), (False, VALIDATED))
    }  # fmt: skip
    rows = [row for some in found.values() for row in some]
    maker = {row[1]: row[0] for row in rows}
    parents = _parents({row[0] for row in rows})
    chain = Lineage()
    one: str | None = potential.uuid
    while one in maker:
        chain.trainings.append(maker[one])
        one = parents.get(maker[one])
        chain.parents.extend([] if one is None else [one])
    sets = _sets({row[2] for row in rows})
    for learnt, target in ((True, chain.learnt), (False, chain.validated)):
        for training in chain.trainings:
            for uuid in sorted({row[2] for row in found[learnt] if row[0] == training}):
                target.extend(sets[uuid])
    return chain


def seen_by(configuration: Data, index: int | None = None) -> list[PotentialData]:
    """Return the potentials that have learnt from a configuration, or go on from one that has.

    :param configuration: stored: an entry of a data set, a labelled configuration, or a set of them.
    :param index: its place, where the node has many; ``None``: any of them.
    """
    rows = trainings_after(configuration).all()
    sets = _sets({row[2] for row in rows})
    having = {uuid for uuid, some in sets.items() if any(_is_of(one, configuration, index) for one in some)}
    own = {potential for _, potential, uuid in rows if uuid in having}
    parents = _parents({row[0] for row in rows})
    heirs = {potential: parents.get(training) for training, potential, _ in rows}
    seen = {one for one in heirs if any(each in own for each in _line(one, heirs))}
    if not seen:
        return []
    query = QueryBuilder().append(PotentialData, filters={'uuid': {'in': sorted(seen)}}, tag='potential')
    potentials: list[PotentialData] = query.order_by({'potential': 'id'}).all(flat=True)
    return potentials


def _line(one: str | None, parents: dict[str, str | None]) -> Iterable[str]:
    """Yield a potential, its parent, and so on."""
    while one is not None:
        yield one
        one = parents.get(one)


def _parents(trainings: set[str]) -> dict[str, str]:
    """Return what trainings go on from; those from scratch are left out."""
    if not trainings:
        return {}
    query = QueryBuilder().append(
        TrainCalculation, filters={'uuid': {'in': sorted(trainings)}}, tag='training', project='uuid'
    )
    query.append(PotentialData, with_outgoing='training', edge_filters={'label': 'potential'}, project='uuid')
    return dict(query.all())


def _sets(uuids: set[str]) -> dict[str, list[Configuration]]:
    """Return the configurations of sets by the uuid of the set."""
    if not uuids:
        return {}
    query = QueryBuilder().append(
        FramesData, filters={'uuid': {'in': sorted(uuids)}}, project=['uuid', *(f'attributes.{key}' for key in _OF_SET)]
    )
    return {uuid: _configurations(uuid, *facts) for uuid, *facts in query.all()}


def _configurations(
    uuid: str, number: int, ids: list[Any] | None, one_id: Any, origins: list[Any] | None, materials: list[Any] | None,
    one_material: Any,
) -> list[Configuration]:  # fmt: skip
    ids, materials = _each(ids, one_id, number), _each(materials, one_material, number)
    places = origins if origins and len(origins) == number else [(uuid, index) for index in range(number)]
    return [
        Configuration(uuid, index, str(node), int(place), ids[index], materials[index])
        for index, (node, place) in enumerate(places)
    ]


def _each(many: list[Any] | None, one: Any, number: int) -> list[Any]:
    return many if many and len(many) == number else [one] * number


def _is_of(learnt: Configuration, node: Data, index: int | None) -> bool:
    """Return whether a configuration that was learnt is the one in a node, by its links or its identifier."""
    for uuid, place in ((learnt.node_uuid, learnt.node_index), (learnt.set_uuid, learnt.index)):
        if uuid == node.uuid:
            return index is None or index == place
    attributes = node.base.attributes
    many, one = attributes.get('entry_ids', None), attributes.get('entry_id', None)
    chosen = (many if index is None else [many[index]]) if many else [one]
    return learnt.entry_id is not None and learnt.entry_id in chosen
