"""From trajectories that are known on paper to mean cells and conductivities, with their provenance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida.orm import Dict, StructureData

from aiida_litraj.analysis.conductivity import name_of
from aiida_litraj.analysis.transport import conductivity_s_per_cm
from aiida_litraj.calculations.functions.analyse_conductivity import analyse_conductivity
from aiida_litraj.calculations.functions.mean_cells import mean_cells
from aiida_litraj.calculations.functions.plan_equilibration import plan_equilibration
from aiida_litraj.contract.units import BOLTZMANN_EV_PER_K
from aiida_litraj.data import MdTrajectoryData
from tests.analysis.test_conductivity import SETTINGS
from tests.fixtures.trajectories import CELL_ANG, FRAME_PS, trajectory
from tests.fixtures.walks import hopping

pytestmark = pytest.mark.usefixtures('aiida_profile')

TEMPERATURES = (700.0, 850.0, 1100.0)
ENERGY_EV, ATTEMPTS_PER_PS = 0.25, 20.0
HOP_ANG, N_IONS, N_FRAMES = 3.0, 12, 800
ERRORS = 3.0
"""Widths of the 68 % interval by which a number may miss the truth."""


def settings(**changes: Any) -> Dict:
    return Dict({**SETTINGS, 'temperatures_k': list(TEMPERATURES), **changes})


def rate(temperature: float) -> float:
    """Hops of an ion in a ps."""
    return ATTEMPTS_PER_PS * float(np.exp(-ENERGY_EV / (BOLTZMANN_EV_PER_K * temperature)))


def lattice_gas(folder: Path) -> dict[str, MdTrajectoryData]:
    """Two repeats at each temperature, with an activation energy and a prefactor that are known."""
    generator = np.random.default_rng(3)
    return {
        name_of(temperature, repeat): trajectory(
            folder, hopping(generator, N_FRAMES, N_IONS, rate(temperature) * FRAME_PS, HOP_ANG)
        )
        for temperature in TEMPERATURES
        for repeat in (1, 2)
    }


def account(names: Any, **ends: str) -> Dict:
    """How replicas ended; ``ends`` are the reasons of those that died."""
    items = {
        name: {'status': 'failed' if name in ends else 'finished', 'reason': ends.get(name), 'time_fs': 1.0}
        for name in names
    }
    return Dict({'items': items, 'audit': {'potential': {'sha256': 'ab' * 32}, 'engine_version': '0.1.0'}})


def report(*warnings: str, temperatures: tuple[float, ...] = TEMPERATURES) -> Dict:
    entries = [{'temperature_k': one, 'repeats': [1, 2]} for one in temperatures]
    return Dict({'temperatures': entries, 'warnings': list(warnings)})


def test_lattice_gas_has_its_conductivity_and_activation_energy(tmp_path: Path) -> None:
    runs = lattice_gas(tmp_path)
    found = analyse_conductivity(settings(), account(runs), report(), **runs)
    diffusivity = 1e-4 * rate(298.0) * HOP_ANG**2 / 6.0
    # Fitted is sigma T, so that the truth has the slope of D.
    truth = conductivity_s_per_cm(diffusivity, N_IONS, CELL_ANG**3, 298.0)
    reach = np.log(found['sigma_298_high'] / found['sigma_298_s_per_cm'])
    assert abs(np.log(found['sigma_298_s_per_cm'] / truth)) < ERRORS * reach
    assert found['sigma_298_low'] < found['sigma_298_s_per_cm'] < found['sigma_298_high']
    width = found['activation_energy_high_ev'] - found['activation_energy_ev']
    assert abs(found['activation_energy_ev'] - ENERGY_EV) < ERRORS * width
    assert width < 0.03
    for entry in found['temperatures']:
        expected = 1e-4 * rate(entry['temperature_k']) * HOP_ANG**2 / 6.0
        assert entry['tracer_cm2_per_s']['value'] == pytest.approx(expected, rel=0.3)
        assert entry['volume_ang3'] == pytest.approx(CELL_ANG**3)
    assert (found['n_runs'], found['lost'], found['natoms'], found['potential_sha256']) == (6, [], 16, 'ab' * 32)
    assert found.creator.process_type == 'aiida.calculations:litraj.analyse_conductivity'
    assert {name for name in found.creator.inputs if name.startswith('T')} == set(runs)


def test_each_repeat_has_its_own_number_and_they_a_mean(tmp_path: Path) -> None:
    runs = lattice_gas(tmp_path)
    found = analyse_conductivity(settings(), account(runs), report(), **runs)
    alone = [one['sigma_298_s_per_cm'] for one in found['repeats']]
    assert [one['repeat'] for one in found['repeats']] == [1, 2]
    assert found['sigma_298_mean_of_repeats_s_per_cm'] == pytest.approx(np.mean(alone))


def test_replicas_that_died_are_left_out_and_named(tmp_path: Path) -> None:
    runs = lattice_gas(tmp_path)
    results = account(runs, T700_r1='the replica died after 12 fs: an atom was lost')
    found = analyse_conductivity(settings(), results, report('1300 K: left out'), **runs)
    assert found['n_runs'] == 5
    assert found['lost'] == [{'replica': 'T700_r1', 'reason': 'the replica died after 12 fs: an atom was lost'}]
    assert '1300 K: left out' in found['warnings']
    assert 'T700_r1: left out: the replica died after 12 fs: an atom was lost' in found['warnings']
    assert found['sigma_298_s_per_cm'] is not None


def test_ions_that_rattle_give_no_number_and_a_warning(tmp_path: Path) -> None:
    generator = np.random.default_rng(4)
    runs = {
        name_of(temperature, repeat): trajectory(tmp_path, 0.2 * generator.normal(size=(200, N_IONS, 3)))
        for temperature in TEMPERATURES
        for repeat in (1, 2)
    }
    found = analyse_conductivity(settings(), account(runs), report('700 K: the mean cell is uncertain'), **runs)
    for key in ('sigma_298_s_per_cm', 'sigma_298_low', 'sigma_298_high', 'activation_energy_ev'):
        assert found[key] is None
    assert found['warnings'][0].startswith('no conductivity at 298 K')
    assert len(found['warnings']) == 2 + len(TEMPERATURES)  # That, the mean cell, and each temperature.
    assert sum('have not diffused' in warning for warning in found['warnings']) == len(TEMPERATURES)
    assert 'not_diffused' in found['caveats']
    assert all(entry['tracer_below_cm2_per_s'] > 0.0 for entry in found['temperatures'])


def test_no_run_at_all_is_no_conductivity(tmp_path: Path) -> None:
    runs = lattice_gas(tmp_path)
    every = dict.fromkeys(runs, 'died')
    _, node = analyse_conductivity.run_get_node(settings(), account(runs, **every), report(), **runs)
    assert node.exit_status == 510
    assert 'no run has reached its end' in node.exit_message


def breathing(
    folder: Path, edge: float, growth: float = 0.0, place: float = 0.5, n_frames: int = 40
) -> MdTrajectoryData:
    """A cube around ``edge``; ions at ``place`` of it."""
    generator = np.random.default_rng(5)
    edges = edge * (1.0 + 0.002 * generator.normal(size=n_frames) + np.linspace(0.0, growth, n_frames))
    ions = np.repeat(place * edges[:, None, None], 3, axis=2) * np.ones((1, 2, 1))
    return trajectory(folder, ions, edges[:, None, None] * np.eye(3))


def test_mean_cells_and_what_runs_in_them(tmp_path: Path) -> None:
    runs = {
        name_of(temperature, repeat): breathing(tmp_path, 12.0, growth=0.1 if temperature > 1000 else 0.0)
        for temperature in TEMPERATURES
        for repeat in (1, 2)
    }
    made = mean_cells(settings(), account(runs, T850_r1='lost', T850_r2='lost', T1100_r1='an atom was lost'), **runs)
    assert {name for name in made if name.startswith('cell_')} == {'cell_T700_r1', 'cell_T700_r2', 'cell_T1100_r2'}
    assert {name for name in made if name.startswith('replica_')} == {
        'replica_T700_r1', 'replica_T700_r2', 'replica_T1100_r2'
    }  # fmt: skip
    assert made['replica_T700_r1']['structure'] == 'T700_r1'
    assert made['replica_T700_r1']['schedule'] == [{'duration_fs': 10000.0, 'temperature_k': 700.0}]
    warnings = made['report']['warnings']
    assert 'T1100_r1: left out, the run at constant pressure failed: an atom was lost' in warnings
    assert '850 K: left out, no run at constant pressure is of use' in warnings
    assert any(text.startswith('1100 K: the volume has not come to rest') for text in warnings)
    entries = {entry['temperature_k']: entry for entry in made['report']['temperatures']}
    assert {temperature: entry['repeats'] for temperature, entry in entries.items()} == {700.0: [1, 2], 1100.0: [2]}
    assert made['cell_T700_r1'].creator.process_type == 'aiida.calculations:litraj.mean_cells'


def test_repeats_share_the_mean_cell_of_all_and_start_where_each_ended(tmp_path: Path) -> None:
    """Two runs whose cubes differ by 2 % and whose ions ended in other places."""
    chosen = settings(temperatures_k=[700.0])
    runs = {'T700_r1': breathing(tmp_path, 12.0, place=0.5), 'T700_r2': breathing(tmp_path, 12.24, place=0.3)}
    made = mean_cells(chosen, account(runs), **runs)
    starts = [made[f'cell_{name}'] for name in runs]
    used = np.concatenate([abs(np.linalg.det(run.cells[10:])) for run in runs.values()])  # without the first ps
    for start, place in zip(starts, (0.5, 0.3)):
        assert start.get_formula() == 'Li2S4'
        assert start.get_cell_volume() == pytest.approx(used.mean())
        np.testing.assert_allclose(start.cell, starts[0].cell)
        np.testing.assert_allclose(start.sites[0].position, np.full(3, place * used.mean() ** (1 / 3)), atol=1e-3)
    (entry,) = made['report']['temperatures']
    assert entry['strain_error']['xx'] == pytest.approx(0.02 / 2, rel=0.1)  # two means, 2 % apart
    assert any('mean cell is uncertain' in text for text in made['report']['warnings'])


def test_no_temperature_left(tmp_path: Path) -> None:
    runs = {'T700_r1': breathing(tmp_path, 12.0)}
    _, node = mean_cells.run_get_node(settings(), account(runs, T700_r1='it melted'), **runs)
    assert node.exit_status == 510
    assert 'T700_r1: left out, the run at constant pressure failed: it melted' in node.exit_message


def test_plan_is_a_supercell_and_the_replicas_of_each_temperature() -> None:
    crystal = StructureData(cell=5.0 * np.eye(3))
    crystal.append_atom(position=(0.0, 0.0, 0.0), symbols='Li')
    crystal.append_atom(position=(2.5, 2.5, 2.5), symbols='Cl')
    made = plan_equilibration(crystal, settings())
    names = {name_of(temperature, repeat) for temperature in TEMPERATURES for repeat in (1, 2)}
    assert set(made) == {'supercell', *names}
    assert made['supercell'].get_formula() == 'Cl8Li8'
    assert made['T700_r2']['structure'] == 'supercell'
