"""Averages and fluctuations at constant temperature, on systems whose distributions are known on paper."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aiida_litraj.engine.core.dynamics.langevin import LangevinBaoab
from aiida_litraj.engine.core.dynamics.nose_hoover import Chain, NoseHooverChain
from aiida_litraj.engine.core.dynamics.state import System, maxwell_boltzmann, temperature
from aiida_litraj.engine.core.dynamics.units import BOLTZMANN

from .following import FS, OPEN, Estimate, QuarticSprings, Springs, begin, follow, random_start

KELVIN = 300.0
KT = BOLTZMANN * KELVIN
MASSES = np.array([6.94, 6.94, 30.97, 32.06, 32.06, 6.94, 15.999, 1.008 * 4])
BIAS = 0.01
"""What (omega dt)^2/4 may take from a kinetic energy, with periods of 100 fs and steps of 2 fs."""


def test_velocities_are_drawn_from_the_maxwell_distribution() -> None:
    """The kinetic energies of 4,000 seeds are Gamma distributed with 3N - 3 degrees; each atom has its share."""
    drawn = [maxwell_boltzmann(System(MASSES, OPEN, seed), KT) for seed in range(4000)]
    system = System(MASSES, OPEN)
    doubled = np.array([system.doubled_kinetic(v) for v in drawn]) / KT
    degrees = 3 * len(MASSES) - 3
    Estimate.of(doubled).agrees(degrees, 0.01)
    Estimate.of((doubled - degrees) ** 2).agrees(2 * degrees, 0.05)
    squares = np.array(drawn)[:, :, 0] ** 2
    for atom, mass in enumerate(MASSES):
        Estimate.of(squares[:, atom]).agrees(KT / mass * (1.0 - mass / MASSES.sum()), 0.05)
    assert np.abs((MASSES[:, None] * np.array(drawn)).sum(axis=1)).max() < 1e-12


THERMOSTATS: dict[str, Any] = {
    'langevin': lambda system: LangevinBaoab(system, 2.0 * FS, 0.02 / FS),
    'nose-hoover': lambda system: NoseHooverChain(system, 2.0 * FS, Chain(system.degrees, 40.0 * FS, 3)),
}


@pytest.mark.parametrize('name', THERMOSTATS)
def test_energies_have_the_canonical_distributions(name: str) -> None:
    """Kinetic: Gamma of shape f/2. Potential, homogeneous of fourth degree: Gamma of shape f/4. Both scale with kT."""
    system, potential = System(MASSES, OPEN, seed=11), QuarticSprings(10.0)
    integrator = THERMOSTATS[name](system)
    state = random_start(system, integrator, potential, 1.0, KELVIN)
    state, _ = follow(integrator, potential, state, 500, KELVIN)
    _, seen = follow(
        integrator,
        potential,
        state,
        25000,
        KELVIN,
        observe=lambda s: (0.5 * system.doubled_kinetic(s.velocities) / KT, s.energy / KT),
    )
    f = 3 * len(MASSES) - 3
    for series, shape in zip(seen.T, (f / 2, f / 4)):
        Estimate.of(series).agrees(shape, 0.03, bias=BIAS)
        Estimate.of((series - shape) ** 2).agrees(shape, 0.15, bias=2 * BIAS)


def test_the_temperature_counts_the_momenta_there_are() -> None:
    system = System(np.full(2, 10.0), OPEN, seed=5)
    integrator = LangevinBaoab(system, 2.0 * FS, 0.2 / FS)
    state = begin(integrator, Springs(np.zeros((2, 3))), np.eye(2, 3), np.zeros((2, 3)), np.eye(3))
    _, kelvins = follow(
        integrator, Springs(np.zeros((2, 3))), state, 20000, KELVIN, observe=lambda s: temperature(system, s)
    )
    Estimate.of(kelvins[200:]).agrees(KELVIN, 0.02)


@pytest.mark.parametrize('angle', [0.2, 1.0])
def test_baoab_has_no_error_in_the_positions_of_oscillators(angle: float) -> None:
    """At any timestep, here omega dt up to one; its velocities are cold by (omega dt)^2/4, as they should be."""
    n_atoms, mass = 60, 20.0
    system = System(np.full(n_atoms, mass), OPEN, seed=2)
    timestep = 10.0 * FS
    constant = np.full((n_atoms, 3), mass * (angle / timestep) ** 2)
    potential = Springs(constant)
    integrator = LangevinBaoab(system, timestep, 0.5 * angle / timestep)
    state = begin(integrator, potential, np.zeros((n_atoms, 3)), np.zeros((n_atoms, 3)), np.eye(3))
    state, _ = follow(integrator, potential, state, round(50 / angle), KELVIN)
    _, seen = follow(
        integrator,
        potential,
        state,
        round(3000 / angle),
        KELVIN,
        observe=lambda s: (2.0 * s.energy / KT, system.doubled_kinetic(s.velocities) / KT),
    )
    f = 3 * n_atoms - 3
    Estimate.of(seen[:, 0]).agrees(f, 0.005)
    Estimate.of(seen[:, 1]).agrees(f * (1.0 - angle**2 / 4.0), 0.005)
