"""Parser of ``evaluate`` jobs: the configurations with what the potential says of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..contract import files
from ..contract.arrays import AnyArray, unpack_arrays
from ..contract.errors import LitrajError
from ..contract.evaluate import EvaluateItemResult, EvaluateResult
from ..contract.frames import Frames
from ..contract.result import ItemResult
from ..data.frames import FramesData
from .batch import BatchParser

FAILED = 'not_evaluated'
"""Key of the info of a configuration that failed: the reason."""
KEPT = ('entry_id', 'entry_ids', 'material_id', 'material_ids', 'dataset', 'datasets', 'split', 'splits')
"""Attributes of the given block that are those of the predictions too."""


class EvaluateParser(BatchParser):
    """Makes the configurations with energies, forces and stresses."""

    task = 'evaluate'
    result_model = EvaluateResult
    item_model = EvaluateItemResult
    outputs_name = 'predictions'

    def read_arrays(self) -> dict[str, AnyArray]:
        """Return the arrays of the result, which are fetched only to be parsed.

        :raises LitrajError: if they are missing or unreadable.
        """
        if self._temporary is None or not (self._temporary / files.RESULT_ARRAYS).exists():
            raise LitrajError('ERROR_RESULT_ARRAYS', reason=f'{files.RESULT_ARRAYS} is missing')
        try:
            return unpack_arrays(self._temporary / files.RESULT_ARRAYS)
        except ValueError as error:
            raise LitrajError('ERROR_RESULT_ARRAYS', reason=str(error)) from error

    def node_of(self, given: FramesData, item: ItemResult, arrays: Mapping[str, AnyArray]) -> FramesData | None:
        """Return the configurations of a block, ``None`` if none of them was evaluated.

        :raises LitrajError: if an array is missing or does not fit the configurations, or is NaN where it should not.
        """
        if not arrays and item.status != 'finished':
            return None
        frames = given.frames
        shapes = {'energies': (len(frames),), 'forces': frames.positions.shape, 'stresses': (len(frames), 6)}
        for key, shape in shapes.items():
            if key not in arrays or arrays[key].shape != shape:
                found = arrays[key].shape if key in arrays else 'missing'
                raise LitrajError('ERROR_RESULT_ARRAYS', reason=f'{item.id}: {key} {found}, not {shape}')
        evaluated = np.isfinite(arrays['energies'])
        per_atom = np.repeat(evaluated, np.diff(frames.offsets))
        expected = getattr(item, 'n_evaluated', 0)
        if int(evaluated.sum()) != expected or not np.isfinite(arrays['forces'][per_atom]).all():
            reason = f'{item.id}: {int(evaluated.sum())} configurations with numbers, {expected} by the result'
            raise LitrajError('ERROR_RESULT_ARRAYS', reason=reason)
        return FramesData.from_frames(predicted(frames, item, arrays), attributes(given))


def predicted(given: Frames, item: ItemResult, arrays: Mapping[str, Any]) -> Frames:
    """Return the given configurations with the numbers of the potential, and of those that failed the reason."""
    info: list[dict[str, Any]] = [{} for _ in range(len(given))]
    for failure in getattr(item, 'failures', []):
        info[failure.frame] = {FAILED: failure.reason}
    stresses = arrays['stresses']
    return Frames(
        offsets=given.offsets,
        numbers=given.numbers,
        positions=given.positions,
        cells=given.cells,
        pbc=given.pbc,
        energies=arrays['energies'],
        forces=arrays['forces'],
        stresses=stresses if np.isfinite(stresses).any() else None,
        info=info,
    )


def attributes(given: FramesData) -> dict[str, Any]:
    """Return what the predictions share with the block: which entries of which materials they are."""
    every = given.base.attributes.all
    return {key: every[key] for key in KEPT if every.get(key) is not None}
