"""From entries of data sets to a selection that knows each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aiida.engine import calcfunction
from aiida.orm import Data, Dict

from ...contract.frames import FRAMES_FILE, PATH_FILES, Frames
from ...data.contents import read_contents
from ...data.frames import FramesData

BATCH = 500
"""Nodes of one entry read at a time."""
BATCH_OF_MANY = 4
"""The same of nodes of many."""


@calcfunction
def select_entries(criteria: Dict, **entries: Data) -> dict[str, FramesData]:
    """Return the chosen entries, a :class:`FramesData` for each part, in the order of the choice.

    Each configuration of a part has its own ``entry_ids``, ``material_ids``, ``entry_properties`` and ``origins``
    (uuid of the node and index in it), all in the order of the frames.

    :param criteria: how the entries were chosen, and ``picks``: for each part a list of input and index in it, the
        index None for all its configurations, a path's images.
    :param entries: nodes of entries; of nodes with many entries those that have one that was chosen.
    """
    picks = criteria['picks']
    grouping = criteria.get_dict().get('grouped_by')
    return {
        name: gather([(entries[key], index) for key, index in part], name, grouping) for name, part in picks.items()
    }


def gather(chosen: Sequence[tuple[Data, int | None]], name: str, grouping: str | None = None) -> FramesData:
    """Return the unstored selection of entries given as node and index.

    :param grouping: attribute by which entries were kept together, if they were.
    :raises ValueError: if none are given, or some have arrays of atoms that others have not.
    """
    if not chosen:
        raise ValueError(f'the part {name} is empty: ask for more entries, or for another split')
    nodes = {node.uuid: node for node, _ in chosen}
    places: dict[str, list[int]] = {}
    for place, (node, _) in enumerate(chosen):
        places.setdefault(node.uuid, []).append(place)
    found: list[list[Frames]] = [[] for _ in chosen]
    noted: list[list[dict[str, Any]]] = [[] for _ in chosen]
    for uuid, read in read_in_batches(nodes):
        facts = nodes[uuid].base.attributes.all
        for place in places[uuid]:
            index = chosen[place][1]
            images = range(read.n_frames) if index is None else [index]
            # A copy, so that of a node of many not all stays in memory.
            found[place] = [Frames.stack([read[image]]) for image in images]
            noted[place] = [record_of(uuid, facts, image) for image in images]
    frames = [frame for some in found for frame in some]
    records = [record for some in noted for record in some]
    stacked = Frames.stack(_alike(frames))
    columns = {key: [one[key] for one in records] for key in records[0]}
    if not any(columns['trajectory_ids']):
        del columns['trajectory_ids']
    labels = {
        'part': name,
        'datasets': sorted({str(one) for one in columns.pop('dataset') if one is not None}),
        **columns,
    }
    if grouping is not None:
        labels['grouped_by'] = grouping
    return FramesData.from_frames(stacked, labels)


def read_in_batches(nodes: Mapping[str, Data]) -> Iterator[tuple[str, Frames]]:
    """Yield uuid and configurations of each node; a bounded number of configurations is in memory."""
    for many, size in ((False, BATCH), (True, BATCH_OF_MANY)):
        some = [uuid for uuid, node in nodes.items() if ('entry_ids' in node.base.attributes) == many]
        for start in range(0, len(some), size):
            yield from read_frames({uuid: nodes[uuid] for uuid in some[start : start + size]}).items()


def read_frames(nodes: Mapping[str, Data]) -> dict[str, Frames]:
    """Return the configurations of entries' nodes, read from the repository together; of a path its images.

    :raises ValueError: if a node is no entry.
    """
    keys = {}
    for uuid, node in nodes.items():
        name = FRAMES_FILE if isinstance(node, FramesData) else PATH_FILES['frames']
        if name not in node.base.repository.list_object_names():
            raise ValueError(
                f'{type(node).__name__} {uuid} is no entry of a data set: give nodes of litraj.dataset groups'
            )
        keys[uuid] = node.base.repository.get_object(name).key
    contents = read_contents(keys.values())
    return {uuid: Frames.from_bytes(contents[key]) for uuid, key in keys.items()}


def record_of(uuid: str, attributes: Mapping[str, Any], index: int) -> dict[str, Any]:
    """Return what a selection keeps of one configuration: its identity, its material, its numbers, its origin."""
    own: Mapping[str, Any] = attributes
    if 'entry_ids' in attributes:
        own = {
            'entry_id': attributes['entry_ids'][index],
            'material_id': attributes.get('material_ids', [attributes.get('material_id')] * (index + 1))[index],
            'properties': attributes.get('entry_properties', [{}] * (index + 1))[index],
        }
    return {
        'dataset': attributes.get('dataset'),
        'entry_ids': own.get('entry_id'),
        'material_ids': own.get('material_id'),
        'splits': attributes.get('split'),
        'trajectory_ids': attributes.get('trajectory_id'),
        'entry_properties': own.get('properties', {}),
        'origins': [uuid, index],
    }


def _alike(frames: Sequence[Frames]) -> list[Frames]:
    """Return frames with only those arrays of atoms that all have, as data sets differ in them."""
    shared = set(frames[0].arrays).intersection(*(set(one.arrays) for one in frames))
    return [
        one
        if set(one.arrays) == shared
        else Frames(
            one.offsets, one.numbers, one.positions, one.cells, one.pbc, one.energies, one.forces, one.stresses,
            {name: values for name, values in one.arrays.items() if name in shared}, one.info,
        )
        for one in frames
    ]  # fmt: skip
