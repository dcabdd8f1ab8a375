"""Parser of ``train`` jobs: potentials, learning curves and how each training ended."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from aiida.common.links import LinkType
from aiida.orm import ArrayData, Data, Dict

from ..contract import files
from ..contract.arrays import AnyArray, unpack_arrays
from ..contract.errors import LitrajError
from ..contract.result import ItemResult
from ..contract.train import BEST, CURVE, LAST, TrainItemResult, TrainResult
from ..data.potential import PotentialData
from .batch import BatchParser

UNUSABLE = 'ERROR_TRAINED_UNUSABLE'
"""Of a potential that the engine has loaded anew and found to be another."""


class TrainParser(BatchParser):
    """Makes a potential and a learning curve of each training; the files of potentials are never opened here.

    Of one that diverged it is the best potential until then. Of one that was cut off there is the curve alone: the next
    job has its checkpoint.
    """

    task = 'train'
    result_model = TrainResult
    item_model = TrainItemResult
    outputs_name = 'potentials'

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

    def node_of(self, given: Dict, item: ItemResult, arrays: Mapping[str, AnyArray]) -> PotentialData | None:
        """Return the potential of the best epoch; ``None`` if there is none that could be used.

        :raises LitrajError: if its file is missing, or is not the one that the engine has written.
        """
        assert isinstance(item, TrainItemResult)
        if item.status == 'unfinished' or item.label == UNUSABLE or item.best_sha256 is None:
            return None
        return self._potential(item, BEST, item.best_sha256)

    def further(self, given: Dict, item: ItemResult, arrays: Mapping[str, AnyArray]) -> dict[str, Data]:
        """Return the learning curve, and the potential of the last epoch where that is another.

        :raises LitrajError: if they do not fit what the engine says of the training.
        """
        assert isinstance(item, TrainItemResult)
        made: dict[str, Data] = {}
        if arrays:
            made['curves'] = curve_of(item, arrays)
        sha256 = item.last_sha256
        if item.status == 'finished' and item.label != UNUSABLE and sha256 not in (None, item.best_sha256):
            made['last_potentials'] = self._potential(item, LAST, str(sha256))
        return made

    def _potential(self, item: TrainItemResult, suffix: str, sha256: str) -> PotentialData:
        inputs = self.node.base.links.get_incoming(link_type=LinkType.INPUT_CALC).nested()
        parent: PotentialData | None = inputs.get('potential')
        trainer = str(inputs['parameters']['trainer'])
        path = Path(str(self._temporary)) / files.ITEMS / f'{item.id}{suffix}'
        try:
            node = PotentialData.from_file(
                path,
                trainer if parent is None else parent.family,
                elements=item.elements,
                licence=None if parent is None else parent.licence,
                citation=citation_of(trainer, parent),
                sha256=sha256,
                cutoff_ang=item.cutoff_ang,
                label=f'{trainer}-{item.id}-{sha256[:8]}',
            )
        except ValueError as error:
            raise LitrajError('ERROR_RESULT_ARRAYS', reason=f'{item.id}: {error}') from error
        return node


def citation_of(trainer: str, parent: PotentialData | None) -> str:
    """Return what to cite of a trained potential: how it was made, and of what."""
    if parent is None:
        return f'trained from scratch with {trainer}'
    name = parent.label or parent.name or 'a potential'
    return f'trained with {trainer} from {name} ({parent.citation or "no citation known"})'


def curve_of(item: TrainItemResult, arrays: Mapping[str, AnyArray]) -> ArrayData:
    """Return a learning curve: an array (epochs,) for each column, NaN where the trainer does not say.

    :raises LitrajError: if it has other columns, or other epochs than the engine says.
    """
    curve = arrays.get('curve')
    expected = (item.n_epochs, len(CURVE))
    if curve is None or curve.shape != expected:
        found = 'missing' if curve is None else curve.shape
        raise LitrajError('ERROR_RESULT_ARRAYS', reason=f'{item.id}: curve {found}, not {expected}')
    columns = dict(zip(CURVE, np.asarray(curve, dtype=float).T))
    if columns['epoch'].tolist() != list(range(1, item.n_epochs + 1)):
        raise LitrajError('ERROR_RESULT_ARRAYS', reason=f'{item.id}: its epochs are not counted from 1')
    columns['epoch'] = columns['epoch'].astype(np.int64)
    return ArrayData({name: np.ascontiguousarray(values) for name, values in columns.items()})
