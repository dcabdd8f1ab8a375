"""Molecular dynamics on SevenNet-0: the way ASE goes, with an energy that stays, also under thermostat and barostat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import units
from ase.md.nose_hoover_chain import NoseHooverChainNVT, NoseHooverChainThermostat
from ase.md.verlet import VelocityVerlet

from aiida_litraj.contract import PotentialSpec, Runtime, files, pack_arrays
from aiida_litraj.contract.md import MdItem, MdJob, MdParameters, MdResult, Segment
from aiida_litraj.contract.trajectory import Records, read_records
from aiida_litraj.contract.units import BOLTZMANN_EV_PER_K
from aiida_litraj.engine.run import run

from ..tasks.replicas import parameters

pytestmark = [pytest.mark.sevennet, pytest.mark.slow, pytest.mark.timeout(1800)]

STRUCTURE = Path(__file__).parents[3] / 'examples' / 'structures' / 'Li2O.cif'
STEPS, BESIDE_ASE = 100, 50
"""Of which so many are taken with ASE too."""
PARITY_ANG = 1e-5
"""Of float32 forces, whose sums may be taken in another order on another machine, grown over the steps."""
LARGEST_DRIFT_EV_PER_ATOM_PS = 1e-3
KELVIN = 600.0
MUCH_EV = 0.05
"""Of the total energy: with less exchanged, little is tested."""
SHORT_STEPS, SHORT_STEP_FS = 50, 0.5
TAU_FS = 20.0
"""Short, so that within the steps of a test the baths take and give much of the energy."""
TAU_CELL_FS = 100.0
"""The volume of this cell then has a period of some 40 fs; with 20 fs it would be 8 fs, too fast for the steps."""
EACH_STEP: dict[str, Any] = {
    'timestep_fs': SHORT_STEP_FS,
    'frame_interval_fs': SHORT_STEP_FS,
    'thermo_interval_fs': SHORT_STEP_FS,
    'frame_dtype': 'float64',
}
SHARE_NOT_CONSERVED = 0.01
"""Of what the baths have exchanged, for the timestep."""


def moving(strain: float = 0.0) -> ase.Atoms:
    """Li2O with velocities of exactly the temperature of its 3 N - 3 momenta."""
    atoms = ase.io.read(STRUCTURE)
    atoms.set_cell((1.0 + strain) * atoms.cell.array, scale_atoms=True)
    momenta = np.random.default_rng(7).normal(size=(len(atoms), 3)) * np.sqrt(atoms.get_masses()[:, None])
    momenta -= momenta.sum(axis=0) * atoms.get_masses()[:, None] / atoms.get_masses().sum()
    atoms.set_momenta(momenta)
    wanted = 1.5 * (len(atoms) - 1) * BOLTZMANN_EV_PER_K * KELVIN
    atoms.set_momenta(momenta * np.sqrt(wanted / atoms.get_kinetic_energy()))
    return atoms


def followed(folder: Path, rerun: Any, atoms: ase.Atoms, settings: Any, **segment: float) -> tuple[MdResult, Records]:
    """The result of our engine, and the records of ``a.frames``."""
    job = MdJob(
        potential=PotentialSpec(family='sevennet', name='7net-0'),
        parameters=MdParameters.model_validate(settings),
        runtime=Runtime(device='cpu', processes=1),
        items=[MdItem(id='a', seed=0, schedule=[Segment(temperature_k=KELVIN, **segment)])],
    )
    arrays = {
        'a/positions': atoms.positions,
        'a/cell': np.array(atoms.cell),
        'a/pbc': atoms.pbc,
        'a/numbers': atoms.numbers,
        'a/velocities': atoms.get_velocities() * units.fs,
    }
    (folder / files.JOB).write_text(job.model_dump_json())
    (folder / files.ARRAYS).write_bytes(pack_arrays(arrays))
    with rerun.restored_signals():
        result: MdResult = run(folder / files.JOB)  # type: ignore[assignment]
    assert result.exit.status == 0
    return result, read_records(folder / files.ITEMS / 'a.frames')[1]


def test_nve_goes_the_way_of_ase(tmp_path: Path, rerun: Any) -> None:
    from sevenn.calculator import SevenNetCalculator

    atoms = moving()
    settings = parameters('nve', initial_velocities='given', timestep_fs=1.0, frame_dtype='float64')
    result, frames = followed(tmp_path, rerun, atoms, settings, duration_fs=float(STEPS))
    atoms.calc = SevenNetCalculator('7net-0', device='cpu')
    theirs = []
    dynamics = VelocityVerlet(atoms, 1.0 * units.fs)
    dynamics.attach(lambda: theirs.append((atoms.get_positions(), atoms.get_potential_energy())), interval=10)
    dynamics.run(BESIDE_ASE)
    positions = np.array([one for one, _ in theirs])
    assert np.abs(positions[-1] - positions[0]).max() > 0.1
    ours = frames[: len(positions)]
    np.testing.assert_allclose(ours['positions'], positions, rtol=0, atol=PARITY_ANG)
    np.testing.assert_allclose(ours['energy_ev'], [energy for _, energy in theirs], rtol=0, atol=1e-3)
    drift = result.items[0].segments[0].drift_ev_per_atom_ps
    assert drift is not None
    print(f'largest difference {np.abs(ours["positions"] - positions).max():.1e} Ang, drift {drift:.1e} eV/atom/ps')
    assert abs(drift) < LARGEST_DRIFT_EV_PER_ATOM_PS


def test_nose_hoover_goes_the_way_of_ase(tmp_path: Path, rerun: Any) -> None:
    """The chain takes what a crystal on its sites has too much, in both alike."""
    from sevenn.calculator import SevenNetCalculator

    atoms = moving()
    settings = parameters(
        'nose-hoover', initial_velocities='given', **EACH_STEP, thermostat={'tau_fs': TAU_FS},
    )  # fmt: skip
    _, frames = followed(tmp_path, rerun, atoms, settings, duration_fs=SHORT_STEPS * SHORT_STEP_FS)
    thermo = read_records(tmp_path / files.ITEMS / 'a.thermo')[1]
    atoms.calc = SevenNetCalculator('7net-0', device='cpu')
    kelvin = KELVIN * BOLTZMANN_EV_PER_K / units.kB  # the same in eV: ASE's constants are those of 2014
    dynamics = NoseHooverChainNVT(atoms, SHORT_STEP_FS * units.fs, kelvin, TAU_FS * units.fs)
    # ASE counts the momenta of as many atoms as it is told; those of one of them are not free.
    dynamics._thermostat = NoseHooverChainThermostat(len(atoms) - 1, dynamics.masses, kelvin, TAU_FS * units.fs)
    theirs: list[Any] = []
    dynamics.attach(lambda: theirs.append((atoms.get_positions(), atoms.get_kinetic_energy())))
    dynamics.run(SHORT_STEPS)
    np.testing.assert_allclose(frames['positions'], [one for one, _ in theirs], rtol=0, atol=PARITY_ANG)
    np.testing.assert_allclose(frames['kinetic_ev'], [energy for _, energy in theirs], rtol=0, atol=1e-4)
    conserves(thermo, frames['energy_ev'] + frames['kinetic_ev'])


def test_npt_conserves_what_it_should(tmp_path: Path, rerun: Any) -> None:
    """A crystal that was squeezed swings open: energy, bath and work against the pressure sum up to what they were.

    They do only if the stress is that of the energy, and the volume moves as the barostat says.
    """
    settings = parameters(
        'mtk-full', initial_velocities='given', **EACH_STEP,
        thermostat={'tau_fs': TAU_FS}, barostat={'tau_fs': TAU_CELL_FS},
    )  # fmt: skip
    segment = {'duration_fs': SHORT_STEPS * SHORT_STEP_FS, 'pressure_gpa': 1.0}
    _, frames = followed(tmp_path, rerun, moving(strain=-0.03), settings, **segment)
    thermo = read_records(tmp_path / files.ITEMS / 'a.thermo')[1]
    assert np.ptp(thermo['volume_ang3']) > 0.05 * thermo['volume_ang3'][0]
    conserves(thermo, frames['energy_ev'] + frames['kinetic_ev'])


def conserves(thermo: Records, energies: Any) -> None:
    """It starts at the temperature of the bath; the conserved quantity stays where the total energy does not."""
    assert thermo['temperature_k'][0] == pytest.approx(KELVIN, rel=1e-6)
    exchanged, lost = np.ptp(energies), np.ptp(thermo['conserved_ev'])
    print(f'exchanged {exchanged:.2e} eV, not conserved {lost:.1e} eV')
    assert exchanged > MUCH_EV
    assert lost < SHARE_NOT_CONSERVED * exchanged
