"""The sets of configurations of a training, read with suspicion: what is missing is said with the remedy."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ...contract.arrays import AnyArray, Array
from ...contract.frames import Frames
from ...contract.train import TrainingParameters, TrainItem
from ..models.elements import SYMBOLS
from .reading import ItemArrays


class Sets:
    """What a training learns from, what tells its best epoch, and what its parent knew; each in its own file."""

    def __init__(
        self,
        item: TrainItem,
        parameters: TrainingParameters,
        arrays: Mapping[str, AnyArray],
        elements: list[str] | None,
    ) -> None:
        """Read them; ``elements``: those that the parent knows, ``None`` where it does not say, or there is none.

        :raises StageFailed: naming the set and what is wrong with it.
        """
        stress = parameters.loss.stress_weight > 0
        self.train = read_set(f'train.{item.train}', arrays, stress, elements)
        self.valid = read_set(f'valid.{item.valid}', arrays, stress, elements)
        replay = parameters.replay
        self.replay = None if replay is None else read_set(f'replay.{replay.set}', arrays, stress, elements)
        if parameters.batch_size > len(self.train):
            raise ItemArrays(item.id, arrays).invalid(
                f'batch_size {parameters.batch_size} is more than the {len(self.train)} configurations of the set '
                f'train.{item.train}: take at most {len(self.train)}'
            )

    @property
    def symbols(self) -> tuple[str, ...]:
        """The elements of all sets, by their numbers."""
        parts = [self.train, self.valid, *([] if self.replay is None else [self.replay])]
        return symbols_of(*parts)

    def arrays(self) -> list[AnyArray]:
        """Return all that a training can depend on, for its fingerprint."""
        parts = [self.train, self.valid, *([] if self.replay is None else [self.replay])]
        found: list[AnyArray] = []
        for part in parts:
            known = (part.offsets, part.numbers, part.positions, part.cells, part.pbc, part.energies, part.forces)
            found.extend(values for values in (*known, part.stresses) if values is not None)
        return found


def symbols_of(*parts: Frames) -> tuple[str, ...]:
    """Return the elements of some sets, by their numbers."""
    return tuple(SYMBOLS[number] for number in np.unique(np.concatenate([part.numbers for part in parts])))


def read_set(name: str, arrays: Mapping[str, AnyArray], stress: bool, elements: list[str] | None) -> Frames:
    """Return a set of configurations, all of them labelled; with stresses if ``stress``.

    :raises StageFailed: if it is missing, malformed, lacks labels, or has elements that the parent does not know.
    """
    given = ItemArrays(name, arrays)
    if not any(key.startswith(f'{name}/') for key in arrays):
        raise given.invalid('the job has no such set')
    offsets = given.read('offsets', np.int64)
    numbers = given.read('numbers', np.int64)
    n_frames, n_atoms = len(offsets) - 1, len(numbers)
    sizes = np.diff(offsets)
    if n_frames < 1 or offsets[0] or offsets[-1] != n_atoms or (sizes < 1).any():
        raise given.invalid(f'offsets {offsets[:5].tolist()}... of {n_atoms} atoms are no frames of atoms')
    positions = given.read('positions', np.float64, (n_atoms, 3))
    cells = given.read('cells', np.float64, (n_frames, 3, 3))
    pbc = given.read('pbc', np.bool_, (n_frames, 3))
    for index, (start, stop) in enumerate(pairwise(offsets)):
        atoms = slice(start, stop)
        ItemArrays(f'{name}, frame {index}', {}).check(
            positions[atoms], cells[index], pbc[index], numbers[atoms], elements
        )
    for label in ('energies', 'forces'):
        if not given.has(label):
            raise given.invalid(f'it has no {label}: there is nothing to learn from; label it first')
    frame_of: npt.NDArray[np.int64] = np.repeat(np.arange(n_frames), sizes)
    energies = _labels(given, 'energies', (n_frames,), np.arange(n_frames))
    forces = _labels(given, 'forces', (n_atoms, 3), frame_of)
    stresses = _stresses(given, n_frames, pbc) if stress else None
    return Frames(offsets, numbers.astype(np.uint8), positions, cells, pbc, energies, forces, stresses)


def _labels(given: ItemArrays, label: str, shape: tuple[int, ...], frame_of: npt.NDArray[np.int64]) -> Array:
    """Return labels that are all known.

    :raises StageFailed: if one is not.
    """
    values: Array = given.read(label, np.float64, shape)
    bad = np.unique(frame_of[~np.isfinite(values.reshape(len(values), -1)).all(axis=1)])
    if len(bad):
        raise given.invalid(
            f'{label} of {len(bad)} of {frame_of[-1] + 1} frames are not known or not finite, the first is frame '
            f'{bad[0]}: label them or leave them out'
        )
    return values


def _stresses(given: ItemArrays, n_frames: int, pbc: npt.NDArray[np.bool_]) -> Array:
    """Return the stresses, known for each frame that is periodic.

    :raises StageFailed: if one is not.
    """
    remedy = 'label them, or set loss.stress_weight to zero'
    if not given.has('stresses'):
        raise given.invalid(f'it has no stresses, which are to be learnt: {remedy}')
    values: Array = given.read('stresses', np.float64, (n_frames, 6))
    periodic: npt.NDArray[np.bool_] = np.asarray(pbc.all(axis=1))
    bad = np.flatnonzero(periodic & ~np.isfinite(values).all(axis=1))
    if len(bad):
        raise given.invalid(
            f'stresses of {len(bad)} of {n_frames} frames are not known or not finite, the first is frame {bad[0]}: '
            f'{remedy}'
        )
    return np.where(periodic[:, None], values, np.nan)
