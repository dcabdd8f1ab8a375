"""Relaxes structures, atoms and by choice cells under a pressure: one job, any number of structures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida.orm import StructureData
from ase.data import atomic_numbers

from ..analysis.symmetry import Operations, operations
from ..contract.potential import PotentialSpec
from ..contract.relax import RelaxationParameters, RelaxItem, RelaxJob
from ..contract.runtime import Runtime
from .base import LitrajCalcJob
from .validation import check_names, check_structure


class RelaxCalculation(LitrajCalcJob):
    """Runs ``litraj-engine`` on structures: geometry optimisation of ions and cell."""

    task = 'relax'
    parameters_model = RelaxationParameters
    item_type = StructureData
    items_help = 'Structures by name.'

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs and outputs."""
        super().define(spec)
        spec.output_namespace(
            'structures',
            valid_type=StructureData,
            dynamic=True,
            required=False,
            help='Relaxed structures by name, with the kinds of those that were given; those that failed are missing.',
        )

    @classmethod
    def check_items(cls, items: Mapping[str, StructureData]) -> None:
        """Refuse structures that cannot be relaxed.

        :raises ValueError: naming the first that is at fault.
        """
        check_names(items, 'structures', 'StructureData')
        for name, structure in items.items():
            check_structure(structure, f'structures.{name}')

    @classmethod
    def check_together(cls, inputs: Mapping[str, Any]) -> None:
        """Refuse also to relax, or to keep the symmetry of, cells that are not periodic in all directions.

        :raises ValueError: naming input and remedy.
        """
        super().check_together(inputs)
        values = {} if inputs.get('parameters', None) is None else inputs['parameters'].get_dict()
        whole = values.get('cell') != 'fixed' or values.get('symmetry_tolerance_ang') is not None
        for name, structure in (inputs.get('structures', None) or {}).items():
            if values and whole and not all(structure.pbc):
                raise ValueError(
                    f'structures.{name}: it is periodic in {sum(structure.pbc)} directions only: set parameters.cell '
                    'to fixed and symmetry_tolerance_ang to null'
                )
            if values.get('symmetry_tolerance_ang') is not None:
                try:
                    symmetry_of(structure, values['symmetry_tolerance_ang'])
                except ValueError as error:
                    raise ValueError(f'structures.{name}: {error}') from error

    @classmethod
    def symbols(cls, inputs: Mapping[str, Any]) -> set[str]:
        """Return the elements that the potential has to cover."""
        structures = inputs.get('structures', None) or {}
        return {kind.symbol for structure in structures.values() for kind in structure.kinds}

    def job(
        self, potential: PotentialSpec, parameters: RelaxationParameters, runtime: Runtime, items: dict[str, Any]
    ) -> RelaxJob:
        """Return the job of these structures."""
        listed = [RelaxItem(id=name) for name in items]
        return RelaxJob(potential=potential, parameters=parameters, runtime=runtime, items=listed)

    def item_arrays(self, item: StructureData, parameters: RelaxationParameters) -> dict[str, Any]:
        """Return the arrays of a structure as they go into a job."""
        arrays = structure_arrays(item)
        tolerance = parameters.symmetry_tolerance_ang
        if tolerance is not None:
            arrays |= symmetry_of(item, tolerance)._asdict()
        return arrays


def symmetry_of(structure: StructureData, tolerance_ang: float) -> Operations:
    """Return the operations that take a structure onto itself, atoms of each kind onto atoms of that kind.

    :raises ValueError: if no symmetry is found.
    """
    arrays = structure_arrays(structure)
    kinds = sorted({site.kind_name for site in structure.sites})
    numbers = np.array([kinds.index(site.kind_name) + 1 for site in structure.sites], dtype=np.int64)
    return operations(arrays['cell'], arrays['positions'], numbers, tolerance_ang)


def structure_arrays(structure: StructureData) -> dict[str, Any]:
    """Return positions, cell, periodicity and atomic numbers of a structure, in the order of its sites."""
    symbols = {kind.name: kind.symbol for kind in structure.kinds}
    return {
        'positions': np.array([site.position for site in structure.sites], dtype=float),
        'cell': np.array(structure.cell, dtype=float),
        'pbc': np.array(structure.pbc, dtype=bool),
        'numbers': np.array([atomic_numbers[symbols[site.kind_name]] for site in structure.sites], dtype=np.int64),
    }
