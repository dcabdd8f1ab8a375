"""From entries of data sets to a selection that knows each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiida.engine import calcfunction
from aiida.orm import Data, Dict

from ...contract.frames import FRAMES_FILE, PATH_FILES, Frames
from ...data.contents import read_contents
from ...data.frames import FramesData

BATCH = 500
"""Nodes read at a time."""


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
    return {name: gather([(entries[key], index) for key, index in part], name) for name, part in picks.items()}


def gather(chosen: Sequence[tuple[Data, int | None]], name: str) -> FramesData:
    """Return the unstored selection of entries given as node and index.

    :raises ValueError: if none are given, or some have arrays of atoms that others have not.
    """
    if not chosen:
        raise ValueError(f'the part {name} is empty: ask for more entries, or for another split')
    frames: list[Frames] = []
    records: list[dict[str, Any]] = []
    for start in range(0, len(chosen), BATCH):
        some = chosen[start : start + BATCH]
        contents = read_frames({node.uuid: node for node, _ in some})
        facts = {node.uuid: node.base.attributes.all for node, _ in some}
        for node, index in some:
            read = contents[node.uuid]
            images = range(read.n_frames) if index is None else [index]
            frames += [read[image] for image in images]
            records += [record_of(node.uuid, facts[node.uuid], image) for image in images]
    stacked = Frames.stack(_alike(frames))
    columns = {key: [one[key] for one in records] for key in records[0]}
    labels = {'part': name, 'datasets': sorted({str(one) for one in columns.pop('dataset')}), **columns}
    return FramesData.from_frames(stacked, labels)


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
            'material_id': attributes.get('material_ids', [None] * (index + 1))[index],
            'properties': attributes.get('entry_properties', [{}] * (index + 1))[index],
        }
    return {
        'dataset': attributes.get('dataset'),
        'entry_ids': own.get('entry_id'),
        'material_ids': own.get('material_id'),
        'splits': attributes.get('split'),
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
