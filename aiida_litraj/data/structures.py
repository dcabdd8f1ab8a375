"""Crystals of AiiDA as atoms: what a hop needs of a ``StructureData``."""

from __future__ import annotations

from aiida.orm import StructureData
from ase import Atoms
from ase.data import atomic_numbers


def to_atoms(structure: StructureData, name: str = 'structure') -> Atoms:
    """Return the atoms of a structure in its own order, positions as they are, without kinds and tags.

    :raises ValueError: if a site is shared or partly empty, or is not an element, naming the site.
    """
    numbers = []
    for index, site in enumerate(structure.sites):
        kind = structure.get_kind(site.kind_name)
        if kind.has_vacancies or kind.is_alloy:
            shares = ', '.join(f'{symbol} {weight:g}' for symbol, weight in zip(kind.symbols, kind.weights))
            raise ValueError(
                f'{name}: site {index} is partly occupied ({shares}); make an ordered structure of it first'
            )
        number = atomic_numbers.get(kind.symbol, 0)
        if number < 1:
            raise ValueError(f'{name}: site {index} is {kind.symbol!r}, which is not an element; replace or remove it')
        numbers.append(number)
    positions = [site.position for site in structure.sites]
    return Atoms(numbers, positions=positions, cell=structure.cell, pbc=structure.pbc)
