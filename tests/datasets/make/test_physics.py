"""Labels are derivatives of one energy, copies keep them, percolation and hops are what they are said to be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.lj import LennardJones
from ase.io import read
from ase.neighborlist import neighbor_list

from aiida_litraj.analysis import Hop
from aiida_litraj.datasets.make import make
from aiida_litraj.datasets.make.crystals import crystal, crystal_names, supercell_of
from aiida_litraj.datasets.make.percolation import Network, percolation_barriers_ev
from aiida_litraj.datasets.make.potential import IonPairs, list_pairs

STEP_ANG = 1e-4
FORCE_TOLERANCE = 1e-6  # eV/Ang, of central differences with that step
STRESS_TOLERANCE = 1e-7  # eV/Ang^3
FILE_TOLERANCE = 1e-6  # a file rounds positions and forces to 1e-8


def energy(atoms: Atoms) -> float:
    copy = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
    copy.calc = IonPairs()
    return float(copy.get_potential_energy())


def slope(atoms: Atoms, atom: int, axis: int) -> float:
    ends = []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions[atom, axis] += sign * STEP_ANG
        ends.append(energy(moved))
    return (ends[0] - ends[1]) / (2 * STEP_ANG)


def strain_slope(atoms: Atoms, first: int, second: int) -> float:
    ends = []
    for sign in (1, -1):
        strain = np.zeros((3, 3))
        strain[first, second] += 0.5 * sign * 1e-5
        strain[second, first] += 0.5 * sign * 1e-5
        moved = atoms.copy()
        moved.set_cell(atoms.cell @ (np.eye(3) + strain), scale_atoms=True)
        ends.append(energy(moved))
    return (ends[0] - ends[1]) / 2e-5 / atoms.get_volume()


@pytest.mark.parametrize('place', [('MPLiTrj', {'atoms': 12}), ('MPLiTrj', {}), ('LiPS-25', {})])
def test_labels_in_a_file_are_derivatives_of_one_energy(tmp_path: Path, place: tuple[str, dict[str, int]]) -> None:
    made = make(place[0], tmp_path, n=12, distinct=4, **place[1])
    file = made if made.is_file() else made / 'MPLiTrj_train.xyz'
    for number in (0, -1):  # one that was computed and one that repeats another
        atoms = read(file, number)
        assert energy(atoms) == pytest.approx(atoms.get_potential_energy(), abs=FILE_TOLERANCE)
        for atom in (0, len(atoms) - 1):
            assert -slope(atoms, atom, 1) == pytest.approx(atoms.get_forces()[atom, 1], abs=FORCE_TOLERANCE)
    stress = -atoms.info['virial'] / atoms.get_volume() if 'virial' in atoms.info else atoms.get_stress(voigt=False)
    for first, second in ((0, 0), (1, 2)):
        assert strain_slope(atoms, first, second) == pytest.approx(stress[first, second], abs=STRESS_TOLERANCE)


@pytest.mark.parametrize('name', ['gvd', 'fwz', 'Li7P3S11'])
def test_pairs_are_those_ase_finds(name: str) -> None:
    atoms = crystal(name).copy()
    atoms.rattle(0.1)
    atoms.positions += 7.0  # partly outside the cell
    i, j, offsets = neighbor_list('ijS', atoms, 5.0)
    expected = sorted(
        zip(i, j, map(tuple, np.round(atoms.positions[j] - atoms.positions[i] + offsets @ atoms.cell, 6)))
    )
    i, j, shifts = list_pairs(atoms, 5.0)
    found = sorted(zip(i, j, map(tuple, np.round(atoms.positions[j] - atoms.positions[i] + shifts, 6))))
    assert found == expected


def test_another_calculator_gives_the_labels(tmp_path: Path) -> None:
    potential = LennardJones(sigma=1.5, epsilon=0.01, rc=4.0, smooth=True)
    file = make('MPLiTrj', tmp_path, n=3, atoms=12, calculator=potential) / 'MPLiTrj_train.xyz'
    atoms = read(file)
    labels = atoms.get_potential_energy(), atoms.get_forces()
    atoms.calc = potential
    assert atoms.get_potential_energy() == pytest.approx(labels[0], abs=FILE_TOLERANCE)
    assert atoms.get_forces() == pytest.approx(labels[1], abs=FILE_TOLERANCE)


def test_a_chain_of_sites_percolates_along_itself_only() -> None:
    network = Network(2)
    assert network.connect(Hop(source=0, target=1)) == 0
    assert network.connect(Hop(source=1, target=0)) == 0  # back to the same site, not to an image of it
    assert network.connect(Hop(source=1, target=0, offset=(1, 0, 0))) == 1
    assert network.connect(Hop(source=0, target=0, offset=(2, 0, 0))) == 1
    assert network.connect(Hop(source=0, target=1, offset=(0, 1, 0))) == 2
    assert network.connect(Hop(source=0, target=0, offset=(1, 1, 0))) == 2
    assert network.connect(Hop(source=1, target=1, offset=(0, 0, 1))) == 3


def test_chains_that_are_joined_percolate_in_two_dimensions() -> None:
    network = Network(4)
    assert network.connect(Hop(source=0, target=0, offset=(1, 0, 0))) == 1
    assert network.connect(Hop(source=2, target=3, offset=(0, 0, 5))) == 0
    assert network.connect(Hop(source=3, target=2, offset=(0, 1, -5))) == 1
    assert network.connect(Hop(source=1, target=2, offset=(0, 3, 0))) == 1
    assert network.connect(Hop(source=0, target=1, offset=(4, 0, 0))) == 2


def test_a_cubic_crystal_percolates_alike_in_all_dimensions() -> None:
    one, two, three = percolation_barriers_ev(crystal('Li2S'))
    assert 0 < one == two == three


def test_supercells_have_exactly_the_atoms_asked_for() -> None:
    fitting = [name for name in crystal_names() if 96 % len(crystal(name)) == 0]
    assert len(fitting) > 8
    assert all(len(supercell_of(crystal(name), 96)) == 96 for name in fitting)
    assert supercell_of(crystal('Li2S'), 100) is None
