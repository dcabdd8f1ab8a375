"""Sets of labelled configurations as files that trainers read, every number to its last digit."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from ...contract.arrays import AnyArray, Array, pack_arrays
from ...contract.frames import Frames
from ..models.elements import SYMBOLS

_FULL = ([0, 5, 4], [5, 1, 3], [4, 3, 2])
"""Where the components of a stress (xx yy zz yz xz xy) stand in its matrix."""


def _joined(values: Array) -> str:
    return ' '.join(repr(value) for value in values.ravel().tolist())


def _lines(frames: Frames, prefix: str) -> Iterator[str]:
    energies, forces, stresses = frames.energies, frames.forces, frames.stresses
    if energies is None or forces is None:
        raise ValueError('a set to learn from has energies and forces')
    for index, (start, stop) in enumerate(pairwise(frames.offsets)):
        columns = f'species:S:1:pos:R:3:{prefix}forces:R:3'
        head = [f'Lattice="{_joined(frames.cells[index])}" Properties={columns}']
        head.append(f'{prefix}energy={float(energies[index])!r}')
        if stresses is not None and np.isfinite(stresses[index]).all():
            matrix = stresses[index][np.array(_FULL)]
            # ASE has a matrix of its own name as nine numbers, another as JSON
            value = f'_JSON {matrix.tolist()}' if prefix else _joined(matrix)
            head.append(f'{prefix}stress="{value}"')
        head.append(f'pbc="{" ".join("T" if periodic else "F" for periodic in frames.pbc[index])}"')
        yield f'{stop - start}\n{" ".join(head)}\n'
        for atom in range(start, stop):
            where = _joined(frames.positions[atom])
            yield f'{SYMBOLS[frames.numbers[atom]]} {where} {_joined(forces[atom])}\n'


def write_set(frames: Frames, path: Path, prefix: str = 'REF_') -> None:
    """Write configurations as extended XYZ with the labels ``<prefix>energy``, ``<prefix>forces``, ``<prefix>stress``.

    Units as in :class:`~aiida_litraj.contract.frames.Frames`; a stress is a matrix of nine numbers, positive under
    tension, and is left out where it is not known. Numbers are written so that they are read as the same doubles.

    :raises ValueError: if there are no energies or no forces.
    """
    with path.open('w', encoding='ascii') as handle:
        handle.writelines(_lines(frames, prefix))


def write_arrays(frames: Frames, path: Path) -> None:
    """Write configurations as an ``.npz`` of the arrays of :class:`~aiida_litraj.contract.frames.Frames`."""
    known: dict[str, AnyArray | None] = {
        'offsets': frames.offsets,
        'numbers': frames.numbers,
        'positions': frames.positions,
        'cells': frames.cells,
        'pbc': frames.pbc,
        'energies': frames.energies,
        'forces': frames.forces,
        'stresses': frames.stresses,
    }
    path.write_bytes(pack_arrays({name: values for name, values in known.items() if values is not None}))
