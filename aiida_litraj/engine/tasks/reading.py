"""The arrays of an item, read with suspicion: what is wrong with them is said of the item alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ...contract.arrays import AnyArray, Array
from ..core.stages import StageFailed
from ..models.elements import SYMBOLS, symbols_of


class ItemArrays:
    """The arrays of one item of a job."""

    def __init__(self, name: str, arrays: Mapping[str, AnyArray]) -> None:
        self._name, self._arrays = name, arrays

    def invalid(self, reason: str) -> StageFailed:
        """Return the failure of an item that is malformed."""
        return StageFailed('ERROR_ITEM_INVALID', reason=f'{self._name}: {reason}')

    def has(self, name: str) -> bool:
        """Return whether there is an array of this name."""
        return f'{self._name}/{name}' in self._arrays

    def read(self, name: str, kind: npt.DTypeLike, shape: tuple[int, ...] | None = None) -> npt.NDArray[Any]:
        """Return an array.

        :raises StageFailed: if it is missing, or of another type or shape.
        """
        raw = self._arrays.get(f'{self._name}/{name}')
        if raw is None:
            raise self.invalid(f'the array {name} is missing')
        if not np.can_cast(raw.dtype, kind, casting='same_kind'):
            raise self.invalid(f'{name} of type {raw.dtype}, not {np.dtype(kind)}')
        if shape is not None and raw.shape != shape:
            raise self.invalid(f'{name} of shape {raw.shape}, not {shape}')
        return raw.astype(kind)

    def check(
        self,
        positions: Array,
        cell: Array,
        pbc: npt.NDArray[np.bool_],
        numbers: npt.NDArray[np.int64],
        elements: list[str] | None,
    ) -> None:
        """Assert that atoms are somewhere, in a cell with a volume, and of ``elements`` that the potential covers.

        :raises StageFailed: if not.
        """
        if not (np.isfinite(positions).all() and np.isfinite(cell).all()):
            raise self.invalid('positions or cell are not finite')
        if pbc.any() and abs(np.linalg.det(cell)) < 1e-6:
            raise self.invalid('the cell has no volume')
        if not ((numbers > 0) & (numbers < len(SYMBOLS))).all():
            raise self.invalid(f'atomic numbers from {numbers.min()} to {numbers.max()}')
        if elements is not None:
            lacking = [symbol for symbol in symbols_of(numbers.tolist()) if symbol not in elements]
            if lacking:
                raise StageFailed('ERROR_ELEMENTS_NOT_COVERED', potential='of this job', elements=', '.join(lacking))
