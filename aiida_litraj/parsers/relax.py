"""Parser of ``relax`` jobs: relaxed structures and how each ended."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from aiida.orm import StructureData
from aiida.orm.nodes.data.structure import Site

from ..contract.arrays import AnyArray
from ..contract.errors import LitrajError
from ..contract.relax import RelaxItemResult, RelaxResult
from ..contract.result import ItemResult
from .batch import BatchParser


class RelaxParser(BatchParser):
    """Makes the relaxed structures."""

    task = 'relax'
    result_model = RelaxResult
    item_model = RelaxItemResult
    outputs_name = 'structures'

    def node_of(self, given: StructureData, item: ItemResult, arrays: Mapping[str, AnyArray]) -> StructureData | None:
        """Return the relaxed structure that belongs to the one ``given``, ``None`` if it was given up before.

        :raises LitrajError: if an array is missing or does not fit the atoms that were given.
        """
        if not arrays and item.status != 'finished':
            return None
        n_atoms = len(given.sites)
        for key, shape in {'positions': (n_atoms, 3), 'cell': (3, 3)}.items():
            if key not in arrays or arrays[key].shape != shape or not np.isfinite(arrays[key]).all():
                found = arrays[key].shape if key in arrays else 'missing'
                raise LitrajError('ERROR_RESULT_ARRAYS', reason=f'{item.id}: {key} {found}, not {shape} and finite')
        return moved(given, arrays['positions'], arrays['cell'])


def moved(given: StructureData, positions: AnyArray, cell: AnyArray) -> StructureData:
    """Return a structure with its kinds and sites at other positions (n_atoms, 3) in another cell (3, 3), in Ang."""
    structure = StructureData(cell=cell.tolist(), pbc=given.pbc)
    for kind in given.kinds:
        structure.append_kind(kind)
    for site, position in zip(given.sites, positions.tolist(), strict=True):
        structure.append_site(Site(kind_name=site.kind_name, position=position))
    structure.label = given.label
    return structure
