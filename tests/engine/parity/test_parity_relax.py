"""Relaxation of atoms and cell on SevenNet-0: the minimum of the enthalpy is where ASE's filter of the cell ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase.filters import FrechetCellFilter
from ase.optimize import LBFGS
from ase.units import GPa

from aiida_litraj.contract import PotentialSpec, Runtime, files
from aiida_litraj.contract.arrays import pack_arrays
from aiida_litraj.contract.relax import RelaxationParameters, RelaxItem, RelaxItemResult, RelaxJob
from aiida_litraj.engine.run import run
from aiida_litraj.workflows.protocols.mixin import ProtocolMixin

from .neb_with_ase import STRUCTURES

pytestmark = [pytest.mark.sevennet, pytest.mark.slow, pytest.mark.timeout(1800)]

SAME_MINIMUM_EV_PER_ATOM = 1e-4
SAME_VOLUME = 1e-3


class Protocols(ProtocolMixin):
    protocol_file = 'relax.yaml'


def relax_with_engine(folder: Path, atoms: ase.Atoms, **changes: Any) -> RelaxItemResult:
    parameters = Protocols.get_protocol_inputs('tight')['parameters'] | changes
    job = RelaxJob(
        potential=PotentialSpec(family='sevennet', name='7net-0'),
        parameters=RelaxationParameters.model_validate(parameters),
        runtime=Runtime(device='cpu', processes=1),
        items=[RelaxItem(id='a')],
    )
    arrays = {
        'positions': atoms.positions,
        'cell': atoms.cell.array,
        'pbc': np.array(atoms.pbc),
        'numbers': atoms.numbers.astype(np.int64),
    }
    (folder / files.JOB).write_text(job.model_dump_json())
    (folder / files.ARRAYS).write_bytes(pack_arrays({f'a/{name}': values for name, values in arrays.items()}))
    (item,) = run(folder / files.JOB).items
    return item


@pytest.mark.parametrize('pressure_gpa', [0.0, 10.0])
def test_relaxation_of_atoms_and_cell(pressure_gpa: float, tmp_path: Path) -> None:
    """Lithium sulphide, shaken and strained."""
    from sevenn.calculator import SevenNetCalculator

    atoms = ase.io.read(STRUCTURES / 'Li2S.cif')
    strain = [[0.03, 0.02, 0.0], [0.0, -0.02, 0.01], [0.0, 0.0, 0.04]]
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    atoms.rattle(0.1, seed=3)
    theirs = atoms.copy()
    theirs.calc = SevenNetCalculator('7net-0', device='cpu')
    LBFGS(FrechetCellFilter(theirs, scalar_pressure=pressure_gpa * GPa), logfile=None).run(fmax=0.003, steps=300)
    item = relax_with_engine(tmp_path, atoms, pressure_gpa=pressure_gpa)
    assert item.converged, item.reason
    expected = theirs.get_potential_energy() + pressure_gpa * GPa * theirs.get_volume()
    assert abs(item.enthalpy_ev - expected) / len(atoms) < SAME_MINIMUM_EV_PER_ATOM
    assert abs(item.volume_ang3 / theirs.get_volume() - 1.0) < SAME_VOLUME
