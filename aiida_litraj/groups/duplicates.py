"""Configurations that a set of labels has more than once, and those that would be labelled into it again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from aiida.orm import QueryBuilder

from ..analysis.duplicates import duplicates_text, same_configurations
from ..calculations.functions.select_entries import read_in_batches
from ..contract.frames import Frames
from ..data.frames import FramesData
from .dataset import DatasetGroup

SAME_ENERGY_EV_PER_ATOM = 1e-4
"""Labels of one level of one configuration differ by less; only of those that do the places are compared."""
BATCH = 500
Row = tuple[str, str, str, int, float]
"""Uuid, name, formula, number of atoms and energy per atom of a label."""


def duplicates_in(name: str) -> list[list[str]]:
    """Return the names under which a set of labels has one configuration, in groups of two and more.

    :raises ValueError: if there is no such set.
    """
    rows = sorted(_labels(name), key=lambda row: (row[2], row[3], row[4]))
    near = [
        one[2:4] == next_one[2:4] and next_one[4] - one[4] < SAME_ENERGY_EV_PER_ATOM for one, next_one in pairwise(rows)
    ]
    candidates = [
        row for row, after, before in zip(rows, [*near, False], [False, *near], strict=True) if after or before
    ]
    frames = _read([row[0] for row in candidates])
    found = same_configurations([frames[row[0]] for row in candidates])
    return sorted(sorted(candidates[index][1] for index in group) for group in found)


def duplicates_with(name: str | None, frames: Frames, names: Sequence[str]) -> list[list[str]]:
    """Return the names of configurations that are the same among some, or with other names in a set.

    :param name: of the set; none is there yet, or none is meant, if it is not known.
    """
    own = list(frames)
    known: list[Row] = []
    if name is not None and DatasetGroup.collection.find({'label': name}):
        sizes = {frame.n_atoms() for frame in own}
        known = [row for row in _labels(name) if row[3] in sizes and row[1] not in set(names)]
    there = _read([row[0] for row in known])
    every = [*names, *(row[1] for row in known)]
    found = same_configurations([*own, *(there[row[0]] for row in known)])
    groups = [[every[index] for index in group] for group in found if group[0] < len(own)]
    return [list(dict.fromkeys(group)) for group in groups if len(set(group)) > 1]


def launch_warning(name: str | None, frames: FramesData) -> str | None:
    """Return what to say of configurations that would be labelled twice; ``None`` if there are none."""
    names = frames.entry_ids
    if len(names) != frames.n_frames:
        names = [f'configuration {index}' for index in range(frames.n_frames)]
    told = duplicates_text(duplicates_with(name, frames.shared_frames, names))
    return None if told is None else f'{told}; each is labelled, and counts as often in errors and trainings'


def _labels(name: str) -> list[Row]:
    group = DatasetGroup.of(name)
    keys = ('entry_id', 'formula', 'n_atoms', 'energy_per_atom_ev')
    query = QueryBuilder().append(DatasetGroup, filters={'id': group.pk}, tag='set')
    filters = {'attributes': {'and': [{'has_key': 'level'}, {'has_key': 'entry_id'}]}}
    project = ['uuid', *(f'attributes.{key}' for key in keys)]
    rows = query.append(FramesData, with_group='set', filters=filters, project=project).all()
    return [tuple(row) for row in rows if None not in row]


def _read(uuids: Sequence[str]) -> dict[str, Frames]:
    found: dict[str, Frames] = {}
    for start in range(0, len(uuids), BATCH):
        some = {'uuid': {'in': list(uuids[start : start + BATCH])}}
        nodes = {one.uuid: one for one in QueryBuilder().append(FramesData, filters=some).all(flat=True)}
        found |= {uuid: frames[0] for uuid, frames in read_in_batches(nodes)}
    return found
