"""Evaluation with SevenNet-0 as its own ASE calculator has it, frame by frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms

from aiida_litraj.contract import PotentialSpec
from tests.engine.tasks.blocks import Evaluated, write_job

pytestmark = [pytest.mark.sevennet]
SEVENNET_0 = PotentialSpec(family='sevennet', name='7net-0')
ENERGY_EV, FORCE_EV_PER_ANG, STRESS_EV_PER_ANG3 = 1e-5, 2e-5, 1e-6
"""Per atom; float32 sums taken in another order."""


def antifluorite(symbols: str, constant: float, seed: int) -> Atoms:
    """A rattled cubic cell of an antifluorite, 12 atoms, with one lithium less for each seed."""
    sites = [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    lithium = [[x, y, z] for x in (0.25, 0.75) for y in (0.25, 0.75) for z in (0.25, 0.75)]
    atoms = Atoms(symbols, scaled_positions=sites + lithium, cell=constant * np.eye(3), pbc=True)
    atoms.rattle(0.1, seed=seed)
    return atoms[: 12 - seed]


def test_as_its_own_calculator(tmp_path: Path, rerun: Any) -> None:
    from sevenn.calculator import SevenNetCalculator

    calculator = SevenNetCalculator('7net-0', device='cpu')
    frames = [antifluorite('S4Li8', 5.7, seed) for seed in range(3)] + [antifluorite('O4Li8', 4.6, 1)]
    folder = write_job(tmp_path / 'job', {'a': frames}, SEVENNET_0, {'device': 'cpu', 'processes': 1})
    rerun.engine(folder)
    found = Evaluated.read(folder)
    assert found.result.exit.status == 0
    start = 0
    for index, atoms in enumerate(frames):
        atoms.calc = calculator
        rows = slice(start, start + len(atoms))
        start += len(atoms)
        energy = atoms.get_potential_energy()
        assert abs(found.arrays['a/energies'][index] - energy) < ENERGY_EV * len(atoms)
        np.testing.assert_allclose(found.arrays['a/forces'][rows], atoms.get_forces(), atol=FORCE_EV_PER_ANG)
        np.testing.assert_allclose(found.arrays['a/stresses'][index], atoms.get_stress(), atol=STRESS_EV_PER_ANG3)
