"""Volumes and shapes at constant pressure, on systems whose distributions are known on paper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from aiida_litraj.engine.core.dynamics.langevin import LangevinBaoab
from aiida_litraj.engine.core.dynamics.state import System, pressure_tensor
from aiida_litraj.engine.core.dynamics.units import BOLTZMANN, GIGAPASCAL

from .following import (
    FS,
    PERIODIC,
    Estimate,
    QuarticSprings,
    ShapeSpring,
    VolumeSpring,
    begin,
    both,
    follow,
    ideal_gas,
    mtk,
    random_start,
    rescaling,
)

KELVIN = 300.0
KT = BOLTZMANN * KELVIN
TIMESTEP = 2.0
EULER = 0.02
"""Relative error of a variance from the Euler steps of the cell: half a timestep over its time constant, here 1/25."""
SPRINGS = QuarticSprings(10.0)
BAROSTATS: dict[str, Callable[[System, float, bool], Any]] = {
    'rescaling': lambda system, modulus, full: rescaling(system, TIMESTEP, 0.02, 50.0, modulus, full),
    'mtk': lambda system, modulus, full: mtk(system, TIMESTEP, 40.0, 150.0, full),
}


def light(n_atoms: int) -> System:
    return System(np.full(n_atoms, 10.0), PERIODIC, seed=n_atoms)


def volumes_of(integrator: Any, potential: Any, state: Any, n_steps: int, gigapascal: float) -> Any:
    """The volumes of a system to which the shape of its cell is all one: it is made a cube again now and then.

    Nothing holds it, so it would wander, and the centre of mass with it, until the last bits of the volume are lost.
    """
    found = []
    for _ in range(n_steps // 200):
        state, volumes = follow(integrator, potential, state, 200, KELVIN, gigapascal, observe=lambda s: s.volume)
        found.append(volumes)
        positions = state.positions - state.positions.mean(axis=0)
        state = replace(state, positions=positions, cell=np.cbrt(state.volume) * np.eye(3))
    return np.concatenate(found)


def around(integrator: Any, potential: Any, system: System, volume: float) -> Any:
    """A cluster on springs at rest with its temperature, in a cube around the origin."""
    langevin = LangevinBaoab(system, TIMESTEP * FS, 0.05 / FS)
    state = random_start(system, langevin, SPRINGS, 1.0, KELVIN)
    state, _ = follow(langevin, SPRINGS, state, 300, KELVIN)
    positions = state.positions - state.positions.mean(axis=0)
    return begin(integrator, potential, positions, state.velocities, np.cbrt(volume) * np.eye(3))


@pytest.mark.parametrize('full', [False, True], ids=['isotropic', 'full'])
def test_the_volume_of_an_ideal_gas_is_gamma_distributed(full: bool) -> None:
    """Of shape N where the centre of mass rests, N + 1 - 1: <V> = N kT/P, a variance of N (kT/P)^2."""
    n_atoms, gigapascal = 4, 0.1
    system = light(n_atoms)
    unit = KT / (gigapascal * GIGAPASCAL)
    integrator = BAROSTATS['rescaling'](system, gigapascal, full)  # the modulus of an ideal gas is its pressure
    state = random_start(system, integrator, ideal_gas, n_atoms * unit, KELVIN)
    volumes = volumes_of(integrator, ideal_gas, state, 30000, gigapascal) / unit
    Estimate.of(volumes[300:]).agrees(n_atoms, 0.06, bias=EULER)
    Estimate.of((volumes[300:] - n_atoms) ** 2).agrees(n_atoms, 0.25, bias=EULER)


def test_the_volume_of_a_gas_on_a_spring() -> None:
    """Against the quadrature of exp(-(U(V) + PV)/kT) V^(N-1), far from a Gaussian."""
    n_atoms, gigapascal = 6, 0.1
    system, spring = light(n_atoms), VolumeSpring(0.3 * GIGAPASCAL, 40.0)
    mean, deviation = spring.moments(n_atoms, KT, gigapascal * GIGAPASCAL)
    assert mean > 1.2 * spring.volume
    integrator = BAROSTATS['rescaling'](system, 0.5, False)
    state = random_start(system, integrator, spring, mean, KELVIN)
    _, volumes = follow(integrator, spring, state, 25000, KELVIN, gigapascal, observe=lambda s: s.volume)
    Estimate.of(volumes[300:]).agrees(mean, 0.02, bias=EULER)
    Estimate.of((volumes[300:] - mean) ** 2).agrees(deviation**2, 0.15, bias=EULER)


@pytest.mark.parametrize(('name', 'full'), [('rescaling', False), ('rescaling', True), ('mtk', False)])
def test_the_volume_of_a_solid_fluctuates_by_its_bulk_modulus(name: str, full: bool) -> None:
    """A cell on a spring around a bound cluster: <V> = V0 (1 - P/B), var(V) = kT V0/B, exactly."""
    volume, modulus, gigapascal = 100.0, 10.0, 1.0
    system = light(4)
    potential = both(VolumeSpring(modulus * GIGAPASCAL, volume), SPRINGS)
    integrator = BAROSTATS[name](system, modulus, full)
    state = around(integrator, potential, system, volume)
    volumes = volumes_of(integrator, potential, state, 20000, gigapascal)
    mean = volume * (1.0 - gigapascal / modulus)
    variance = KT * volume / (modulus * GIGAPASCAL)
    Estimate.of(volumes[500:]).agrees(mean, 0.01)
    Estimate.of((volumes[500:] - mean) ** 2).agrees(variance, 0.2, bias=EULER)


SOFT = ShapeSpring(1.0 * GIGAPASCAL, float(np.cbrt(100.0)))
"""G V0 = 24 kT: a cell whose strains are large and which feels each kick of what is in it."""


SOFT_CELLS: dict[str, tuple[Callable[[System], Any], float]] = {
    # a full cell of the other barostat is six oscillators that hardly exchange energy: its volume takes its time
    'rescaling-full': (lambda system: rescaling(system, TIMESTEP, 0.02, 100.0, 1.0 / 3.0, True), 0.2),
    'mtk-isotropic': (lambda system: mtk(system, TIMESTEP, 40.0, 50.0, False), 0.2),
    'mtk-full': (lambda system: mtk(system, TIMESTEP, 40.0, 50.0, True), np.inf),
}


@pytest.mark.parametrize('name', SOFT_CELLS)
def test_a_soft_cell_has_the_volumes_and_pressures_of_the_ensemble(name: str) -> None:
    """Far from harmonic. ln V has the density of exp(-(G V0 (ln V/V0)^2/6 + PV)/kT) V, whatever the shape.

    And <V P_ab> = (P <V> - kT) delta_ab, in all directions of a full cell, else of its trace: this holds of any
    system, by partial integration over the strain. The motion of a cell has kT/2 for each independent component.
    """
    make, precision = SOFT_CELLS[name]
    system, volume, pressure = light(4), 100.0, 0.2 * GIGAPASCAL
    integrator, potential = make(system), both(SOFT, SPRINGS)
    grid = np.linspace(-3.0, 3.0, 20001)
    weight = np.exp(grid - (SOFT.modulus * volume * grid**2 / 6.0 + pressure * volume * np.exp(grid)) / KT)
    mean = float((weight * grid).sum() / weight.sum())
    variance = float((weight * (grid - mean) ** 2).sum() / weight.sum())
    assert np.sqrt(variance) > 0.2
    state = around(integrator, potential, system, volume)
    state, _ = follow(integrator, potential, state, 500, KELVIN, pressure / GIGAPASCAL)
    seen: list[Any] = []

    def look(s: Any) -> None:
        excess = s.volume * (pressure_tensor(system, s) - pressure * np.eye(3)) / KT
        seen.append((np.log(s.volume / volume), excess, np.zeros((3, 3)) if s.strain_rate is None else s.strain_rate))

    follow(integrator, potential, state, 14000, KELVIN, pressure / GIGAPASCAL, observe=look)
    logs, excess, rates = (np.array(part) for part in zip(*seen))
    found = Estimate.of(logs)
    assert found.error < 0.1 * np.sqrt(variance)
    assert abs(found.mean - mean) < 4.0 * found.error
    if np.isfinite(precision):
        Estimate.of((logs - mean) ** 2).agrees(variance, precision, bias=EULER)
    full = name.endswith('full')
    pairs = [(excess[:, a, b], float(a == b)) for a in range(3) for b in range(a, 3)]
    for series, expected in pairs if full else [(np.trace(excess, axis1=1, axis2=2), 3.0)]:
        found = Estimate.of(series)
        assert found.error < (0.6 if full else 1.0), found
        assert abs(found.mean + expected) < 4.0 * found.error, (found, expected)
    if name.startswith('mtk'):
        inertia = (system.degrees + 3) / 3.0 * integrator.tau**2
        Estimate.of(inertia * (rates**2).sum(axis=(1, 2))).agrees(6.0 if full else 1.0, 0.05, bias=0.01)


def test_a_full_cell_shears_as_much_as_it_stretches() -> None:
    """A cube with G V0 |e|^2/2: <e_xx^2> = kT/G V0, and <e_xy^2> half of it."""
    volume, modulus = 100.0, 20.0
    system, edge = light(4), float(np.cbrt(volume))
    potential = both(ShapeSpring(modulus * GIGAPASCAL, edge), SPRINGS)
    integrator = BAROSTATS['rescaling'](system, modulus / 3.0, True)
    state = around(integrator, potential, system, volume)
    _, cells = follow(integrator, potential, state, 16000, KELVIN, 0.0, observe=lambda s: s.cell)
    strains = 0.5 * (cells[500:] @ np.swapaxes(cells[500:], 1, 2) / edge**2 - np.eye(3))
    unit = KT / (modulus * GIGAPASCAL * volume)
    curved = 3.0 * np.sqrt(unit)
    diagonal = (strains[:, range(3), range(3)] ** 2).mean(axis=1)
    shear = (strains[:, (0, 0, 1), (1, 2, 2)] ** 2).mean(axis=1)
    Estimate.of(diagonal).agrees(unit, 0.15, bias=EULER + curved)
    Estimate.of(shear).agrees(unit / 2.0, 0.15, bias=EULER + curved)
