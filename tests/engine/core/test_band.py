"""Band forces against ASE's, image by image, and what can be seen without a reference."""

from __future__ import annotations

import ase
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.mep import NEB

from aiida_litraj.contract.arrays import Array
from aiida_litraj.engine.core.band import band_forces, highest_image, residual, tangent

ROUND_OFF = 1e-12
SPRING = 5.0


def random_band(seed: int, n_images: int = 6, n_atoms: int = 4) -> tuple[Array, Array, Array]:
    """Positions of a bent path with uneven steps, energies without order, forces without sense."""
    rng = np.random.default_rng(seed)
    positions = 2.0 * rng.normal(size=(n_atoms, 3)) + np.cumsum(
        rng.normal(scale=0.3, size=(n_images, n_atoms, 3)), axis=0
    )
    return positions, rng.normal(size=n_images), rng.normal(size=positions.shape)


def of_ase(positions: Array, energies: Array, forces: Array, climb: bool, fixed: list[int]) -> tuple[Array, int]:
    images = []
    for p, energy, force in zip(positions, energies, forces):
        atoms = ase.Atoms(f'Li{len(p)}', positions=p, cell=30.0 * np.eye(3), pbc=True)
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=force)
        atoms.set_constraint(FixAtoms(fixed))
        images.append(atoms)
    band = NEB(images, k=SPRING, climb=climb, method='improvedtangent')
    return band.get_forces().reshape(-1, *positions.shape[1:]), band.imax


@pytest.mark.parametrize('climb', [False, True])
@pytest.mark.parametrize('fixed', [[], [1, 3]], ids=['free', 'frozen'])
def test_forces_are_those_of_ase(climb: bool, fixed: list[int]) -> None:
    """Thirty random bands: every branch of the tangent, whatever the order of the energies."""
    branches = set()
    for seed in range(30):
        positions, energies, forces = random_band(seed)
        positions[:, fixed] = positions[0, fixed]
        free = np.ones((positions.shape[1], 1))
        free[fixed] = 0.0
        found = band_forces(positions, energies, forces, SPRING, climb, free)
        expected, highest = of_ase(positions, energies, forces, climb, fixed)
        np.testing.assert_allclose(found.forces, expected, rtol=0, atol=ROUND_OFF)
        assert found.highest == highest
        branches |= {tuple(np.sign(np.diff(energies[i - 1 : i + 2]))) for i in range(1, len(energies) - 1)}
    assert len(branches) == 4  # uphill, downhill, top, bottom


def test_highest_image_is_never_an_end() -> None:
    assert highest_image(np.array([9.0, 1.0, 3.0, 2.0, 8.0])) == 2


def test_equal_steps_on_a_line_feel_no_spring() -> None:
    """A straight, evenly spaced band without a potential stays where it is; an uneven one is drawn to even spacing."""
    line = np.linspace(0.0, 1.0, 5)[:, None, None] * np.array([[1.0, 2.0, -0.5]])
    nothing, free = np.zeros_like(line), np.ones((1, 1))
    np.testing.assert_allclose(band_forces(line, np.zeros(5), nothing, SPRING, False, free).forces, 0.0, atol=ROUND_OFF)
    step = line[1] - line[0]
    line[2] += 0.1 * step
    felt = band_forces(line, np.arange(5.0), nothing, SPRING, False, free).forces
    np.testing.assert_allclose(
        felt, SPRING * np.array([[0.1 * step], [-0.2 * step], [0.1 * step]])[:, 0], atol=ROUND_OFF
    )


def test_forces_leave_the_tangent_to_springs_and_turn_it_round_where_the_band_climbs() -> None:
    positions, energies, forces = random_band(3)
    free = np.ones((positions.shape[1], 1))
    found = band_forces(positions, energies, forces, SPRING, True, free)
    for i in range(1, len(positions) - 1):
        along = tangent(positions, energies, i)
        assert np.linalg.norm(along) == pytest.approx(1.0, abs=ROUND_OFF)
        felt, across = found.forces[i - 1], forces[i] - np.vdot(forces[i], along) * along
        np.testing.assert_allclose(felt - np.vdot(felt, along) * along, across, atol=ROUND_OFF)
        if i == found.highest:
            assert np.vdot(felt, along) == pytest.approx(-np.vdot(forces[i], along), abs=ROUND_OFF)
        else:
            step = [np.linalg.norm(positions[i + k + 1] - positions[i + k]) for k in (-1, 0)]
            assert np.vdot(felt, along) == pytest.approx(SPRING * (step[1] - step[0]), abs=ROUND_OFF)


def test_frozen_atoms_feel_nothing() -> None:
    positions, energies, forces = random_band(5)
    free = np.array([[1.0], [0.0], [1.0], [0.0]])
    found = band_forces(positions, energies, forces, SPRING, True, free)
    assert not found.forces[:, [1, 3]].any()


def test_residual_is_a_norm_or_a_component() -> None:
    forces = np.array([[[3.0, -4.0, 0.0], [0.0, 0.0, 4.5]], [[0.0, 0.0, 0.0], [-1.0, 1.0, 1.0]]])
    assert residual(forces, 'norm') == 5.0
    assert residual(forces, 'component') == 4.5
    assert residual(np.empty((0, 3)), 'norm') == 0.0
