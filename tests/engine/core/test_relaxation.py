"""What a relaxation of atoms and cell gives back when its steps run out."""

from __future__ import annotations

from pathlib import Path

import ase
import numpy as np
import pytest
from ase.build import bulk, make_supercell
from ase.units import GPa

from aiida_litraj.contract import PotentialSpec
from aiida_litraj.contract.relax import RelaxationParameters
from aiida_litraj.engine.core.hessian import System
from aiida_litraj.engine.core.relaxation import Crystal, RelaxedCrystal, relax_crystal
from aiida_litraj.engine.core.stages import Evaluated
from aiida_litraj.engine.models import Configuration, Evaluation, load

PRESSURE_GPA = 20.0
MOST_STEPS = 25
NOISE_EV = 1e-5
"""By which an enthalpy may rise: the engine takes 1e-7 of it for the noise of a float32."""
PARAMETERS = {
    'fmax_ev_per_ang': 1e-4,
    'criterion': 'norm',
    'cell': 'full',
    'pressure_gpa': PRESSURE_GPA,
    'stress_gpa': 1e-3,
    'symmetry_tolerance_ang': None,
    'max_force_ev_per_ang': 1e4,
    'volume_ratio_min': 0.1,
    'volume_ratio_max': 8.0,
    'dtype': 'native',
}
MORSE = load(PotentialSpec(family='toy', name='morse'), Path.cwd(), device='cpu')


def morse(atoms: ase.Atoms, positions: np.ndarray, cell: np.ndarray) -> Evaluation:
    (found,) = MORSE.evaluate([Configuration(atoms.numbers, positions, cell, np.array(atoms.pbc), stress=True)])
    return found


def squeezed() -> ase.Atoms:
    """A crystal far from its minimum, where first steps are too long."""
    atoms = make_supercell(bulk('Ar', 'fcc', a=3.4), 2 * np.eye(3))
    atoms.positions += np.random.default_rng(5).uniform(-0.3, 0.3, atoms.positions.shape)
    return atoms


def relaxed(atoms: ase.Atoms, optimizer: str, max_steps: int) -> tuple[RelaxedCrystal, list[float]]:
    """The structure after so many steps, and the enthalpies of all that were tried."""
    system = System(atoms.numbers, atoms.cell.array, np.array(atoms.pbc))
    parameters = RelaxationParameters(**PARAMETERS, optimizer=optimizer, max_steps=max_steps)
    stage, tried = relax_crystal(Crystal(system, atoms.positions), parameters), []
    demand = next(stage)
    while True:
        found = morse(atoms, demand.positions[0], demand.cells[0])
        tried.append(found.energy + PRESSURE_GPA * GPa * abs(np.linalg.det(demand.cells[0])))
        try:
            demand = stage.send(Evaluated(np.array([found.energy]), found.forces[None], found.stress[None]))
        except StopIteration as ended:
            return ended.value, tried


@pytest.mark.parametrize('optimizer', ['lbfgs', 'lbfgs_model_hessian'])
def test_more_steps_are_never_worse(optimizer: str) -> None:
    """What is given back is the lowest that was reached, with its own energy, forces and stress, not a step uphill."""
    atoms = squeezed()
    _, way = relaxed(atoms, optimizer, MOST_STEPS)
    assert max(np.diff(way)) > 100.0 * NOISE_EV  # there are steps uphill on the way
    for max_steps in range(MOST_STEPS):
        found, tried = relaxed(atoms, optimizer, max_steps)
        enthalpy = found.energy + PRESSURE_GPA * GPa * abs(np.linalg.det(found.cell))
        assert enthalpy < min(tried) + NOISE_EV
        again = morse(atoms, found.positions, found.cell)
        assert (found.energy, found.n_steps) == (again.energy, len(tried) - 1)
        np.testing.assert_array_equal(found.forces, again.forces)
        np.testing.assert_array_equal(found.stress, again.stress)
        assert found.fmax == np.linalg.norm(found.forces, axis=1).max()
