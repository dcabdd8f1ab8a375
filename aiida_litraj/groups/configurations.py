"""Data sets that the configurations on the way to a path join: many entries in a node, beside labels of their level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida.orm import QueryBuilder

from ..data.frames import FramesData
from ..data.path import PathData
from .dataset import DatasetGroup
from .labelled import difference

GRANULARITY = 'trajectory'
SAME_CELL_ANG = 1e-4
SAME_WAY_ANG = 0.5
"""By how much the ends of a hop move when they are relaxed, at most: half of the shortest hop."""


def join_block(name: str, node: FramesData) -> str | None:
    """Make all configurations on the way to a path entries of a set; return why they are none.

    The set is made if there is none. It has each path once, by its name: one that is there already stays, unless it
    came less far than this one, as one that was given up.
    """
    group, made = DatasetGroup.collection.get_or_create(label=name)
    if made:
        group.base.extras.set('name', name)
    # Entries with a node each may stay beside nodes of many; but a set of those alone is searched otherwise.
    group.base.extras.set('granularity', GRANULARITY)
    there = _blocks(group, node.base.attributes.get('path'))
    if node.uuid in [one.uuid for one in there]:
        return None
    if any(_how_far(one) >= _how_far(node) or not _same_hop(one, node) for one in there):
        return f'the data set {name} has a path {node.base.attributes.get("path")} already: its configurations stay'
    told = difference(group, node.base.attributes.get('level'))
    if told is not None:
        return f'the data set {name} has labels of another level ({told})'
    group.add_nodes([node])
    group.remove_nodes(there)
    return None


def check_path_name(name: str, path_name: str, path: PathData, hop: Mapping[str, Any]) -> None:
    """Refuse a path whose name a set has given to another one: its configurations could not join it.

    The same path may be computed again: what is there stays, unless it was given up.

    :param hop: what tells the hop from others, as its configurations have it: ``mobile``, ``displacement``, ``labels``.
    :raises ValueError: naming set and path, and the remedy.
    """
    there = DatasetGroup.collection.find({'label': name})
    for node in _blocks(there[0], path_name) if there else ():
        same = node.frames[0].numbers.tolist() == path.numbers.tolist()
        same = same and np.allclose(node.frames[0].cells[0], path.cell, rtol=0.0, atol=SAME_CELL_ANG)
        if not (same and _same_way(node.base.attributes.all, hop)):
            raise ValueError(
                f'dataset = {name!r} has a path {path_name!r} of another hop or crystal, and this one could not join '
                'it: give it a name of its own (--name), or take another set'
            )


def is_member(name: str, node: FramesData) -> bool:
    """Return whether a node is in a set, which need not be there any more."""
    query = QueryBuilder().append(DatasetGroup, filters={'label': name}, tag='set')
    return bool(query.append(FramesData, with_group='set', filters={'uuid': node.uuid}).count())


def _blocks(group: DatasetGroup, path_name: str) -> list[FramesData]:
    query = QueryBuilder().append(DatasetGroup, filters={'id': group.pk}, tag='set')
    found: list[FramesData] = query.append(
        FramesData, with_group='set', filters={'attributes.path': path_name}, project='*'
    ).all(flat=True)
    return found


def _how_far(node: FramesData) -> int:
    """Return 2 of a path that converged, 1 of one that ended without, 0 of one that was given up or cut off."""
    facts = node.base.attributes.all
    return (facts.get('status', 'finished') == 'finished') + bool(facts.get('converged', True))


def _same_hop(one: FramesData, other: FramesData) -> bool:
    first, second = one.frames[0], other.frames[0]
    same = first.numbers.tolist() == second.numbers.tolist()
    same = same and np.allclose(first.cells, second.cells, rtol=0.0, atol=SAME_CELL_ANG)
    return bool(same and _same_way(one.base.attributes.all, other.base.attributes.all))


def _same_way(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    if any(one.get(key) != other.get(key) for key in ('mobile', 'labels')):
        return False
    ways = [facts.get('displacement') for facts in (one, other)]
    if None in ways:
        return ways[0] is ways[1]
    return bool(np.linalg.norm(np.subtract(*ways)) < SAME_WAY_ANG)
