"""From a crystal to its conductivity: builders, refusals, and what the chain makes of children that end badly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida.common.links import LinkType
from aiida.engine import ProcessState
from aiida.orm import Dict, StructureData, WorkChainNode

from aiida_litraj.analysis.conductivity import name_of
from aiida_litraj.data import PotentialData
from aiida_litraj.workflows.conductivity import ConductivityWorkChain
from aiida_litraj.workflows.md import MdBaseWorkChain, MdPackedWorkChain
from tests.fixtures.nodes import flat
from tests.fixtures.trajectories import trajectory
from tests.fixtures.walks import hopping

TWO = [700.0, 900.0]


def conductor(lithium: str = 'Li', pbc: tuple[bool, bool, bool] = (True, True, True)) -> StructureData:
    """Chlorine on a simple cubic lattice, lithium in half its centres: where the toy conductor has them at rest."""
    crystal = StructureData(cell=6.0 * np.eye(3), pbc=pbc)
    for site in np.ndindex(2, 2, 2):
        crystal.append_atom(position=tuple(3.0 * np.array(site)), symbols='Cl')
        if sum(site) % 2:
            crystal.append_atom(position=tuple(3.0 * np.array(site) + 1.5), symbols=lithium)
    return crystal


def sites(**facts: Any) -> PotentialData:
    return PotentialData.packaged('toy', 'site_lattice', **facts)


def changes(**settings: Any) -> dict[str, Any]:
    return {'settings': {'temperatures_k': TWO, 'repeats': 2, **settings}}


@pytest.mark.parametrize('protocol', ConductivityWorkChain.get_available_protocols())
def test_builder_of_a_protocol(protocol: str, launcher_code: Any, computer: Any, data_regression: Any) -> None:
    builder = ConductivityWorkChain.get_builder_from_protocol(
        launcher_code, sites(), conductor(), protocol, computer=computer, options={'device': 'cpu'}
    )
    assert builder.settings.label == protocol
    for stage in (builder.npt, builder.nvt):
        assert stage.md.code.uuid == launcher_code.uuid
        assert stage.md.metadata.computer.uuid == computer.uuid
        assert stage.md.metadata.options['device'] == 'cpu'
        assert list(stage.md.monitors) == ['hopeless']
    data_regression.check(
        {
            'settings': builder.settings.get_dict(),
            'npt': builder.npt.md.parameters.get_dict(),
            'nvt': builder.nvt.md.parameters.get_dict(),
        }
    )


def test_protocol_of_the_paper_has_what_is_known_of_it() -> None:
    values = ConductivityWorkChain.get_protocol_inputs('lips25-2025')['settings']
    assert (values['mobile_element'], values['repeats']) == ('Li', 3)


def test_integrator_can_be_changed_as_a_whole_or_by_the_number(launcher_code: Any) -> None:
    builder = ConductivityWorkChain.get_builder_from_protocol(
        launcher_code,
        sites(),
        conductor(),
        overrides={'nvt': {'protocol': 'nvt-langevin', 'parameters': {'timestep_fs': 1.0}}},
    )
    parameters = builder.nvt.md.parameters
    assert parameters.label == 'nvt-langevin'
    assert (parameters['thermostat']['kind'], parameters['timestep_fs']) == ('langevin', 1.0)
    assert builder.npt.md.parameters['timestep_fs'] == 2.0


@pytest.mark.parametrize(
    ('overrides', 'message'),
    [
        (changes(temperatures_k=[]), r'settings.temperatures_k = \[\]: give at least one temperature'),
        (changes(temperatures_k=[600.0, -5.0]), r'settings.temperatures_k.1 = -5.0: .* greater than 0'),
        (changes(mobile_element='Na'), "settings.mobile_element = 'Na': there is none in Li4Cl8"),
        (changes(mobile_element='Xx'), "settings.mobile_element = 'Xx' is no element"),
        (changes(repeats=0), 'settings.repeats = 0'),
        (changes(min_image_distance_ang=4000.0), r'settings.min_image_distance_ang = 4000: the supercell would have'),
        (changes(production={'duration_ps': 6.0}), 'settings.production.duration_ps = 6 is shorter than the window'),
        (changes(production={'duration_ps': 3.0}), 'production.discard_ps = 5 leaves nothing of 3 ps'),
        (changes(production={'duration_ps': 200.001}), r'duration_ps, 200.001 ps, is 200001 fs, no multiple'),
        (changes(repetas=3), 'settings.repetas = 3 is not known, but repeats is'),
        ({'nvt': {'parameters': {'timestep_fs': 0.0}}}, 'nvt.parameters.timestep_fs = 0.0'),
        ({'nvt': {'parameters': {'ensemble': 'nvp'}}}, 'nvt.parameters.ensemble'),
        ({'nvt': {'protocol': 'npt'}}, "nvt.parameters.ensemble = 'npt': this stage needs nvt"),
        (
            {'npt': {'protocol': 'nve', 'parameters': {'barostat': {'tau_fs': 200.0}}}},
            "^npt.parameters.ensemble = 'nve': this stage needs npt$",
        ),
        (
            {'nvt': {'parameters': {'timestep_fs': 50.0}}},
            '^nvt.parameters: thermostat.tau_fs is 100, less than 10 steps',
        ),
        ({'npt': {'protocl': 'npt'}}, 'override npt.protocl is not known'),
        ({'setings': {}}, "override 'setings'"),
        ({'npt': {'parameters': {'initial_velocities': 'given'}}}, 'npt.parameters.initial_velocities = .given.'),
        ({'nvt': {'parameters': {'initial_velocities': 'given'}}}, 'nvt.parameters.initial_velocities = .given.'),
        ({'npt': {'parameters': {'frame_interval_fs': 2000.0}}}, 'settings.equilibration.duration_ps = 20 is shorter'),
        (changes(analysis={'window_factor': 2000.0}), '1951 frames are left after 5 ps, .* and 4001 are needed'),
    ],
)
def test_bad_numbers_are_refused(
    overrides: Mapping[str, Any], message: str, launcher_code: Any, count_processes: Any
) -> None:
    before = count_processes()
    with pytest.raises(ValueError, match=message):
        ConductivityWorkChain.get_builder_from_protocol(launcher_code, sites(), conductor(), overrides=overrides)
    assert count_processes() == before


def test_structures_and_potentials_that_do_not_fit_are_refused(launcher_code: Any) -> None:
    build = ConductivityWorkChain.get_builder_from_protocol
    with pytest.raises(ValueError, match="mobile_element = 'Li': there is none in Na4Cl8"):
        build(launcher_code, sites(), conductor(lithium='Na'))
    with pytest.raises(ValueError, match='periodic in 2 directions only'):
        build(launcher_code, sites(), conductor(pbc=(True, True, False)))
    with pytest.raises(ValueError, match='does not cover Cl'):
        build(launcher_code, sites(elements=['Li', 'S']), conductor())
    with pytest.raises(ValueError, match=r'repeats after 6.00 Ang, within the cutoff of the potential \(7 Ang\)'):
        build(launcher_code, sites(cutoff_ang=7.0), conductor(), overrides=changes(min_image_distance_ang=5.0))


def test_isotopes_are_refused_not_turned_into_the_standard_mass(launcher_code: Any) -> None:
    crystal = conductor()
    heavy = StructureData(cell=crystal.cell)
    for site in crystal.sites:
        symbol = crystal.get_kind(site.kind_name).symbol
        heavy.append_atom(position=site.position, symbols=symbol, mass=6.015 if symbol == 'Li' else 35.45)
    with pytest.raises(ValueError, match=r'structure: the kind Li has a mass of 6.015 u, Li has 6.9.*isotopes'):
        ConductivityWorkChain.get_builder_from_protocol(launcher_code, sites(), heavy)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'devcie': 'cpu'}, "options.devcie = 'cpu' is not known, but device is"),
        ({'processes': 0}, 'npt.md.*processes'),
    ],
)
def test_jobs_that_cannot_be_are_refused(
    options: dict[str, Any], message: str, launcher_code: Any, computer: Any
) -> None:
    build = ConductivityWorkChain.get_builder_from_protocol
    with pytest.raises(ValueError, match=message):
        build(launcher_code, sites(), conductor(), options=options, computer=computer)


def test_inputs_that_come_without_a_protocol_are_judged_too(instantiate: Any, conductivity_inputs: Any) -> None:
    inputs = conductivity_inputs()
    inputs['structure'] = conductor(lithium='Na')
    with pytest.raises(ValueError, match='there is none in Na4Cl8'):
        instantiate(ConductivityWorkChain, inputs)


@pytest.fixture
def conductivity_inputs(launcher_code: Any, computer: Any) -> Any:
    """Return a function that makes the inputs of the chain."""

    def make(**settings: Any) -> dict[str, Any]:
        builder = ConductivityWorkChain.get_builder_from_protocol(
            launcher_code, sites(), conductor(), 'quick', overrides=changes(**settings), computer=computer
        )
        return dict(builder._inputs(prune=True))

    return make


class Ended:
    """A faked restarting chain of dynamics."""

    def __init__(self, ended: int | ProcessState, outputs: dict[str, Any]) -> None:
        self.node = WorkChainNode(process_type='aiida.workflows:litraj.md.base')
        self.node.set_process_label('MdBaseWorkChain')
        self.node.store()
        for label, value in flat(outputs):
            value.store()
            value.base.links.add_incoming(self.node, link_type=LinkType.RETURN, link_label=label)
        if isinstance(ended, ProcessState):
            self.node.set_process_state(ended)
        else:
            self.node.set_process_state(ProcessState.FINISHED)
            self.node.set_exit_status(ended)
            self.node.set_exit_message(f'message {ended}')


def account(names: Any, died: tuple[str, ...] = ()) -> Dict:
    items = {
        name: {'status': 'failed' if name in died else 'finished', 'reason': 'it died' if name in died else None}
        for name in names
    }
    return Dict({'items': items, 'audit': None})


def runs(folder: Path, *names: str) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    return {name: trajectory(folder, hopping(generator, 400, 4, 0.5, 3.0)) for name in names}


EVERY = tuple(name_of(temperature, repeat) for temperature in TWO for repeat in (1, 2))


def test_runs_of_a_stage_are_shared_out_if_asked_for(
    launcher_code: Any, computer: Any, instantiate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(packing: Any) -> Any:
        return ConductivityWorkChain.get_builder_from_protocol(
            launcher_code, sites(), conductor(), 'quick', changes(), computer=computer, packing=packing
        )

    with pytest.raises(ValueError, match=r'npt\.packing\.max_jobs = 0'):
        build({'max_jobs': 0})
    submitted: list[Any] = []

    def submit(chain: Any, **inputs: Any) -> Any:
        instantiate(chain, {**inputs, 'metadata': {}})  # which it takes
        submitted.append((chain, inputs['packing'].get_dict()))
        return Ended(0, {}).node

    made = instantiate(ConductivityWorkChain, dict(build({'max_jobs': 2})._inputs(prune=True)))
    monkeypatch.setattr(made, 'submit', submit)
    made.plan()
    made.equilibrate()
    assert submitted == [(MdPackedWorkChain, {'max_jobs': 2})]


@pytest.fixture
def process(instantiate: Any, conductivity_inputs: Any, tmp_path: Path) -> Any:
    """The chain, planned, with the first stage at its end."""
    made = instantiate(ConductivityWorkChain, conductivity_inputs())
    made.plan()
    made.ctx.npt = Ended(0, {'results': account(EVERY), 'trajectories': runs(tmp_path, *EVERY)}).node
    return made


def test_plan_and_first_job(process: Any, monkeypatch: Any) -> None:
    assert process.outputs['supercell'].get_formula() == 'Cl8Li4'
    submitted: dict[str, Any] = {}
    monkeypatch.setattr(
        process, 'submit', lambda chain, **inputs: submitted.update(chain=chain, **inputs) or process.ctx.npt
    )
    process.equilibrate()
    assert submitted['chain'] is MdBaseWorkChain
    assert set(submitted['md'].replicas) == set(EVERY)
    assert submitted['md'].structures == {'supercell': process.outputs['supercell']}
    assert submitted['md'].parameters['ensemble'] == 'npt'
    assert submitted['metadata'].call_link_label == 'npt'


def test_second_job_has_the_repeats_in_the_mean_cells(process: Any, monkeypatch: Any) -> None:
    assert process.take_cells() is None
    submitted: dict[str, Any] = {}
    monkeypatch.setattr(process, 'submit', lambda chain, **inputs: submitted.update(inputs) or process.ctx.npt)
    process.follow()
    assert set(submitted['md'].replicas) == set(EVERY)
    assert set(submitted['md'].structures) == set(process.outputs['cells']) == set(EVERY)
    assert {node['structure'] for node in submitted['md'].replicas.values()} == set(EVERY)
    assert submitted['md'].parameters['ensemble'] == 'nvt'
    assert all(node.creator is not None for node in submitted['md'].replicas.values())


def test_a_replica_that_died_does_not_fail_the_chain(process: Any, tmp_path: Path) -> None:
    process.take_cells()
    followed = {'results': account(EVERY, died=('T900_r2',)), 'trajectories': runs(tmp_path, *EVERY)}
    process.ctx.nvt = Ended(501, followed).node
    assert process.analyse() is None
    found = process.outputs['conductivity']
    assert found['n_runs'] == 3
    assert 'T900_r2: left out: it died' in found['warnings']
    assert found['sigma_298_s_per_cm'] is not None
    assert set(process.outputs['trajectories']) == set(EVERY)


def test_a_temperature_that_melted_away_is_left_out(process: Any, tmp_path: Path) -> None:
    first = {'results': account(EVERY, died=EVERY[2:]), 'trajectories': runs(tmp_path, *EVERY)}
    process.ctx.npt = Ended(501, first).node
    assert process.take_cells() is None
    assert set(process.ctx.cells) == {'T700_r1', 'T700_r2'}
    assert set(process.ctx.replicas) == {'T700_r1', 'T700_r2'}
    followed = {'results': account(EVERY[:2]), 'trajectories': runs(tmp_path, *EVERY[:2])}
    process.ctx.nvt = Ended(0, followed).node
    assert process.analyse() is None
    found = process.outputs['conductivity']
    assert found['sigma_298_s_per_cm'] is None
    assert any(warning.startswith('900 K: left out') for warning in found['warnings'])


def test_what_was_cut_off_is_analysed_and_the_exit_code_handed_on(process: Any, tmp_path: Path) -> None:
    process.take_cells()
    process.ctx.nvt = Ended(400, {'results': account(EVERY), 'trajectories': runs(tmp_path, *EVERY)}).node
    ended = process.analyse()
    assert (ended.status, ended.message) == (400, 'message 400')
    assert 'conductivity' in process.outputs


def test_no_cell_is_taken_while_a_run_at_constant_pressure_is_cut_off(process: Any, tmp_path: Path) -> None:
    """The mean cell is that of all repeats: with the missing ones it would be another, and all that follows too."""
    results = account(EVERY).get_dict()
    results['items'][EVERY[1]] |= {'status': 'unfinished', 'converged': False, 'reason': 'cut off by max_seconds'}
    left = [name for name in EVERY if name != EVERY[1]]
    process.ctx.npt = Ended(401, {'results': Dict(results), 'trajectories': runs(tmp_path, *left)}).node
    assert process.take_cells().status == 401
    assert 'cells' not in process.outputs


@pytest.mark.parametrize('stage', ['npt', 'nvt'])
def test_chain_without_any_trajectory_hands_the_code_on(stage: str, process: Any) -> None:
    process.take_cells()
    handed_on = {320: 320, 401: 401, 510: 510, ProcessState.EXCEPTED: 301, ProcessState.KILLED: 302}
    for ended, expected in handed_on.items():
        process.ctx[stage] = Ended(ended, {}).node
        found = process.take_cells() if stage == 'npt' else process.analyse()
        assert found.status == expected, ended


def test_first_stage_in_which_all_died_ends_the_chain(process: Any, tmp_path: Path) -> None:
    every = {'results': account(EVERY, died=EVERY), 'trajectories': runs(tmp_path, *EVERY)}
    process.ctx.npt = Ended(510, every).node
    assert process.take_cells().status == 510
