"""Configurations as ASE atoms, and what a query asks of them: formula, elements, sizes, largest force."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from math import gcd, isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from ..contract.frames import Frames

if TYPE_CHECKING:
    from ase import Atoms


def to_ase(frames: Frames) -> list[Atoms]:
    """Return configurations as ASE atoms, with energy, forces and stress on a ``SinglePointCalculator``."""
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator

    images = []
    for frame in frames:
        atoms = Atoms(frame.numbers, frame.positions, cell=frame.cells[0], pbc=frame.pbc[0], info=dict(frame.info[0]))
        for name, values in frame.arrays.items():
            atoms.set_array(name, np.array(values))
        results = {
            'energy': None if frame.energies is None else float(frame.energies[0]),
            'forces': frame.forces,
            'stress': None if frame.stresses is None else frame.stresses[0],
        }
        if any(value is not None for value in results.values()):
            atoms.calc = SinglePointCalculator(atoms, **{k: v for k, v in results.items() if v is not None})
        images.append(atoms)
    return images


def from_ase(images: Sequence[Atoms]) -> Frames:
    """Return ASE atoms as configurations, with what their calculators already know.

    :raises ValueError: if there are none, or their arrays differ.
    """
    return Frames.stack([_from_atoms(atoms) for atoms in images])


def _from_atoms(atoms: Atoms) -> Frames:
    results = {} if atoms.calc is None else atoms.calc.results
    facts = {name: _plain(value) for name, value in atoms.info.items()}
    own = ('numbers', 'positions')
    return Frames.of_one(
        atoms.numbers,
        atoms.positions,
        np.asarray(atoms.cell),
        atoms.pbc,
        results.get('energy'),
        results.get('forces'),
        results.get('stress'),
        {name: values for name, values in atoms.arrays.items() if name not in own},
        {name: value for name, value in facts.items() if _is_json(value)},
    )


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value


def _is_json(value: Any) -> bool:
    """Return whether JSON can hold a value: the space group that ASE reads with a CIF is an object it cannot."""
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def summary(frames: Frames) -> dict[str, Any]:
    """Return the facts of configurations that queries are made of.

    Of one: ``formula``, ``elements``, ``n_atoms``, ``energy_ev``, ``energy_per_atom_ev``, ``fmax_ev_per_ang`` (the
    largest norm of the force on an atom); what is not known is None. Of many: ``elements`` that occur, ``n_atoms`` of
    the largest, and the formula if they share it.

    :raises ValueError: if there are no configurations.
    """
    if not frames.n_frames:
        raise ValueError('there are no configurations')
    formula, elements = composition(np.bincount(frames.numbers, minlength=1).tobytes())
    if frames.n_frames > 1:
        shared = {_formula(frames, index) for index in range(frames.n_frames)}
        return {
            'n_frames': frames.n_frames,
            'n_atoms': int(np.diff(frames.offsets).max()),
            'elements': list(elements),
            'formula': shared.pop() if len(shared) == 1 else None,
        }
    n_atoms = frames.n_atoms()
    energy = None if frames.energies is None else finite(frames.energies[0])
    forces = frames.forces
    return {
        'n_frames': 1,
        'n_atoms': n_atoms,
        'elements': list(elements),
        'formula': formula,
        'energy_ev': energy,
        'energy_per_atom_ev': None if energy is None else finite(energy / n_atoms),
        'fmax_ev_per_ang': None if forces is None else finite(np.sqrt(np.square(forces).sum(axis=1).max())),
    }


def finite(value: float) -> float | None:
    """Return a number with the digits that a database keeps of it (14), None if it is not finite."""
    return float(f'{value:.14g}') if isfinite(value) else None


def _formula(frames: Frames, index: int) -> str:
    atoms = frames.numbers[frames.offsets[index] : frames.offsets[index + 1]]
    return composition(np.bincount(atoms, minlength=1).tobytes())[0]


@lru_cache(maxsize=4096)
def composition(counts: bytes) -> tuple[str, tuple[str, ...]]:
    """Return the reduced formula in the order of Hill and the sorted elements, without centroids.

    ``counts`` are the bytes of the number of atoms (int64) of each atomic number from 0.
    """
    from ase.data import chemical_symbols

    numbers = {chemical_symbols[z]: int(n) for z, n in enumerate(np.frombuffer(counts, dtype=np.int64)) if n and z}
    divisor = gcd(*numbers.values()) if numbers else 1
    first = [symbol for symbol in ('C', 'H') if 'C' in numbers and symbol in numbers]
    order = first + sorted(symbol for symbol in numbers if symbol not in first)
    formula = ''.join(f'{symbol}{numbers[symbol] // divisor if numbers[symbol] > divisor else ""}' for symbol in order)
    return formula, tuple(sorted(numbers))
