"""Volumes and shapes at constant pressure, on systems whose distributions are known on paper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from aiida_litraj.engine.core.dynamics.state import System, pressure_tensor
from aiida_litraj.engine.core.dynamics.units import BOLTZMANN, GIGAPASCAL

from .following import (
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
    """A cluster on springs in a cube."""
    state = random_start(system, integrator, SPRINGS, 1.0, KELVIN)
    return begin(integrator, potential, state.positions, state.velocities, np.cbrt(volume) * np.eye(3))


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


@pytest.mark.parametrize('full', [False, True], ids=['isotropic', 'full'])
@pytest.mark.parametrize('name', BAROSTATS)
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


def test_a_full_cell_has_the_heat_of_six_oscillators() -> None:
    """Martyna-Tobias-Klein: kT/2 for each independent component of strain and strain rate, the shears counted once.

    Harmonic and all of one frequency, they hardly exchange it, so only the sum says something in a short time.
    """
    volume, modulus = 100.0, 20.0
    system, edge = light(4), float(np.cbrt(volume))
    potential = both(ShapeSpring(modulus * GIGAPASCAL, edge), SPRINGS)
    integrator = BAROSTATS['mtk'](system, modulus / 3.0, True)
    state = around(integrator, potential, system, volume)
    inertia = (system.degrees + 3) / 3.0 * KT * integrator.tau**2

    def look(s: Any) -> tuple[float, float]:
        energy = ShapeSpring(modulus * GIGAPASCAL, edge)(s)[0]
        return energy / KT, 0.5 * inertia * float((s.strain_rate**2).sum()) / KT

    _, seen = follow(integrator, potential, state, 16000, KELVIN, 0.0, observe=look)
    for series in seen[2000:].T:
        Estimate.of(series, blocks=10).agrees(3.0, 0.1)


@pytest.mark.parametrize('name', BAROSTATS)
def test_the_pressure_is_the_one_asked_for_in_all_directions(name: str) -> None:
    """<V P_ab> = (P <V> - kT) delta_ab, exactly, of anything."""
    volume, modulus, gigapascal = 100.0, 4.0, 0.5
    system, edge = light(4), float(np.cbrt(volume))
    potential = both(ShapeSpring(modulus * GIGAPASCAL, edge), SPRINGS)
    integrator = BAROSTATS[name](system, modulus / 3.0, True)
    state = around(integrator, potential, system, volume)
    _, seen = follow(
        integrator,
        potential,
        state,
        16000,
        KELVIN,
        gigapascal,
        observe=lambda s: s.volume * (pressure_tensor(system, s) - gigapascal * GIGAPASCAL * np.eye(3)) / KT,
    )
    for a in range(3):
        for b in range(a, 3):
            found = Estimate.of(seen[1000:, a, b])
            assert found.error < 1.0, found  # of 12, which is P V0
            assert abs(found.mean + (a == b)) < 4.0 * found.error, (a, b, found)
