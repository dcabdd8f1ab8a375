"""Operations of crystals: their numbers are those of the space groups, and each takes the crystal onto itself."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk

from aiida_litraj.analysis.symmetry import operations

CRYSTALS = Path(__file__).parents[2] / 'examples' / 'structures'
ON_ITSELF_ANG = 0.02


def operations_of(atoms: ase.Atoms, tolerance: float = 0.01):
    return operations(atoms.cell.array, atoms.positions, atoms.numbers.astype(np.int64), tolerance)


@pytest.mark.parametrize(
    ('atoms', 'number'),
    [
        (bulk('Cu', 'fcc', a=3.6), 48),
        (bulk('Cu', 'fcc', a=3.6, cubic=True), 192),
        (bulk('Mg', 'hcp', a=3.2, c=5.2), 24),
        (bulk('ZnS', 'zincblende', a=5.4), 24),
    ],
)
def test_as_many_as_the_space_group_has(atoms: ase.Atoms, number: int) -> None:
    assert len(operations_of(atoms).rotations) == number


def test_kinds_of_one_element_are_told_apart() -> None:
    atoms = bulk('Cu', 'fcc', a=3.6, cubic=True)
    one_marked = operations(atoms.cell.array, atoms.positions, np.array([1, 2, 2, 2]), 0.01)
    assert len(one_marked.rotations) == 48


@pytest.mark.parametrize('path', sorted(CRYSTALS.glob('*.cif')), ids=lambda path: path.stem)
def test_each_operation_takes_a_crystal_onto_itself(path: Path) -> None:
    """Turned vectors between atoms are those between the atoms that they go to, up to lattice vectors."""
    atoms = ase.io.read(path)
    found = operations_of(atoms)
    assert (np.sort(found.permutations, axis=1) == np.arange(len(atoms))).all()
    scaled = atoms.get_scaled_positions(wrap=False)
    for turn, target in zip(found.rotations, found.permutations, strict=True):
        before, after = scaled - scaled[0], scaled[target] - scaled[target[0]]
        away = before @ turn.T - after
        assert np.linalg.norm((away - np.rint(away)) @ atoms.cell.array, axis=1).max() < ON_ITSELF_ANG


def test_tolerance_larger_than_the_crystal_is_refused() -> None:
    with pytest.raises(ValueError, match='no symmetry was found to within 50 Ang'):
        operations_of(bulk('NaCl', 'rocksalt', a=5.6), tolerance=50.0)
