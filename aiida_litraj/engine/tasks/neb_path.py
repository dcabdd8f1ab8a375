"""The path of an item as it came, where its band begins, and whether it is still the hop that was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...contract.arrays import AnyArray, Array
from ...contract.neb import NebItem, check_frozen
from ..core.interpolation import idpp, linear, shift
from ..core.stages import StageFailed
from ..ends import End, Frame
from ..models.elements import SYMBOLS
from .reading import ItemArrays

ENDS = {'source': 0, 'target': -1}
"""The ends and their images."""


@dataclass(frozen=True)
class PathInput(Frame):
    """One path as it came: arrays as in ``contract.neb``."""

    item: NebItem
    positions: Array
    cell: Array
    pbc: npt.NDArray[np.bool_]
    numbers: npt.NDArray[np.int64]
    fixed: npt.NDArray[np.bool_]

    def end(self, which: str) -> End:
        """Return the source or the target as it came."""
        positions = self.positions[ENDS[which]]
        return End('', self.item.id, which, self.numbers, positions, self.cell, self.pbc, self.fixed)


def read_path(item: NebItem, arrays: Mapping[str, AnyArray], elements: list[str] | None) -> PathInput:
    """Return the path of an item.

    :raises StageFailed: naming what is wrong with it: a missing array, shapes that do not match, fewer than three
        images, numbers that are not finite, a frozen atom that moves, a mobile ion that is not there, an element the
        potential lacks.
    """
    given = ItemArrays(item.id, arrays)
    positions = given.read('positions', np.float64)
    if positions.ndim != 3 or positions.shape[2] != 3 or positions.shape[0] < 3 or not positions.shape[1]:
        raise given.invalid(f'positions of shape {positions.shape}, not (at least 3 images, atoms, 3)')
    n_atoms = positions.shape[1]
    path = PathInput(
        item,
        positions,
        given.read('cell', np.float64, (3, 3)),
        given.read('pbc', np.bool_, (3,)),
        given.read('numbers', np.int64, (n_atoms,)),
        given.read('fixed', np.bool_, (n_atoms,)),
    )
    given.check(positions, path.cell, path.pbc, path.numbers, elements)
    try:
        check_frozen(path.positions, path.fixed)
    except ValueError as error:
        raise given.invalid(str(error)) from error
    if item.mobile is not None and item.mobile >= n_atoms:
        raise given.invalid(f'mobile ion {item.mobile} of {n_atoms} atoms')
    return path


def initial(path: PathInput, source: Array, target: Array, kind: str) -> Array:
    """Return where the band begins, (n_images, n_atoms, 3) in Ang; ``kind`` as ``initial_path`` of the parameters."""
    n_images = len(path.positions)
    if kind == 'linear':
        return linear(source, target, n_images)
    if kind == 'idpp':
        return idpp(source, target, n_images, path.cell, path.pbc, path.free)
    if kind == 'shift':
        return shift(path.positions, source, target)
    return path.positions


def check_hop(path: PathInput, source: Array, target: Array, tolerance: float | None) -> None:
    """Assert that the mobile ion still makes the hop that was asked for.

    Its displacement between the ends is compared, as a vector, with that of the path as it came.

    :raises StageFailed: if they differ by a lattice vector, or by more than ``tolerance`` in Ang.
    """
    mobile = path.item.mobile
    if mobile is None:
        return
    asked = path.positions[-1, mobile] - path.positions[0, mobile]
    change = (target[mobile] - source[mobile]) - asked
    if path.pbc.any():
        turns = np.rint(np.linalg.solve(path.cell.T, change)) * path.pbc
        if turns.any():
            raise StageFailed(
                'ERROR_ENDPOINT_MOVED',
                reason=f'they differ by the lattice vector {turns.astype(int)}: the ion left an end for a copy of its '
                'site; relax the crystal with this potential first, or choose another hop',
            )
    distance = float(np.linalg.norm(change))
    if tolerance is not None and distance > tolerance:
        raise StageFailed(
            'ERROR_ENDPOINT_MOVED',
            reason=f'the hop changed by {distance:.2f} Ang (at most {tolerance:g} allowed): '
            f'{_farther(path, source, target)}; relax the crystal with this potential first, choose another hop, or '
            'raise hop_tolerance_ang',
        )


def _farther(path: PathInput, source: Array, target: Array) -> str:
    """Return which end the mobile ion left while it relaxed, how far and where to, as a person reads it."""
    ways = {which: relaxed - path.positions[ENDS[which]] for which, relaxed in zip(ENDS, (source, target))}
    mobile = path.item.mobile
    which = max(ways, key=lambda end: float(np.linalg.norm(ways[end][mobile])))
    place = (source if which == 'source' else target)[mobile]
    where = np.array2string(place, precision=2, separator=', ', floatmode='fixed')
    return f'at the {which} the ion moved by {np.linalg.norm(ways[which][mobile]):.2f} Ang to {where} Ang'


def check_sites(path: PathInput, source: Array, target: Array, tolerance: float | None) -> None:
    """Assert that all atoms of the ends are still at the sites that they came at.

    The mobile ion may well have made its hop while a neighbour has fallen into the vacancy: a barrier between two
    other configurations.

    :raises StageFailed: naming end, atom and way, if an atom has moved by more than ``tolerance`` in Ang.
    """
    for which, relaxed in zip(ENDS, (source, target)):
        moved = np.linalg.norm(relaxed - path.positions[ENDS[which]], axis=1)
        atom = int(moved.argmax())
        if tolerance is not None and moved[atom] > tolerance:
            others = int((moved > tolerance).sum()) - 1
            raise StageFailed(
                'ERROR_ENDPOINT_MOVED',
                reason=f'while the {which} relaxed, atom {atom} ({SYMBOLS[path.numbers[atom]]}) moved by '
                f'{moved[atom]:.2f} Ang{f" and {others} more so" if others else ""} (at most {tolerance:g} allowed): '
                'relax the crystal with this potential first, choose another hop, or raise end_tolerance_ang',
            )


def check_way(path: PathInput, positions: Array) -> None:
    """Assert that the mobile ion went the way between the ends that it was asked to go.

    From image to image its steps in ``positions`` (n_images, n_atoms, 3) are compared with those of the path as it
    came: none may have become that to another periodic image, which a band that is torn apart could bring about.

    :raises StageFailed: naming the images.
    """
    mobile = path.item.mobile
    if mobile is None or not path.pbc.any():
        return
    change = np.diff(positions[:, mobile], axis=0) - np.diff(path.positions[:, mobile], axis=0)
    turns = np.rint(np.linalg.solve(path.cell.T, change.T).T) * path.pbc
    for i in np.flatnonzero(turns.any(axis=1)):
        raise StageFailed(
            'ERROR_ENDPOINT_MOVED',
            reason=f'between images {i} and {i + 1} the ion went round by the lattice vector {turns[i].astype(int)}; '
            'use more images, or a larger supercell',
        )
