"""Melt-quenches before anything runs: numbers of the protocols, stages, snapshots, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida.orm import Dict

from aiida_litraj.calculations.functions.analyse_melt_quench import analyse_melt_quench, read_analysis, stages_of
from aiida_litraj.calculations.functions.extract_snapshots import choose, extract_snapshots, stage_at
from aiida_litraj.calculations.functions.plan_melt_quench import read_melt_quench, replica_of
from aiida_litraj.contract.trajectory import Header, RecordWriter
from aiida_litraj.data import MdTrajectoryData
from aiida_litraj.workflows.melt_quench import MeltQuenchWorkChain
from tests.fixtures.nodes import fcc, of_lithium_6, potential
from tests.fixtures.trajectories import trajectory

SCHEDULE = {
    'melt_temperature_k': 1500.0, 'end_temperature_k': 300.0, 'melt_ps': 1.0, 'quench_ps': 2.0, 'hold_ps': 1.0,
    'pressure_gpa': 0.0, 'seed': 1, 'n_snapshots': 4,
}  # fmt: skip


@pytest.fixture
def build(launcher_code: Any, computer: Any) -> Any:
    def make(overrides: Any = None, protocol: str = 'quick', **changes: Any) -> Any:
        given = {'code': launcher_code, 'potential': potential('morse'), 'structure': fcc(), **changes}
        return MeltQuenchWorkChain.get_builder_from_protocol(
            **given, protocol=protocol, overrides=overrides, computer=computer
        )

    return make


@pytest.mark.parametrize('protocol', MeltQuenchWorkChain.get_available_protocols())
def test_builder_of_a_protocol(protocol: str, build: Any, data_regression: Any) -> None:
    builder = build(protocol=protocol)
    parameters = builder.md.md.parameters
    assert {builder.schedule.label, builder.analysis.label, parameters.label} == {protocol}
    data_regression.check(
        {
            'schedule': builder.schedule.get_dict(),
            'analysis': builder.analysis.get_dict(),
            'parameters': parameters.get_dict(),
        }
    )


def test_replica_holds_ramps_and_holds() -> None:
    replica = replica_of(read_melt_quench(SCHEDULE))
    melt, quench, hold = replica['schedule']
    assert [segment['duration_fs'] for segment in (melt, quench, hold)] == [1000.0, 2000.0, 1000.0]
    assert (melt['temperature_k'], quench['temperature_k'], quench['temperature_end_k']) == (1500.0, 1500.0, 300.0)
    assert (hold['temperature_k'], hold['pressure_gpa'], replica['seed']) == (300.0, 0.0, 1)


def test_snapshots_are_at_even_times() -> None:
    plan = read_melt_quench(SCHEDULE)
    times = np.arange(0, 41) * 0.1
    assert choose(times, plan) == [10, 20, 30, 40]
    assert [stage_at(times[k], plan) for k in choose(times, plan)] == ['melt', 'quench', 'quench', 'glass']
    # One that died after 2.5 ps has those before, at the same times.
    assert choose(times[:26], plan) == [10, 20]
    with pytest.raises(ValueError, match='no snapshot was reached'):
        choose(times[:5], plan)


def test_snapshots_of_a_replica_are_of_one_trajectory(tmp_path: Any, aiida_profile: Any) -> None:
    """Called after what it is: the same way again has the same name, another one another."""
    names = []
    for seed in (1, 1, 2):
        ions = np.random.default_rng(seed).uniform(0.0, 9.0, size=(41, 2, 3))
        found = extract_snapshots(trajectory(tmp_path, ions).store(), Dict(SCHEDULE))
        assert found.n_frames == 4
        (name,) = set(found.base.attributes.get('trajectory_ids'))
        names.append(name)
    assert names[0] == names[1] != names[2]


def heated(tmp_path: Any, factors: tuple[float, float, float]) -> MdTrajectoryData:
    """As ``fading``, at the temperature of ``SCHEDULE`` times a factor in each of its stages."""
    tmp_path.mkdir()
    fading(tmp_path)
    header = Header('thermo', (3, 3), (True,) * 3)
    writer = RecordWriter(tmp_path / 'x.thermo', header)
    for step in range(41):
        target = 1500.0 if step <= 10 else 1500.0 - 60.0 * (step - 10) if step <= 30 else 300.0
        factor = factors[0] if step <= 10 else factors[1] if step <= 30 else factors[2]
        values = dict.fromkeys(header.dtype.names or (), 1.0) | {'target_temperature_k': target}
        writer.append({**values, 'step': step, 'time_fs': 100.0 * step, 'temperature_k': factor * target})
    return MdTrajectoryData.from_records(tmp_path / 'x40.frames', tmp_path / 'x.thermo')


def fading(tmp_path: Any, last_step: int = 40) -> MdTrajectoryData:
    """Two atoms 2 Ang apart until the middle of each stage of ``SCHEDULE``, 3 Ang after it; a frame each 100 fs."""
    writer = RecordWriter(tmp_path / f'x{last_step}.frames', Header('frames', (3, 3), (True,) * 3))
    for step in range(last_step + 1):
        settled = step in (*range(6, 11), *range(21, 31), *range(36, 41))
        positions = np.array([[0.0, 0.0, 0.0], [3.0 if settled else 2.0, 0.0, 0.0]])
        values = {'step': step, 'time_fs': 100.0 * step, 'positions': positions, 'cell': 10.0 * np.eye(3)}
        writer.append(values)
    return MdTrajectoryData.from_records(tmp_path / f'x{last_step}.frames')


def test_stages_are_averaged_over_their_last_part(tmp_path: Any) -> None:
    """Known: in the last half of each stage the only neighbour is at 3 Ang in every frame, before at 2 Ang."""
    plan = read_melt_quench(SCHEDULE)
    asked = {'max_distance_ang': 4.0, 'shell_ang': 0.1, 'cutoffs_ang': {'Li-Li': 2.5}}
    stages, whole = (
        stages_of(fading(tmp_path), plan, read_analysis({**asked, 'averaged_share': share})) for share in (0.5, 1.0)
    )
    assert [(stage.name, stage.n_frames) for stage in stages] == [('melt', 5), ('quench', 10), ('glass', 5)]
    for stage in stages:
        assert stage.coordination == {'Li-Li': {0: 1.0}}
        assert stage.distributions['Li', 'Li'].coordination(2.9) == 0.0
        assert stage.distributions['Li', 'Li'].coordination(3.2) == 1.0
    assert [stage.coordination['Li-Li'][1] for stage in whole] == [0.5, 0.5, 0.5]
    # One that died before the last part of the quench has the melt alone.
    died = stages_of(fading(tmp_path, 19), plan, read_analysis({**asked, 'averaged_share': 0.5}))
    assert [stage.name for stage in died] == ['melt']


def test_stage_that_misses_its_temperature_is_warned_of(tmp_path: Any) -> None:
    """Known: of the second half of a ramp from 1500 to 300 K the mean target, at steps of 60 K, is 570 K."""
    asked = {'max_distance_ang': 4.0, 'shell_ang': 0.1, 'cutoffs_ang': {}, 'averaged_share': 0.5}
    missed, held = (
        analyse_melt_quench.run(heated(tmp_path / name, factors), Dict(SCHEDULE), Dict(asked))['stages']
        for name, factors in (('missed', (1.19, 3.0, 0.7)), ('held', (1.1, 0.85, 1.0)))
    )
    assert [stage['target_temperature_k'] for stage in missed['stages']] == pytest.approx([1500.0, 570.0, 300.0])
    quench, glass = missed['warnings']
    assert quench.startswith('quench: the mean temperature is 1710 K, 570 K was asked for')
    assert glass.startswith('glass: the mean temperature is 210 K, 300 K was asked for')
    assert 'longer stages' in glass
    assert held['warnings'] == []


def test_trajectory_that_cannot_be_analysed_ends_with_its_reason(tmp_path: Any) -> None:
    """Of a cell that has collapsed to a point there are no neighbours to count, but the trajectory is still there."""
    writer = RecordWriter(tmp_path / 'x.frames', Header('frames', (3, 3), (True,) * 3))
    for step in range(41):
        writer.append({'step': step, 'time_fs': 100.0 * step, 'cell': 0.01 * np.eye(3)})
    asked = {'max_distance_ang': 4.0, 'shell_ang': 0.1, 'cutoffs_ang': {}, 'averaged_share': 0.5}
    trajectory = MdTrajectoryData.from_records(tmp_path / 'x.frames')
    _, node = analyse_melt_quench.run_get_node(trajectory, Dict(SCHEDULE), Dict(asked))
    assert node.exit_status == 510
    assert 'the stages cannot be analysed: a cell of 1e-06 Ang^3' in node.exit_message


@pytest.mark.parametrize(
    ('overrides', 'words'),
    [
        ({'schedule': {'melt_temperature_k': -1.0}}, ['schedule.melt_temperature_k = -1.0', 'greater than 0']),
        ({'schedule': {'end_temperature_k': 1600.0}}, ['end_temperature_k = 1600', 'nothing would be quenched']),
        ({'schedule': {'pressure_gpa': 1e9}}, ['schedule.pressure_gpa = 1000000000.0: ', '1e9 Pa is 1 GPa']),
        ({'schedule': {'quench_ps': 0.0}}, ['schedule.quench_ps = 0.0']),
        ({'schedule': {'n_snapshots': 61}}, ['schedule.n_snapshots = 61 of 60 frames']),
        (
            {'schedule': {'hold_ps': 0.006}},
            ['the stage glass takes 6 fs', 'the last 3 of them', 'frame_interval_fs = 4'],
        ),
        ({'schedule': {'melt_ps': 0.0803}}, ['schedule[0].duration_fs', 'no multiple of timestep_fs']),
        ({'dynamics': {'protocol': 'nve'}}, ["dynamics.ensemble = 'nve'", 'npt-isotropic']),
        ({'dynamics': {'initial_velocities': 'given'}}, ["dynamics.initial_velocities = 'given'", 'maxwell-boltzmann']),
        ({'dynamics': {'timestep_fs': 0.0}}, ['parameters.timestep_fs = 0.0']),
        ({'analysis': {'shell_ang': -0.1}}, ['analysis.shell_ang = -0.1']),
        ({'analysis': {'averaged_share': 0.0}}, ['analysis.averaged_share = 0.0', 'greater than 0']),
        ({'analysis': {'cutoffs_ang': {'Li': 3.0}}}, ['analysis.cutoffs_ang', "'Li' is not a pair of elements"]),
        ({'analysis': {'cutoffs_ang': {'Li-Xx': 3.0}}}, ['analysis.cutoffs_ang', "'Li-Xx' is not a pair of elements"]),
        (
            {'analysis': {'cutoffs_ang': {'Na-Li': 3.0}}},
            ['analysis.cutoffs_ang.Na-Li = 3: the structure is made of Li'],
        ),
        ({'analysis': {'max_distance_ang': 300.0}}, ['analysis.max_distance_ang = 300: ', 'take a shorter distance']),
        ({'analysis': {'cutoffs_ang': {'Li-Li': 300.0}}}, ['analysis.cutoffs_ang = 300: ']),
        ({'schedule': {'melting': 1.0}}, ['schedule.melting = 1.0 is not known']),
    ],
)
def test_bad_input_is_refused(overrides: dict[str, Any], words: list[str], build: Any, count_processes: Any) -> None:
    before = count_processes()
    with pytest.raises(ValueError) as refused:
        build(overrides)
    for word in words:
        assert word in str(refused.value)
    assert count_processes() == before


def test_isotopes_and_malformed_options_are_refused(build: Any) -> None:
    with pytest.raises(ValueError, match=r'^structure: the kind Li has a mass of 6\.015 u'):
        build(structure=of_lithium_6())
    with pytest.raises(ValueError, match=r"metadata\.options\.device = 'gpu'"):
        build(options={'device': 'gpu'})
