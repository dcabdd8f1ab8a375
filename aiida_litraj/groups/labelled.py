"""Data sets that labels join as they are made: entries of one level of theory, each once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aiida.orm import QueryBuilder, load_node

from ..analysis.duplicates import same_configuration
from ..contract.frames import Frames
from ..data.frames import FramesData
from .dataset import DatasetGroup

GRANULARITY = 'entry'
SAME = ('functional', 'cutoff_ev', 'kpoint_spacing_per_ang', 'smearing', 'smearing_width_ev', 'spin_polarized', 'code')
"""Of a level, what must not differ within a set: energies of two of them cannot be compared. Meshes are of the cell,
unless none is by a spacing."""
ALSO_SAME = ('setups', 'cutoff_rho_ev', 'point_group')
"""What some codes have beside it, likewise."""
PSEUDOPOTENTIALS = 'pseudopotentials'
BATCH = 500


def check_joinable(name: str, level: Mapping[str, Any]) -> None:
    """Refuse a set that labels of this level cannot join.

    :param level: fields of a :class:`Level`, and ``code``, the name of the back end; what else changes the answer, as
        ``level`` of a label has it, is compared where it is there.
    :raises ValueError: if the name is none, if entries of the set were imported, or if they are of another level.
    """
    if not name or '/' in name:
        raise ValueError(f'dataset = {name!r}: give a name without slashes; what comes after one is a split')
    there = DatasetGroup.collection.find({'label': name})
    if not there:
        return
    if there[0].base.extras.get('card', None) is not None:
        raise ValueError(f'dataset = {name!r} is a set that was imported; give labels a name of their own')
    told = difference(there[0], level)
    if told is not None:
        raise ValueError(
            f'dataset = {name!r} has labels of another level ({told}): their energies cannot be compared; take another '
            'name, or the same level'
        )


def difference(group: DatasetGroup, level: Mapping[str, Any]) -> str | None:
    """Return in what labels of a level differ from those in a set, in words; ``None`` if they can be compared.

    Of pseudopotentials each element is compared with any label of the set that has it.
    """
    found = _members(group, {}, 'attributes.level').limit(1).first(flat=True)
    if not found:
        return None
    differing = [(key, found.get(key), level.get(key)) for key in SAME if found.get(key) != level.get(key)]
    known = [key for key in ALSO_SAME if found.get(key) is not None and level.get(key) is not None]
    differing += [(key, found[key], level[key]) for key in known if not _alike(found[key], level[key])]
    spacings = found.get('kpoint_spacing_per_ang'), level.get('kpoint_spacing_per_ang')
    meshes = found.get('kpoint_mesh'), level.get('kpoint_mesh')
    if spacings == (None, None) and None not in meshes and list(meshes[0]) != list(meshes[1]):
        differing.append(('kpoint_mesh', *meshes))
    if differing:
        return ', '.join(f'{key} {there} there and {here} here' for key, there, here in differing)
    for symbol, here in (level.get(PSEUDOPOTENTIALS) or {}).items():
        key = f'attributes.level.{PSEUDOPOTENTIALS}'
        other = {'and': [{key: {'has_key': symbol}}, {f'{key}.{symbol}': {'!==': here}}]}
        there = _members(group, other, f'{key}.{symbol}').limit(1).first(flat=True)
        if there is not None:
            return f'pseudopotential of {symbol} {there} there and {here} here'
    return None


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9)
    return bool(one == other)


def check_entries(name: str, entries: Mapping[str, Frames]) -> None:
    """Refuse configurations whose names a set has given to others already: their labels could not join it.

    :param entries: single configurations by ``entry_id``. One that is there with the same atoms in the same places may
        be computed again: the label that is there stays.
    :raises ValueError: naming the first, and the remedy.
    """
    there = DatasetGroup.collection.find({'label': name})
    for entry_id, frame in known_entries(there[0], list(entries)) if there else ():
        if not same_configuration(frame, entries[entry_id]):
            raise ValueError(
                f'frames: the set {name!r} has an entry {entry_id!r} that is another configuration, and this one could '
                'not join it; give it another entry_id (a file takes its name for one), or take another set'
            )


def known_entries(group: DatasetGroup, ids: Sequence[str]) -> Iterator[tuple[str, Frames]]:
    """Yield those of the entries that a set has, with their configurations."""
    for start in range(0, len(ids), BATCH):
        some = list(ids[start : start + BATCH])
        own = {'attributes.entry_id': {'in': some}}
        for uuid in _members(group, own, 'uuid').all(flat=True):
            node = load_node(uuid)
            yield node.base.attributes.get('entry_id'), node.frames
    wanted = set(ids)
    many = {'attributes': {'has_key': 'entry_ids'}}
    for uuid, names in _members(group, many, ['uuid', 'attributes.entry_ids']).all():
        for index, name in enumerate(names):
            if name in wanted:
                yield name, load_node(uuid).shared_frames[index]


TOLD = ('functional', 'cutoff_ev', 'kpoint_spacing_per_ang', 'code', 'setups', 'pseudo_family', 'cutoff_rho_ev')
"""Of a level, what says to a person what it is."""


def levels_of(name: str) -> list[dict[str, Any]]:
    """Return what labels of a set are computed with, those of most labels first; nothing of what was imported.

    :returns: fields ``TOLD`` that are there, ``kpoint_mesh`` where no spacing says them, ``elements``, ``versions`` of
        the code, where it told, and ``n_labels``.
    """
    group = DatasetGroup.of(name)
    keys = [f'attributes.level.{key}' for key in ('version', *TOLD, 'kpoint_mesh')]
    rows = _members(
        group, {'attributes': {'has_key': 'level'}}, ['attributes.n_frames', 'attributes.elements', *keys]
    ).all()
    found: dict[tuple[Any, ...], int] = {}
    elements: dict[tuple[Any, ...], set[str]] = {}
    versions: dict[tuple[Any, ...], set[str]] = {}
    for n_frames, of, version, *values, mesh in rows:
        by_mesh = None if values[TOLD.index('kpoint_spacing_per_ang')] is not None else tuple(mesh or ())
        key = (*values, by_mesh)
        found[key] = found.get(key, 0) + (n_frames or 1)
        elements.setdefault(key, set()).update(of or ())
        versions.setdefault(key, set()).update([version] if version else ())
    most_first = sorted(found.items(), key=lambda one: -one[1])
    names = (*TOLD, 'kpoint_mesh')
    said = [dict(zip(names, key, strict=True)) for key, _ in most_first]
    return [
        {
            **{name: value for name, value in one.items() if value not in (None, ())},
            'elements': sorted(elements[key]),
            **({'versions': sorted(versions[key])} if versions[key] else {}),
            'n_labels': number,
        }
        for one, (key, number) in zip(said, most_first, strict=True)
    ]


def join(name: str, node: FramesData) -> str | None:
    """Make a labelled configuration a member of a set, which is made if there is none; return why it is none.

    A set has each entry once: one that is there already stays, as after a second launch of the same labels. One of
    another level, or of other pseudopotentials than those of the set, as a code may have found them where it ran, is
    not let in.
    """
    group = _group(name)
    entry_id = node.base.attributes.get('entry_id')
    same = [{'attributes.entry_id': entry_id}, {'attributes.entry_ids': {'contains': [entry_id]}}]
    there = _members(group, {'or': same}, 'uuid').all(flat=True)
    if there and node.uuid not in there:
        return f'{name} has had {entry_id} already, which stays'
    told = difference(group, node.base.attributes.get('level'))
    if told is not None:
        return f'it is not in {name}, whose labels are of another level ({told})'
    split = node.base.attributes.get('split', None)
    for part in (group, *([] if split is None else [group.get_or_create_split(split)])):
        part.add_nodes([node])
    return None


def _members(group: DatasetGroup, filters: dict[str, Any], project: Any) -> QueryBuilder:
    query = QueryBuilder().append(DatasetGroup, filters={'id': group.pk}, tag='set')
    return query.append(FramesData, with_group='set', filters=filters, project=project)


def _group(name: str) -> DatasetGroup:
    group, made = DatasetGroup.collection.get_or_create(label=name)
    if made:
        group.base.extras.set_many({'granularity': GRANULARITY, 'name': name})
    return group
