"""Parser of ``neb`` jobs: optimised paths and how each ended."""

from __future__ import annotations

from collections.abc import Mapping

from ..contract.arrays import AnyArray
from ..contract.errors import LitrajError
from ..contract.neb import NebItemResult, NebResult
from ..contract.result import ItemResult
from ..data.path import PathData
from .batch import BatchParser

PATH_ARRAYS = ('positions', 'energies', 'forces', 'neb_forces')


class NebParser(BatchParser):
    """Makes the optimised paths."""

    task = 'neb'
    result_model = NebResult
    item_model = NebItemResult
    outputs_name = 'paths'

    def node_of(self, given: PathData, item: ItemResult, arrays: Mapping[str, AnyArray]) -> PathData | None:
        """Return the optimised path that belongs to the path ``given``, ``None`` if it was given up before.

        :raises LitrajError: if an array is missing or does not fit the atoms and images that were given.
        """
        return optimised_path(given, arrays, item.id) if arrays or item.status == 'finished' else None


def optimised_path(given: PathData, arrays: Mapping[str, AnyArray], name: str) -> PathData:
    """Return the optimised path that belongs to the path ``given``.

    :raises LitrajError: if an array is missing or does not fit the atoms and images that were given.
    """
    lacking = [key for key in PATH_ARRAYS if key not in arrays]
    if lacking:
        raise LitrajError('ERROR_RESULT_ARRAYS', reason=f'{name}: {", ".join(lacking)} missing')
    shape = (given.n_images, given.natoms, 3)
    if arrays['positions'].shape != shape:
        found = arrays['positions'].shape
        raise LitrajError('ERROR_RESULT_ARRAYS', reason=f'{name}: positions of shape {found}, not {shape}')
    try:
        return PathData.from_arrays(
            symbols=given.symbols,
            cell=given.cell,
            pbc=given.pbc,
            mobile=given.mobile,
            fixed=given.fixed,
            labels=given.labels,
            **arrays,
        )
    except (ValueError, TypeError) as error:
        raise LitrajError('ERROR_RESULT_ARRAYS', reason=f'{name}: {error}') from error
