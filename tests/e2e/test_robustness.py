"""A grid of anneals with the real engine: where replicas survive, where they die, and what the graph knows of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from aiida.orm import CalcJobNode

from aiida_litraj.calculations.functions.plan_robustness import derived_seed
from aiida_litraj.workflows.robustness import RobustnessWorkChain
from tests.fixtures.nodes import fcc, potential

pytestmark = pytest.mark.e2e
COLD, HOT = 300.0, 1e8
"""At the second the atoms go 6 Ang in the first step."""
GRID = {'temperatures_k': [COLD, HOT], 'pressures_pa': [1e6, 1e9], 'repeats': 2, 'duration_ps': 0.02, 'seed': 7}
SMALL = {
    'packing': {'n_atoms': 8, 'density_g_per_cm3': 1.2},
    'grid': GRID,
    'relaxation': {'max_steps': 5},
    'dynamics': {'frame_interval_fs': 4.0, 'thermo_interval_fs': 4.0},
}


@pytest.fixture(autouse=True)
def cached() -> Iterator[None]:
    """Most tests look at the same grid: only the first of them computes it."""
    with enable_caching():
        yield


@pytest.fixture
def builder(engine_code: Any, computer: Any) -> Any:
    def make(potentials: Any = None, **changes: Any) -> Any:
        chosen = potentials or {'morse': potential('morse')}
        return RobustnessWorkChain.get_builder_from_protocol(
            {name: {'code': engine_code, 'potential': node} for name, node in chosen.items()},
            overrides={**SMALL, **changes}, computer=computer, options={'processes': 1}, protocol='quick',
        )  # fmt: skip

    return make


def test_grid_in_several_jobs_is_the_grid_of_one(builder: Any) -> None:
    """To the last digit, for each replica goes its own way."""
    packed = builder()
    packed.jobs = {'morse': {**packed.jobs['morse'], 'packing': {'max_jobs': 3, 'reuse': False}}}
    outputs, node = run_get_node(packed)
    assert node.is_finished_ok, (node.exit_status, node.exit_message)
    jobs = [one for one in node.called_descendants if isinstance(one, CalcJobNode) and 'replicas' in one.inputs]
    assert len(jobs) == 3
    assert sorted(name for job in jobs for name in job.inputs.replicas) == sorted(outputs['results']['morse']['items'])
    whole, _ = run_get_node(builder())
    assert outputs['grids']['morse'].get_dict() == whole['grids']['morse'].get_dict()


def test_cold_replicas_survive_and_hot_ones_die(builder: Any) -> None:
    outputs, node = run_get_node(builder())
    assert node.is_finished_ok, (node.exit_status, node.exit_message)
    grid = outputs['grids']['morse']
    cells = {(cell['temperature_k'], cell['pressure_pa']): cell for cell in grid['cells']}
    assert {key: cell['colour'] for key, cell in cells.items()} == {
        (COLD, 1e6): 'green', (COLD, 1e9): 'green', (HOT, 1e6): 'white', (HOT, 1e9): 'white'
    }  # fmt: skip
    # Five frames each, without the start; the Morse atoms do not come as close as 1 Ang at 300 K.
    assert (cells[COLD, 1e6]['n_frames'], cells[COLD, 1e6]['text']) == (10, '0')
    assert (cells[HOT, 1e6]['text'], cells[HOT, 1e6]['deaths_ps']) == ('–', [0.0, 0.0])
    dead = [replica for replica in grid['replicas'] if replica['outcome'] == 'died']
    assert [replica['death'] for replica in dead] == ['atom_lost'] * 4
    assert (grid['n_survived'], grid['n_replicas'], grid['n_atoms']) == (4, 8, 8)


def test_provenance_of_a_grid(builder: Any) -> None:
    outputs, _ = run_get_node(builder())
    made = outputs['grids']['morse'].creator
    assert made.process_type == 'aiida.calculations:litraj.analyse_robustness'
    given = made.base.links.get_incoming().nested()
    assert set(given) >= {'grid', 'dynamics', 'results', 't0_p0_r1', 't0_p1_r2'}
    assert 't1_p1_r2' not in given  # dead before its first frame
    assert outputs['start'].creator.process_type == 'aiida.calculations:litraj.random_hard_spheres'
    assert given['t0_p0_r1'].creator.process_type == 'aiida.calculations:litraj.md'
    job = given['t0_p0_r1'].creator
    assert job.inputs.structures.start.uuid == outputs['relaxed']['morse'].uuid
    assert job.inputs.replicas['t0_p1_r2']['seed'] == derived_seed(7, COLD, 1e9, 2)
    assert job.inputs.replicas['t0_p1_r2'].creator.process_type == 'aiida.calculations:litraj.plan_robustness'
    assert outputs['start'].get_formula() == 'Li3PS4'


def test_cells_do_not_depend_on_their_batch(builder: Any) -> None:
    whole = run_get_node(builder())[0]['grids']['morse']
    alone = {**GRID, 'temperatures_k': [COLD], 'pressures_pa': [1e9]}
    outputs, _ = run_get_node(builder(grid=alone))
    same = {(replica['pressure_pa'], replica['repeat']): replica for replica in whole['replicas'][:4]}
    for replica in outputs['grids']['morse']['replicas']:
        assert {**replica, 'id': ''} == {**same[1e9, replica['repeat']], 'id': ''}
    one, other = (
        _trajectory(grid, name) for grid, name in ((whole, 't0_p1_r1'), (outputs['grids']['morse'], 't0_p0_r1'))
    )
    assert (one.positions == other.positions).all()


def _trajectory(grid: Any, name: str) -> Any:
    return grid.creator.base.links.get_incoming().nested()[name]


def test_several_potentials_start_from_one_packing(builder: Any) -> None:
    chosen = {'morse': potential('morse'), 'hard': potential('morse', depth=1.0)}
    outputs, node = run_get_node(builder(chosen, grid={**GRID, 'temperatures_k': [COLD], 'repeats': 1}))
    assert node.is_finished_ok
    assert set(outputs['grids']) == set(outputs['relaxed']) == {'morse', 'hard'}
    jobs = [job for job in node.called_descendants if isinstance(job, CalcJobNode)]
    assert sorted(job.process_label for job in jobs) == ['MdCalculation'] * 2 + ['RelaxCalculation'] * 2
    starts = {job.inputs.structures.start.uuid for job in jobs if job.process_label == 'RelaxCalculation'}
    assert starts == {outputs['start'].uuid}
    assert outputs['grids']['morse']['potential_sha256'] != outputs['grids']['hard']['potential_sha256']


def test_one_potential_that_cannot_be_asked_leaves_the_grids_of_others(builder: Any) -> None:
    chosen = {'flat': potential('morse', no_such_option=1.0), 'morse': potential('morse')}
    outputs, node = run_get_node(builder(chosen, grid={**GRID, 'temperatures_k': [COLD], 'repeats': 1}))
    assert node.exit_status == 321
    assert node.exit_message.startswith('flat: ')
    assert set(outputs['grids']) == {'morse'}
    assert outputs['grids']['morse']['n_survived'] == 2


def test_one_potential_that_puts_atoms_on_one_place_leaves_the_grids_of_others(builder: Any) -> None:
    """Atoms that only attract end on each other, and no potential can be asked about that."""
    chosen = {'glue': potential('morse', radius=0.1, alpha=1.0, depth=3.0), 'morse': potential('morse')}
    small = {**GRID, 'temperatures_k': [COLD], 'repeats': 1}
    outputs, node = run_get_node(builder(chosen, grid=small, relaxation={'max_steps': 100}))
    assert node.is_finished, node.exception
    assert node.exit_status == RobustnessWorkChain.exit_codes.ERROR_RELAXED_UNUSABLE.status == 508
    assert 'glue: ' in node.exit_message and 'on one place' in node.exit_message
    assert set(outputs['relaxed']) == {'glue', 'morse'}
    assert set(outputs['grids']) == set(outputs['results']) == {'morse'}
    assert outputs['grids']['morse']['n_survived'] == 2


def test_structure_instead_of_a_packing(engine_code: Any, computer: Any) -> None:
    builder = RobustnessWorkChain.get_builder_from_protocol(
        {'morse': {'code': engine_code, 'potential': potential('morse')}}, structure=fcc(),
        overrides={**{key: value for key, value in SMALL.items() if key != 'packing'}, 'grid': {**GRID, 'repeats': 1}},
        computer=computer, options={'processes': 1}, protocol='quick',
    )  # fmt: skip
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok
    assert 'start' not in outputs
    assert outputs['relaxed']['morse'].get_formula() == 'Li4'
