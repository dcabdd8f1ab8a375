"""Ends of paths as configurations of their own: relaxed once for all paths that share one.

What a path calls its source may be the target of another, with its atoms in another order and in other periodic
images. The path that asks first lends its representation; that is noted beside the checkpoint, so that a later run
goes on with the same numbers whichever of the paths are still to be done.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..contract.arrays import Array, pack_arrays, unpack_arrays, write_atomic
from .core.endpoints import Order, canonical, carry_over
from .core.hessian import System
from .core.stages import Relaxed

_NAMES = ('owner', 'which')
_ARRAYS = ('numbers', 'positions', 'cell', 'pbc', 'fixed')


def fingerprint(*parts: object) -> str:
    """Return a hash (64 hexadecimal digits) of arrays, strings and numbers."""
    digest = hashlib.sha256()
    for part in parts:
        content = np.ascontiguousarray(part).tobytes() if isinstance(part, np.ndarray) else repr(part).encode()
        digest.update(len(content).to_bytes(8, 'little') + content)
    return digest.hexdigest()


class Frame:
    """Atoms in their cell without their positions; a base of classes that have these fields."""

    numbers: npt.NDArray[np.int64]
    cell: Array
    pbc: npt.NDArray[np.bool_]
    fixed: npt.NDArray[np.bool_]

    @property
    def system(self) -> System:
        """The atoms without their positions."""
        return System(self.numbers, self.cell, self.pbc)

    @property
    def free(self) -> Array:
        """1 for each atom that may move, 0 for a frozen one, (n_atoms, 1)."""
        mask: Array = (~self.fixed).astype(np.float64)[:, None]
        return mask


@dataclass(frozen=True)
class End(Frame):
    """A configuration to relax, as the path ``owner`` had it, which asked first; ``which`` of its ends it was."""

    task: str
    owner: str
    which: str
    numbers: npt.NDArray[np.int64]
    positions: Array
    cell: Array
    pbc: npt.NDArray[np.bool_]
    fixed: npt.NDArray[np.bool_]

    @property
    def key(self) -> tuple[str, Order]:
        """What the configuration is, whatever the order of its atoms, and the order that sorts them."""
        return canonical(self.numbers, self.positions, self.cell, self.pbc, self.fixed)

    @property
    def fingerprint(self) -> str:
        """What the answers to its relaxation depend on, to the last bit, besides the settings in ``task``."""
        return fingerprint(self.task, self.positions, self.cell, self.pbc, self.numbers, self.fixed)


@dataclass(frozen=True)
class Use:
    """How a path has an end: with its atoms in ``order`` and, before it relaxed, at ``start`` (n_atoms, 3) in Ang."""

    end: End
    order: Order
    start: Array

    def own(self, relaxed: Relaxed) -> Relaxed:
        """Return the relaxed end in the atom order and the periodic images of the path."""
        theirs = self.end.key[1]
        moved = carry_over(relaxed.positions - self.end.positions, theirs, self.order)
        forces = carry_over(relaxed.forces, theirs, self.order)
        return replace(relaxed, positions=self.start + moved, forces=forces)


class Ends:
    """The ends of a job's paths, noted in ``folder``; ``salt`` is what else their relaxation depends on."""

    def __init__(self, folder: Path, salt: str) -> None:
        self._folder, self._salt = folder, salt
        self._known: dict[str, End] = {}

    def use(self, asked: End, settings: str) -> tuple[Use, bool]:
        """Return how a path has the end ``asked`` (without a task yet), and whether it is the first to ask for it."""
        key, order = asked.key
        # no id of a path has a plus
        task = f'end+{fingerprint(self._salt, key, settings)[:32]}'
        first = task not in self._known
        if first:
            self._known[task] = self._noted(task, key) or replace(asked, task=task)
        return Use(self._known[task], order, asked.positions), first

    def note(self, end: End) -> None:
        """Put the representation in which an end is relaxed on disk, before its first evaluation is."""
        arrays = {name: getattr(end, name) for name in _ARRAYS}
        names = {name: np.frombuffer(getattr(end, name).encode(), dtype=np.uint8) for name in _NAMES}
        write_atomic(self._folder / f'{end.task}.npz', pack_arrays(arrays | names))

    def _noted(self, task: str, key: str) -> End | None:
        try:
            found = unpack_arrays(self._folder / f'{task}.npz')
            names = [bytes(found[name]).decode() for name in _NAMES]
            end = End(task, *names, *(found[name] for name in _ARRAYS))  # type: ignore[arg-type]
            return end if end.key[0] == key else None
        except (ValueError, KeyError, IndexError, TypeError):
            return None
