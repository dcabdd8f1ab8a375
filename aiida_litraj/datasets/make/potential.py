"""A toy potential for any crystal of closed-shell ions, fast and smooth: its numbers are labels, not results."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.data import covalent_radii
from ase.stress import full_3x3_to_voigt_6_stress

Array = npt.NDArray[np.float64]

ANIONS = np.array([7, 8, 9, 16, 17, 34, 35, 52, 53])  # N O F S Cl Se Br Te I
DEPTH_EV = 0.5
STIFFNESS_PER_ANG = 1.6
REPULSION_EV = 0.15
RANGE_ANG = 0.45
CUTOFF_ANG = 4.6
SWITCH_ANG = 3.4
SKIN_ANG = 0.4


class IonPairs(Calculator):  # type: ignore[misc]  # ASE has no types
    """Ions of unlike charge bind (Morse), ions of like charge repel (Born-Mayer); eV and Ang.

    A bond is as long as the covalent radii say. A polynomial takes the pair energy and its first two derivatives to
    zero between ``SWITCH_ANG`` and ``CUTOFF_ANG``, so that forces and stress are exact derivatives everywhere.
    Charges are those of ordinary ions: an element is an anion if it is in ``ANIONS``.
    """

    implemented_properties: ClassVar[list[str]] = ['energy', 'forces', 'stress']

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._listed: Atoms | None = None
        self._pairs: tuple[Any, ...] = ()

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ('energy',),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Evaluate energy, forces (n, 3) and stress (6,), the latter only in a periodic crystal."""
        super().calculate(atoms, properties, system_changes)
        assert self.atoms is not None
        i, j, shifts, like, bond = self._neighbours(self.atoms)
        positions = self.atoms.positions
        vectors = positions[j] - positions[i] + shifts
        distances = np.linalg.norm(vectors, axis=1)
        energies, slopes = pair_energy(distances, like, bond)
        # Each pair is listed in both directions, so the force of one listing is the whole force on atom i.
        pulls = (slopes / distances)[:, None] * vectors
        forces = np.stack([np.bincount(i, pulls[:, axis], len(positions)) for axis in range(3)], axis=1)
        self.results = {'energy': float(0.5 * energies.sum()), 'forces': forces}
        if self.atoms.pbc.all():
            virial = 0.5 * vectors.T @ pulls
            self.results['stress'] = full_3x3_to_voigt_6_stress(virial / self.atoms.get_volume())

    def _neighbours(self, atoms: Atoms) -> tuple[Any, ...]:
        """Return pairs up to cutoff and skin; the last list serves until an atom has gone half the skin."""
        last = self._listed
        if (
            last is None
            or len(last) != len(atoms)
            or not np.array_equal(last.numbers, atoms.numbers)
            or not np.array_equal(last.cell, atoms.cell)
            or not np.array_equal(last.pbc, atoms.pbc)
            or np.linalg.norm(atoms.positions - last.positions, axis=1).max() > 0.5 * SKIN_ANG
        ):
            i, j, shifts = list_pairs(atoms, CUTOFF_ANG + SKIN_ANG)
            anion = np.isin(atoms.numbers, ANIONS)
            radii = covalent_radii[atoms.numbers]
            self._pairs = (i, j, shifts, anion[i] == anion[j], radii[i] + radii[j])
            self._listed = atoms.copy()
        return self._pairs


def list_pairs(atoms: Atoms, cutoff: float) -> tuple[Any, Any, Array]:
    """Return ``i``, ``j`` and the lattice translation (m, 3) to add to r_j - r_i, of all directed pairs in ``cutoff``.

    By trying all images that can be near enough: for a few hundred atoms faster than sorting them into boxes.
    """
    cell, pbc = atoms.cell.complete(), atoms.pbc
    reach = np.where(pbc, np.floor(cutoff * np.linalg.norm(np.linalg.inv(cell), axis=0) + 0.5), 0).astype(int)
    vectors = atoms.positions[None, :, :] - atoms.positions[:, None, :]
    nearest = np.where(pbc, -np.round(cell.scaled_positions(vectors.reshape(-1, 3))), 0.0).reshape(vectors.shape)
    nearest = nearest @ np.asarray(cell)
    vectors = vectors + nearest
    found = []
    for step in itertools.product(*(range(-n, n + 1) for n in reach)):
        translation = np.array(step) @ np.asarray(cell)
        near = ((vectors + translation) ** 2).sum(axis=2) < cutoff**2
        if not any(step):
            np.fill_diagonal(near, False)
        i, j = np.nonzero(near)
        found.append((i, j, nearest[i, j] + translation))
    i, j, shifts = (np.concatenate(parts) for parts in zip(*found))
    return i, j, shifts


def pair_energy(distances: Array, like: npt.NDArray[np.bool_], bond: Array) -> tuple[Array, Array]:
    """Return energy (eV) and slope (eV/Ang) of pairs at ``distances`` (m,) with bond lengths ``bond`` (m,) in Ang."""
    decay = np.exp(-STIFFNESS_PER_ANG * (distances - bond))
    morse = DEPTH_EV * decay * (decay - 2.0)
    morse_slope = 2.0 * DEPTH_EV * STIFFNESS_PER_ANG * decay * (1.0 - decay)
    wall = REPULSION_EV * np.exp(-(distances - bond) / RANGE_ANG)
    energy = np.where(like, wall, morse)
    slope = np.where(like, -wall / RANGE_ANG, morse_slope)
    x = np.clip((distances - SWITCH_ANG) / (CUTOFF_ANG - SWITCH_ANG), 0.0, 1.0)
    switch = 1.0 - x**3 * (10.0 - 15.0 * x + 6.0 * x**2)
    switch_slope = -30.0 * x**2 * (1.0 - x) ** 2 / (CUTOFF_ANG - SWITCH_ANG)
    return energy * switch, slope * switch + energy * switch_slope
