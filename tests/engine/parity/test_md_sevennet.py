"""Molecular dynamics on SevenNet-0: the way ASE goes, with an energy that stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import units
from ase.md.verlet import VelocityVerlet

from aiida_litraj.contract import PotentialSpec, Runtime, files, pack_arrays
from aiida_litraj.contract.md import MdItem, MdJob, MdParameters, MdResult, Segment
from aiida_litraj.contract.trajectory import read_records
from aiida_litraj.engine.run import run

from ..tasks.replicas import parameters

pytestmark = [pytest.mark.sevennet, pytest.mark.slow, pytest.mark.timeout(1800)]

STRUCTURE = Path(__file__).parents[3] / 'examples' / 'structures' / 'Li2O.cif'
STEPS = 100
PARITY_ANG = 1e-5
"""Of float32 forces, whose sums may be taken in another order on another machine, grown over 100 steps."""
LARGEST_DRIFT_EV_PER_ATOM_PS = 1e-3


def test_nve_goes_the_way_of_ase(tmp_path: Path, rerun: Any) -> None:
    from sevenn.calculator import SevenNetCalculator

    atoms = ase.io.read(STRUCTURE)
    rng = np.random.default_rng(7)
    momenta = rng.normal(size=(len(atoms), 3)) * np.sqrt(atoms.get_masses()[:, None] * units.kB * 600.0)
    atoms.set_momenta(momenta - momenta.mean(axis=0))
    settings = parameters('nve', initial_velocities='given', timestep_fs=1.0, frame_dtype='float64')
    job = MdJob(
        potential=PotentialSpec(family='sevennet', name='7net-0'),
        parameters=MdParameters.model_validate(settings),
        runtime=Runtime(device='cpu', processes=1),
        items=[MdItem(id='a', seed=0, schedule=[Segment(duration_fs=float(STEPS), temperature_k=600.0)])],
    )
    arrays = {
        'a/positions': atoms.positions,
        'a/cell': np.array(atoms.cell),
        'a/pbc': atoms.pbc,
        'a/numbers': atoms.numbers,
        'a/velocities': atoms.get_velocities() * units.fs,
    }
    (tmp_path / files.JOB).write_text(job.model_dump_json())
    (tmp_path / files.ARRAYS).write_bytes(pack_arrays(arrays))
    with rerun.restored_signals():
        result: MdResult = run(tmp_path / files.JOB)  # type: ignore[assignment]
    assert result.exit.status == 0
    frames = read_records(tmp_path / files.ITEMS / 'a.frames')[1]
    atoms.calc = SevenNetCalculator('7net-0', device='cpu')
    theirs = []
    dynamics = VelocityVerlet(atoms, 1.0 * units.fs)
    dynamics.attach(lambda: theirs.append((atoms.get_positions(), atoms.get_potential_energy())), interval=10)
    dynamics.run(STEPS)
    positions = np.array([one for one, _ in theirs])
    assert np.abs(positions[-1] - positions[0]).max() > 0.1
    np.testing.assert_allclose(frames['positions'], positions, rtol=0, atol=PARITY_ANG)
    np.testing.assert_allclose(frames['energy_ev'], [energy for _, energy in theirs], rtol=0, atol=1e-3)
    drift = result.items[0].segments[0].drift_ev_per_atom_ps
    assert drift is not None
    print(f'largest difference {np.abs(frames["positions"] - positions).max():.1e} Ang, drift {drift:.1e} eV/atom/ps')
    assert abs(drift) < LARGEST_DRIFT_EV_PER_ATOM_PS
