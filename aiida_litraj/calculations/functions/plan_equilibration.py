"""From a crystal to its supercell and the replicas that bring it to each temperature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida.engine import calcfunction
from aiida.orm import Dict, StructureData
from ase.data import atomic_numbers

from ...analysis.conductivity import ConductivitySettings, equilibration_replicas
from ...analysis.crystals import choose_repetition
from ...data.structures import to_atoms
from ..validation import validated

SUPERCELL = 'supercell'


@calcfunction
def plan_equilibration(structure: StructureData, settings: Dict) -> dict[str, Any]:
    """Return the ``supercell``, and the replicas at constant pressure under the names of the runs.

    :param settings: the fields of ``analysis.conductivity.ConductivitySettings``.
    """
    choices = read_settings(settings.get_dict())
    replicas = equilibration_replicas(choices, SUPERCELL)
    return {SUPERCELL: supercell(structure, choices), **{name: Dict(replica) for name, replica in replicas.items()}}


def supercell(structure: StructureData, settings: ConductivitySettings) -> StructureData:
    """Return the smallest supercell that is large enough, not stored.

    :raises ValueError: if sites are shared or the mobile element is not among them, the cell is not periodic in three
        directions, or the supercell would be too large.
    """
    atoms = to_atoms(structure)
    element = settings.mobile_element
    if atomic_numbers.get(element, 0) < 1:
        raise ValueError(f'settings.mobile_element = {element!r} is no element')
    if element not in atoms.get_chemical_symbols():
        raise ValueError(
            f'settings.mobile_element = {element!r}: there is none in {atoms.get_chemical_formula("metal")}, '
            'so nothing that could carry a current; name the element that does, or give another structure'
        )
    if not atoms.pbc.all():
        raise ValueError(
            f'structure: it is periodic in {int(atoms.pbc.sum())} directions only, and a conductivity is that of a bulk'
        )
    cell, pbc = np.asarray(atoms.cell), np.asarray(atoms.pbc)
    try:
        repetition = choose_repetition(cell, pbc, settings.min_image_distance_ang, len(atoms))
    except ValueError as error:
        raise ValueError(str(error).replace('geometry.', 'settings.')) from error
    return StructureData(ase=atoms.repeat(repetition))


def read_settings(values: Mapping[str, Any]) -> ConductivitySettings:
    """Return settings from their fields.

    :raises ValueError: naming each field that is missing, not known or out of range.
    """
    return validated(values, ConductivitySettings, 'settings')
