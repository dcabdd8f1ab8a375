"""Hops between neighbouring sites of the mobile ion in a crystal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.neighborlist import primitive_neighbor_list

from .crystals import complete_cell

SAME_LENGTH_ANG = 0.005
"""Hops whose lengths differ by less are taken for one kind: as exact as crystal structures are."""


@dataclass(frozen=True)
class Neighbours:
    """A hop from site ``source`` to the copy of site ``target`` in the cell ``offset`` away, ``distance_ang`` long."""

    source: int
    target: int
    offset: tuple[int, int, int]
    distance_ang: float

    @property
    def text(self) -> str:
        """The hop as ``--hop`` takes it."""
        return ','.join(str(number) for number in (self.source, self.target, *self.offset))


def neighbour_hops(atoms: Atoms, element: str, max_distance_ang: float) -> list[Neighbours]:
    """Return the hops between sites of ``element`` up to a length in Ang, the shortest first.

    A hop and its way back, and copies of it by a translation of the crystal, are listed once.

    :raises ValueError: if the crystal has no such site.
    """
    sites = np.flatnonzero(atoms.symbols == element)
    if not len(sites):
        found = ', '.join(sorted(set(atoms.symbols)))
        raise ValueError(f'the structure has no {element} but {found}; name the element that hops with --mobile')
    i, j, distances, offsets = primitive_neighbor_list(
        'ijdS', atoms.pbc, complete_cell(np.asarray(atoms.cell)), atoms.positions[sites], max_distance_ang
    )
    hops = [
        Neighbours(int(sites[a]), int(sites[b]), (int(offset[0]), int(offset[1]), int(offset[2])), float(distance))
        for a, b, distance, offset in zip(i, j, distances, offsets)
        if a < b or (a == b and tuple(offset) > (0, 0, 0))
    ]
    return sorted(hops, key=lambda hop: (round(hop.distance_ang, 3), hop.source, hop.target, _size(hop), hop.offset))


def _size(hop: Neighbours) -> int:
    return sum(abs(number) for number in hop.offset)


def kinds_of_hops(hops: list[Neighbours]) -> list[list[Neighbours]]:
    """Return hops of one length together, the shortest first.

    Hops that the symmetry of the crystal maps on each other are of one length; the converse need not hold.
    """
    kinds: list[list[Neighbours]] = []
    for hop in sorted(hops, key=lambda one: one.distance_ang):
        if kinds and hop.distance_ang - kinds[-1][-1].distance_ang < SAME_LENGTH_ANG:
            kinds[-1].append(hop)
        else:
            kinds.append([hop])
    return [sorted(kind, key=lambda one: (one.source, one.target, _size(one), one.offset)) for kind in kinds]
