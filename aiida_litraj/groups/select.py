"""A selection of entries: chosen among those that meet criteria, then made a node by a calculation function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from aiida.engine import run_get_node
from aiida.orm import Data, Dict, QueryBuilder

from ..analysis.selection import (
    Indices,
    facts_descriptor,
    farthest_points,
    part_by_material,
    radial_descriptor,
    radial_features,
    random_choice,
    stratified,
)
from ..calculations.functions.select_entries import read_in_batches, select_entries
from ..calculations.many_inputs import run_with_many_inputs
from .query import Reference, entries

if TYPE_CHECKING:
    from aiida.orm import CalcFunctionNode

    from ..data.frames import FramesData

STRATEGIES = ('all', 'random', 'farthest', 'stratified')
DESCRIPTORS = ('facts', 'radial')
WHOLE = 'selected'
"""Name of the only part of a selection that is not split."""
FEW_LINKS = 50
"""AiiDA checks each link against all others: up to this many that takes about a second."""
MOST_LINKS = 100_000
BATCH = 500
"""Nodes loaded at a time."""
MATERIAL = 'material_id'
ELEMENTS = 'elements'
_KINDS = {MATERIAL: 'material', ELEMENTS: 'chemical system'}


@dataclass(frozen=True)
class Wish:
    """What to choose.

    :ivar number: of entries; None for all.
    :ivar strategy: ``all`` that meet the criteria, or ``number`` of them: ``random``, ``farthest`` from each other in
        the descriptor, or ``stratified``, as evenly over the materials as can be.
    :ivar seed: what else than the identifiers decides where chance does.
    :ivar descriptor: ``facts`` (atomic fractions, energy per atom and largest force as the database has them) or
        ``radial`` (atomic fractions and the radial distribution). For the latter each candidate's configuration is
        read, a batch at a time, and its neighbours are counted: about 4 ms for 96 atoms, so an hour for a million
        candidates, and 1 kB of memory for each. With either, each entry that is chosen is compared with all.
    :ivar parts: fractions of training, validation and test data, for example; a material is whole in one of them.
        Where it is not known of each candidate which material it belongs to, a chemical system takes its place, for
        ``stratified`` too: a material with and without a vacancy has two formulas, but the same elements.
    """

    number: int | None = None
    strategy: str = 'random'
    seed: int = 0
    descriptor: str = 'facts'
    parts: Mapping[str, float] | None = None

    def check(self) -> None:
        """Refuse what cannot be.

        :raises ValueError: naming the field, its value and what it may be.
        """
        if self.strategy not in STRATEGIES:
            raise ValueError(f'there is no strategy {self.strategy!r}; known are: {", ".join(STRATEGIES)}')
        if self.descriptor not in DESCRIPTORS:
            raise ValueError(f'there is no descriptor {self.descriptor!r}; known are: {", ".join(DESCRIPTORS)}')
        if self.number is not None and self.number < 1:
            raise ValueError(f'number {self.number} is not a number of entries: give 1 or more')
        if self.strategy == 'all' and self.number is not None:
            raise ValueError(f'strategy all takes all that meet the criteria, not {self.number}: use another strategy')
        if self.strategy != 'all' and self.number is None:
            raise ValueError(f'strategy {self.strategy} needs a number of entries')
        for name in self.parts or ():
            if not name.isidentifier():
                raise ValueError(f'{name!r} is no name of a part: letters, digits and underscores, as in train')


@dataclass(frozen=True)
class Selection:
    """What was chosen: a node for each part, and the process that made them.

    :ivar notes: what a person should know of how it was done.
    """

    parts: dict[str, FramesData]
    process: CalcFunctionNode
    n_candidates: int
    notes: tuple[str, ...] = ()


def select(dataset: str, wish: Wish, **criteria: Any) -> Selection:
    """Choose entries of a set, store the selection and return it; the same wish gives the same entries anywhere.

    :param criteria: as for :func:`..groups.query.query`.
    :raises ValueError: if the wish cannot be met, saying what can.
    """
    wish.check()
    candidates = _candidates(dataset, _columns(wish), criteria)
    if not candidates:
        text = ', '.join(f'{name}={value!r}' for name, value in criteria.items() if value) or 'none'
        raise ValueError(f'no entry of {dataset} meets the criteria ({text}): widen them')
    grouping = MATERIAL if MATERIAL in _columns(wish) else None
    if grouping and any(one.facts[MATERIAL] is None for one in candidates):
        grouping = ELEMENTS  # only now, as of nodes of many entries it takes reading them
        candidates = _candidates(dataset, [*_columns(wish), ELEMENTS], criteria)
    chosen = [candidates[index] for index in _choose(candidates, wish, grouping)]
    parts = _parts(chosen, wish, grouping)
    nodes = {one.uuid for part in parts.values() for one in part}
    if len(nodes) > MOST_LINKS:
        raise ValueError(
            f'{len(chosen)} entries in {len(nodes)} nodes are too many for one selection, at most {MOST_LINKS} nodes: '
            'ask for fewer, or use the set itself'
        )
    return _store(dataset, wish, criteria, parts, len(candidates), grouping)


def _candidates(dataset: str, columns: Sequence[str], criteria: Mapping[str, Any]) -> list[Reference]:
    return sorted(entries(dataset, columns, **criteria), key=lambda one: one.id)


def _columns(wish: Wish) -> list[str]:
    """Return what must be known of each candidate; reading it is what takes time."""
    columns = [MATERIAL] if wish.strategy == 'stratified' or wish.parts else []
    if wish.strategy == 'farthest' and wish.descriptor == 'facts':
        columns += ['formula', 'energy_per_atom_ev', 'fmax_ev_per_ang']
    return columns


def _choose(candidates: Sequence[Reference], wish: Wish, grouping: str | None) -> Indices:
    ids = [one.id for one in candidates]
    number = len(candidates) if wish.number is None else wish.number
    if wish.strategy == 'farthest':
        return farthest_points(_descriptor(candidates, wish.descriptor), number)
    if wish.strategy == 'stratified':
        return stratified(ids, _groups(candidates, grouping), number, wish.seed)
    if wish.strategy == 'random':
        return random_choice(ids, number, wish.seed)
    return np.arange(number)


def _groups(chosen: Sequence[Reference], grouping: str | None) -> list[str]:
    """Return what each entry is counted with: its material, or its chemical system."""
    if grouping == ELEMENTS:
        return ['-'.join(one.facts[ELEMENTS]) for one in chosen]
    return [str(one.facts[MATERIAL]) for one in chosen]


def _notes(grouping: str | None) -> tuple[str, ...]:
    if grouping != ELEMENTS:
        return ()
    return (
        'It is not known of each entry which material it belongs to, so chemical systems take the place of materials: '
        'no two parts share one.',
    )


def _descriptor(candidates: Sequence[Reference], kind: str) -> Any:
    if kind == 'radial':
        return radial_descriptor(_radial_features(candidates))
    from ase.formula import Formula

    known: dict[str, dict[str, float]] = {}
    for one in candidates:
        formula = one.facts['formula'] or ''
        known.setdefault(formula, {symbol: float(n) for symbol, n in Formula(formula).count().items()})
    columns = [[one.facts[name] for one in candidates] for name in ('energy_per_atom_ev', 'fmax_ev_per_ang')]
    complete = [np.array(values, dtype=float) for values in columns if all(value is not None for value in values)]
    return facts_descriptor([known[one.facts['formula'] or ''] for one in candidates], complete)


def _radial_features(candidates: Sequence[Reference]) -> list[Any]:
    """Return the features of one configuration of each candidate, of a path its first image; a few nodes at a time."""
    places: dict[str, list[int]] = {}
    for place, one in enumerate(candidates):
        places.setdefault(one.uuid, []).append(place)
    features: list[Any] = [None] * len(candidates)
    uuids = list(places)
    for start in range(0, len(uuids), BATCH):
        for uuid, frames in read_in_batches(_load(set(uuids[start : start + BATCH]))):
            for place in places[uuid]:
                features[place] = radial_features(frames[candidates[place].index])
    return features


def _parts(chosen: list[Reference], wish: Wish, grouping: str | None) -> dict[str, list[Reference]]:
    if not wish.parts:
        return {WHOLE: chosen}
    groups = _groups(chosen, grouping)
    made = part_by_material(groups, wish.parts, wish.seed, _KINDS[grouping or MATERIAL])
    return {name: [chosen[index] for index in indices] for name, indices in made.parts.items()}


def _store(
    dataset: str, wish: Wish, criteria: Mapping[str, Any], parts: Mapping[str, Sequence[Reference]],
    n_candidates: int, grouping: str | None,
) -> Selection:  # fmt: skip
    loaded = _load({one.uuid for part in parts.values() for one in part})
    keys: dict[str, str] = {}
    picks: dict[str, list[list[Any]]] = {}
    for name, part in parts.items():
        picks[name] = []
        for one in part:
            key = keys.setdefault(one.uuid, f'entry_{len(keys):05d}')
            # What is no index of many is the entry as a whole: of a path all its images.
            whole = 'entry_ids' not in loaded[one.uuid].base.attributes
            picks[name].append([key, None if whole else one.index])
    account = {
        'dataset': dataset,
        'criteria': _plain({name: value for name, value in criteria.items() if value}),
        'strategy': wish.strategy,
        'number': wish.number,
        'seed': wish.seed,
        'descriptor': wish.descriptor if wish.strategy == 'farthest' else None,
        'parts': dict(wish.parts) if wish.parts else None,
        'grouped_by': grouping,
        'n_candidates': n_candidates,
        'picks': picks,
    }
    nodes = {key: loaded[uuid] for uuid, key in keys.items()}
    run = run_get_node if len(nodes) <= FEW_LINKS else run_with_many_inputs
    results, process = run(select_entries, criteria=Dict(account), **nodes)
    notes = _notes(grouping)
    for name, node in results.items():
        node.description = ' '.join(notes)
        number = len(parts[name])
        part = f', {name}' if wish.parts else ''
        node.label = f'{dataset}: {number} {"entry" if number == 1 else "entries"}, {wish.strategy}{part}'
    return Selection(dict(results), process, n_candidates, notes)


def _load(uuids: set[str]) -> dict[str, Data]:
    """Return the nodes by uuid, loaded many at a time."""
    ordered = sorted(uuids)
    nodes: dict[str, Data] = {}
    for start in range(0, len(ordered), BATCH):
        query = QueryBuilder().append(Data, filters={'uuid': {'in': ordered[start : start + BATCH]}})
        nodes |= {node.uuid: node for node in query.all(flat=True)}
    return nodes


def _plain(value: Any) -> Any:
    """Return criteria as a ``Dict`` holds them: lists for tuples."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
