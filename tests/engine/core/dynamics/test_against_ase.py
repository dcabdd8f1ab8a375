"""The same Morse crystal, the same velocities: ASE's integrators and ours go the same way, step for step."""

from __future__ import annotations

from typing import Any

import ase
import ase.data
import ase.units
import numpy as np
import pytest
from ase.calculators.calculator import Calculator, all_changes
from ase.md.langevinbaoab import LangevinBAOAB
from ase.md.nose_hoover_chain import MTKNPT, IsotropicMTKNPT, NoseHooverChainNVT
from ase.md.verlet import VelocityVerlet as AseVelocityVerlet

from aiida_litraj.engine.core.dynamics.integrator import VelocityVerlet
from aiida_litraj.engine.core.dynamics.langevin import LangevinBaoab
from aiida_litraj.engine.core.dynamics.masses import masses_of
from aiida_litraj.engine.core.dynamics.mtk import MartynaTobiasKlein
from aiida_litraj.engine.core.dynamics.noise import Purpose, normal
from aiida_litraj.engine.core.dynamics.nose_hoover import Chain, NoseHooverChain
from aiida_litraj.engine.core.dynamics.state import System, maxwell_boltzmann
from aiida_litraj.engine.core.dynamics.units import BOLTZMANN, GIGAPASCAL
from aiida_litraj.engine.models.interface import Configuration
from aiida_litraj.engine.models.toy import morse

from .following import begin, follow, morse_crystal

STEPS = 100
ROUND_OFF = 1e-10
"""Ang, and the same in the other units: a hundred steps of a crystal do not grow the last bits by more."""
KT, PRESSURE = 300.0 * ase.units.kB, 0.01
OURS = {'kelvin': KT / BOLTZMANN, 'gigapascal': PRESSURE / GIGAPASCAL}
"""The same in eV: ASE's constants are those of 2014."""
DT, TAU, TAU_CELL = 2.0 * ase.units.fs, 100.0 * ase.units.fs, 300.0 * ase.units.fs
FRICTION = 0.02 / ase.units.fs


class AseMorse(Calculator):
    implemented_properties = ('energy', 'free_energy', 'forces', 'stress')

    def calculate(self, atoms: Any = None, properties: Any = (), system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        answer = morse(Configuration(atoms.numbers, atoms.positions, np.array(atoms.cell), atoms.pbc, stress=True))
        assert answer.stress is not None
        voigt = answer.stress.flat[[0, 4, 8, 5, 2, 1]]
        self.results = {'energy': answer.energy, 'free_energy': answer.energy, 'forces': answer.forces, 'stress': voigt}


class SameNoise:
    """Our noise for ASE, without its centre of mass, which ASE would let go."""

    def __init__(self, system: System) -> None:
        self.system, self.step = system, 0

    def normal(self, size: Any) -> Any:
        self.step += 1
        noise = normal(self.system.seed, self.step, Purpose.THERMOSTAT, size)
        return self.system.resting(noise / np.sqrt(self.system.column)) * np.sqrt(self.system.column)


CRYSTAL = morse_crystal()
N = len(CRYSTAL.atoms)
SYSTEM = CRYSTAL.system(seed=7, free_centre=True)
SYSTEM.__dict__['degrees'] = 3 * N  # what ASE counts: it leaves the centre of mass free


def langevin_of_ase(atoms: ase.Atoms) -> Any:
    dynamics = LangevinBAOAB(atoms, DT, temperature_K=KT / ase.units.kB, T_tau=1.0 / FRICTION, rng=0)
    dynamics.rng = SameNoise(SYSTEM)
    return dynamics


PAIRS: dict[str, tuple[Any, Any]] = {
    'nve': (VelocityVerlet(SYSTEM, DT), lambda atoms: AseVelocityVerlet(atoms, DT)),
    'langevin': (LangevinBaoab(SYSTEM, DT, FRICTION), langevin_of_ase),
    'nose-hoover': (
        NoseHooverChain(SYSTEM, DT, Chain(3 * N, TAU, 3)),
        lambda atoms: NoseHooverChainNVT(atoms, DT, KT / ase.units.kB, TAU),
    ),
    # of the thermostats of the cell ASE's first has nine times the inertia
    'mtk-isotropic': (
        MartynaTobiasKlein(SYSTEM, DT, Chain(3 * N, TAU, 3), Chain(1, TAU_CELL, 3, inertia=9), TAU_CELL, False),
        lambda atoms: IsotropicMTKNPT(atoms, DT, KT / ase.units.kB, PRESSURE, TAU, TAU_CELL),
    ),
    # ASE counts nine independent components of a strain rate which is symmetric
    'mtk-full': (
        MartynaTobiasKlein(SYSTEM, DT, Chain(3 * N, TAU, 3), Chain(9, TAU_CELL, 3), TAU_CELL, True),
        lambda atoms: MTKNPT(atoms, DT, KT / ase.units.kB, PRESSURE, TAU, TAU_CELL),
    ),
}


@pytest.mark.parametrize('name', PAIRS)
def test_both_go_the_same_way(name: str) -> None:
    integrator, of_ase = PAIRS[name]
    velocities = maxwell_boltzmann(SYSTEM, KT)
    atoms = CRYSTAL.atoms.copy()
    atoms.set_velocities(velocities)
    atoms.calc = AseMorse()
    theirs = of_ase(atoms)
    state = begin(integrator, CRYSTAL, CRYSTAL.atoms.positions.copy(), velocities, np.array(CRYSTAL.atoms.cell))
    conserved = integrator.conserved(state)
    energy_of_ase = getattr(theirs, 'get_conserved_energy', None)
    theirs_before = None if energy_of_ase is None else energy_of_ase()
    theirs.run(STEPS)
    state, _ = follow(integrator, CRYSTAL, state, STEPS, **OURS)
    assert np.abs(state.positions - CRYSTAL.atoms.positions).max() > 0.1  # it is not because nothing happens
    np.testing.assert_allclose(state.positions, atoms.positions, rtol=0, atol=ROUND_OFF)
    np.testing.assert_allclose(state.velocities, atoms.get_velocities(), rtol=0, atol=ROUND_OFF)
    np.testing.assert_allclose(state.cell, np.array(atoms.cell), rtol=0, atol=ROUND_OFF)
    if energy_of_ase is not None:
        assert integrator.conserved(state) - conserved == pytest.approx(energy_of_ase() - theirs_before, abs=ROUND_OFF)


def test_masses_are_those_of_ase() -> None:
    numbers = np.arange(1, len(ase.data.atomic_masses))
    np.testing.assert_array_equal(masses_of(numbers), ase.data.atomic_masses[numbers])
