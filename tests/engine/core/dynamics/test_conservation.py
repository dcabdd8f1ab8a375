"""What an integrator keeps, and how well: energies to second order in the timestep, the way back, momenta, axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aiida_litraj.engine.core.dynamics.integrator import VelocityVerlet
from aiida_litraj.engine.core.dynamics.langevin import LangevinBaoab
from aiida_litraj.engine.core.dynamics.nose_hoover import Chain, NoseHooverChain
from aiida_litraj.engine.core.dynamics.state import System, maxwell_boltzmann
from aiida_litraj.engine.core.dynamics.units import BOLTZMANN

from .following import FS, begin, follow, morse_crystal, mtk, rescaling

CRYSTAL = morse_crystal()
KELVIN, GIGAPASCAL = 300.0, 1.0
CELL = np.array(CRYSTAL.atoms.cell)


def start(system: System, integrator: Any) -> Any:
    velocities = maxwell_boltzmann(system, BOLTZMANN * KELVIN)
    return begin(integrator, CRYSTAL, CRYSTAL.atoms.positions.copy(), velocities, CELL)


def make(name: str, system: System, timestep: float) -> Any:
    if name == 'nve':
        return VelocityVerlet(system, timestep * FS)
    if name == 'langevin':
        return LangevinBaoab(system, timestep * FS, 0.01 / FS)
    if name == 'nose-hoover':
        return NoseHooverChain(system, timestep * FS, Chain(system.degrees, 50.0 * FS, 3))
    if name.startswith('rescaling'):
        return rescaling(system, timestep, 0.01, 300.0, 100.0, name.endswith('full'))
    return mtk(system, timestep, 50.0, 200.0, full=name.endswith('full'))


@pytest.mark.parametrize('name', ['nve', 'nose-hoover', 'mtk-isotropic', 'mtk-full'])
def test_the_conserved_energy_swings_with_the_square_of_the_timestep(name: str) -> None:
    """Over the same 400 fs, at 2 fs and at 1 fs: a factor of four, within what the next order adds."""
    swings = []
    for timestep in (2.0, 1.0):
        system = CRYSTAL.system(seed=3, free_centre=name == 'nve')
        integrator = make(name, system, timestep)
        n_steps = round(400.0 / timestep)
        _, energies = follow(
            integrator, CRYSTAL, start(system, integrator), n_steps, KELVIN, GIGAPASCAL, observe=integrator.conserved
        )
        swings.append(energies.std())
    assert swings[0] < 1e-2
    assert swings[0] / swings[1] == pytest.approx(4.0, rel=0.15)


def test_the_heat_of_langevin_dynamics_is_accounted_for() -> None:
    """What the bath gives is in no average of zero: 300 K to 600 K. The rest is the error of the kicks and drifts."""
    system = CRYSTAL.system(seed=3)
    integrator = make('langevin', system, 1.0)
    state = start(system, integrator)
    last, energies = follow(integrator, CRYSTAL, state, 400, 600.0, observe=integrator.conserved)
    assert -last.reservoir > 0.2
    assert np.ptp(energies) < 0.02 * -last.reservoir


def test_nve_goes_back_to_where_it_came_from() -> None:
    system = CRYSTAL.system(seed=3, free_centre=True)
    integrator = make('nve', system, 2.0)
    state = start(system, integrator)
    there, _ = follow(integrator, CRYSTAL, state, 200)
    assert np.abs(there.positions - state.positions).max() > 0.1
    turned = begin(integrator, CRYSTAL, there.positions, -there.velocities, there.cell)
    back, _ = follow(integrator, CRYSTAL, turned, 200)
    np.testing.assert_allclose(back.positions, state.positions, rtol=0, atol=1e-9)
    np.testing.assert_allclose(back.velocities, -state.velocities, rtol=0, atol=1e-9)


NAMES = ['langevin', 'nose-hoover', 'rescaling-isotropic', 'rescaling-full', 'mtk-isotropic', 'mtk-full']


@pytest.mark.parametrize('name', NAMES)
def test_the_centre_of_mass_rests_in_the_cell(name: str) -> None:
    """Its momentum stays zero; its place in units of the cell vectors stays, however these change."""
    system = CRYSTAL.system(seed=3)
    integrator = make(name, system, 2.0)
    state = start(system, integrator)
    last, _ = follow(integrator, CRYSTAL, state, 300, KELVIN, GIGAPASCAL)
    momentum = (system.column * last.velocities).sum(axis=0)
    assert np.abs(momentum).max() < 1e-10
    before, after = (s.positions.mean(axis=0) @ np.linalg.inv(s.cell) for s in (state, last))
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-10)
    if 'full' in name or 'isotropic' in name:
        assert abs(last.volume / state.volume - 1.0) > 1e-3


@pytest.mark.parametrize('name', ['rescaling-full', 'mtk-full'])
def test_the_cell_does_not_turn(name: str) -> None:
    """Each step strains it symmetrically. Its turn, by the polar decomposition, is of second order in the strain."""
    system = CRYSTAL.system(seed=3)
    integrator = make(name, system, 2.0)
    state = start(system, integrator)
    last, cells = follow(integrator, CRYSTAL, state, 500, KELVIN, GIGAPASCAL, observe=lambda s: s.cell)
    steps = np.linalg.inv(cells[:-1]) @ cells[1:]
    np.testing.assert_allclose(steps, np.swapaxes(steps, 1, 2), rtol=0, atol=1e-13)
    u, stretches, v = np.linalg.svd(np.linalg.inv(state.cell) @ last.cell)
    strain = np.abs(stretches - 1.0).max()
    assert np.abs(cells[:, 0, 1:]).max() > 1e-2  # it does shear
    assert np.abs(u @ v - np.eye(3)).max() < 2.0 * strain**2


@pytest.mark.parametrize('name', ['rescaling-isotropic', 'mtk-isotropic'])
def test_an_isotropic_barostat_keeps_the_shape(name: str) -> None:
    system = CRYSTAL.system(seed=3)
    integrator = make(name, system, 2.0)
    last, _ = follow(integrator, CRYSTAL, start(system, integrator), 100, KELVIN, GIGAPASCAL)
    shape = last.cell / np.cbrt(last.volume)
    np.testing.assert_allclose(shape, CELL / np.cbrt(np.linalg.det(CELL)), rtol=0, atol=1e-12)


@pytest.mark.parametrize('name', ['nve', 'nose-hoover', 'mtk-isotropic', 'mtk-full'])
def test_a_rotated_crystal_goes_the_rotated_way(name: str) -> None:
    """No axis is special: without noise, whose components are those of the axes."""
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    system = CRYSTAL.system(seed=3, free_centre=name == 'nve')
    integrator = make(name, system, 2.0)
    state = start(system, integrator)
    turned = begin(integrator, CRYSTAL, state.positions @ rotation, state.velocities @ rotation, state.cell @ rotation)
    there, _ = follow(integrator, CRYSTAL, state, 50, KELVIN, GIGAPASCAL)
    also, _ = follow(integrator, CRYSTAL, turned, 50, KELVIN, GIGAPASCAL)
    np.testing.assert_allclose(also.positions, there.positions @ rotation, rtol=0, atol=1e-10)
    np.testing.assert_allclose(also.cell, there.cell @ rotation, rtol=0, atol=1e-10)
