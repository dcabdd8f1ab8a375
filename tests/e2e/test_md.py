"""Dynamics as AiiDA processes with the real engine, in this process: cut off, killed, and yet one trajectory."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiida.common.links import LinkType
from aiida.engine import run_get_node
from aiida.manage import get_manager
from aiida.manage.caching import enable_caching
from aiida.orm import Bool, CalcJobNode, Dict, Int, QueryBuilder, RemoteData

from aiida_litraj.calculations.md import MdCalculation
from aiida_litraj.contract import files, unpack_arrays
from aiida_litraj.data import MdTrajectoryData
from aiida_litraj.workflows.md import MdBaseWorkChain
from tests.e2e.ender import Ender, written
from tests.fixtures.nodes import fcc, md_parameters, rattled, replica

CHECKPOINT_S = 0.1
TIMES = 2
LONG = {'duration_fs': 8_000.0, 'temperature_k': 300.0}
SHORT = {'duration_fs': 500.0, 'temperature_k': 600.0}
PATIENCE_S = 200
ENDS = ('positions', 'velocities', 'cell')
UNDER_WAY = written('long.npz')


def content(node: MdTrajectoryData) -> dict[str, bytes]:
    return {name: node.get_array(name).tobytes() for name in node.get_arraynames()}


def recorded(folder: Path, name: str) -> MdTrajectoryData:
    """The trajectory of a replica in the folder of a job that nobody disturbed."""
    arrays = unpack_arrays(folder / files.RESULT_ARRAYS)
    stem = folder / files.ITEMS / name
    return MdTrajectoryData.from_records(
        stem.with_suffix('.frames'), stem.with_suffix('.thermo'), {key: arrays[f'{name}/{key}'] for key in ENDS}
    )


def jobs_of(node: Any) -> list[CalcJobNode]:
    return sorted((child for child in node.called if isinstance(child, CalcJobNode)), key=lambda job: job.pk)


@pytest.fixture
def inputs(engine_code: Any, md_inputs: Any) -> Mapping[str, Any]:
    """Two replicas, of which one takes some seconds."""
    replicas = {'brief': replica('off', 2, SHORT), 'long': replica('fcc', 1, LONG)}
    made = md_inputs(replicas, {'fcc': fcc(), 'off': rattled()}, md_parameters('nvt-langevin'))
    made['metadata']['options']['checkpoint_seconds'] = CHECKPOINT_S
    return {**made, 'code': engine_code}


@pytest.fixture(scope='module')
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the folder of the unbroken run is kept."""
    return tmp_path_factory.mktemp('unbroken') / 'job'


@pytest.fixture
def folder(inputs: Any, unbroken: Any, kept: Path) -> Path:
    """The folder in which both replicas were run in one go; undisturbed."""
    if not kept.exists():
        shutil.copytree(unbroken(inputs, MdCalculation), kept)
    return kept


@pytest.fixture(autouse=True)
def no_folders_of_before() -> None:
    """What another test has left in its working folders is nothing to go on from."""
    for (remote,) in QueryBuilder().append(RemoteData).all():
        if not remote.is_cleaned:
            remote._clean()


@pytest.mark.storage
@pytest.mark.timeout(PATIENCE_S)
def test_killed_in_between_and_yet_one_trajectory(inputs: Any, folder: Path, ender: Ender) -> None:
    """Bit for bit, and each frame stored once: no job has left a node of what it did not finish."""
    ender.begin(UNDER_WAY, TIMES, signal.SIGKILL)
    result, node = run_get_node(MdBaseWorkChain, md=inputs)
    assert node.is_finished_ok, node.exit_message
    jobs = jobs_of(node)
    assert [job.exit_status for job in jobs] == [*[303] * TIMES, 0]
    for name, found in result['trajectories'].items():
        assert content(found) == content(recorded(folder, name))
    made = [name for job in jobs if 'trajectories' in job.outputs for name in job.outputs.trajectories]
    assert sorted(made) == ['brief', 'long']
    audit = result['results']['audit']
    assert audit['resumed_calls'] > 0
    assert (set(jobs[-1].inputs.replicas), set(jobs[-1].inputs.structures)) == ({'long'}, {'fcc'})


@pytest.mark.timeout(PATIENCE_S)
def test_told_to_end_and_yet_one_trajectory(inputs: Any, folder: Path, ender: Ender) -> None:
    ender.begin(UNDER_WAY, TIMES)
    result, node = run_get_node(MdBaseWorkChain, md=inputs)
    assert node.is_finished_ok, node.exit_message
    assert [job.exit_status for job in jobs_of(node)] == [*[400] * TIMES, 0]
    for name, found in result['trajectories'].items():
        assert content(found) == content(recorded(folder, name))


def run_and_play(process: Any) -> int:
    """Run a process to its end, letting it go on whenever it pauses; return how often it did."""
    loop, pauses = process.runner.loop, 0

    def look() -> None:
        nonlocal pauses
        if process.paused:
            pauses += 1
            process.play()
        if not process.has_terminated():
            loop.call_later(0.1, look)

    loop.call_soon(look)
    process.execute()
    return pauses


@pytest.mark.timeout(PATIENCE_S)
def test_paused_and_played_and_yet_one_trajectory(inputs: Any, folder: Path, ender: Ender) -> None:
    """Each job but the last is the last one that is allowed."""
    ender.begin(UNDER_WAY, TIMES)
    allowed = {'max_iterations': Int(1), 'pause_on_max_iterations': Bool(True)}
    process = get_manager().get_runner().instantiate_process(MdBaseWorkChain, md=inputs, **allowed)
    pauses = run_and_play(process)
    assert process.node.is_finished_ok, process.node.exit_message
    calls = process.node.base.links.get_outgoing(link_type=LinkType.CALL_CALC, node_class=CalcJobNode).all()
    assert len(calls) == pauses + 1 == TIMES + 1
    labels = [link.link_label for link in sorted(calls, key=lambda link: link.node.pk)]
    assert labels == [f'iteration_{number:02d}' for number in range(1, len(calls) + 1)]
    resumed = [job.inputs.parent_folder.creator.pk for job in jobs_of(process.node)[1:]]
    assert resumed == [job.pk for job in jobs_of(process.node)[:-1]]
    assert set(jobs_of(process.node)[-1].inputs.replicas) == {'long'}
    for name, found in process.outputs['trajectories'].items():
        assert content(found) == content(recorded(folder, name))


def test_chain_that_may_not_go_on_keeps_the_frames(inputs: Any, ender: Ender) -> None:
    """Told to end once there is a checkpoint, however fast the machine is."""
    ender.begin(UNDER_WAY, TIMES)
    result, node = run_get_node(MdBaseWorkChain, md=inputs, max_iterations=1)
    assert node.exit_status == 401
    assert result['trajectories']['long'].base.attributes.get('status') == 'unfinished'
    assert result['trajectories']['long'].n_frames > 1
    # and another chain goes on from there
    ender.over.set()
    parent = jobs_of(node)[0].outputs.remote_folder
    result, again = run_get_node(MdBaseWorkChain, md={**inputs, 'parent_folder': parent})
    assert again.is_finished_ok, again.exit_message
    assert result['results']['audit']['resumed_calls'] > 0


def test_same_replicas_come_from_the_cache(inputs: Any) -> None:
    """A job is taken from the cache whatever watched over it; the frames are those that are stored already."""
    inputs['replicas'].pop('long')
    with enable_caching():
        first, _ = run_get_node(MdBaseWorkChain, md=inputs)
        watched = {'hopeless': Dict({'entry_point': 'litraj.hopeless', 'kwargs': {'stalled_seconds': 60.0}})}
        second, node = run_get_node(MdBaseWorkChain, md={**inputs, 'monitors': watched})
    (job,) = jobs_of(node)
    assert job.base.caching.is_created_from_cache
    assert content(second['trajectories']['brief']) == content(first['trajectories']['brief'])


def test_velocities_of_one_trajectory_start_another(inputs: Any, unbroken: Any) -> None:
    """Without a thermostat two halves are the whole, to round-off: the end of the first is the start of the second."""
    half, whole = {**SHORT, 'duration_fs': 100.0}, {**SHORT, 'duration_fs': 200.0}
    parameters = md_parameters('nve', frame_dtype='float64')
    given = {**inputs, 'parameters': parameters}
    halves = {**given, 'replicas': {'brief': replica('off', 2, half)}}
    first, _ = run_get_node(MdCalculation, **halves)
    end = first['trajectories']['brief']
    second = {
        **given,
        'structures': {'off': end.end_structure()},
        'velocities': {'off': end},
        'replicas': {'brief': replica('off', 3, half)},
        'parameters': md_parameters('nve', frame_dtype='float64', initial_velocities='given'),
    }
    result, node = run_get_node(MdCalculation, **second)
    assert node.is_finished_ok, node.exit_message
    folder = unbroken({**given, 'replicas': {'brief': replica('off', 2, whole)}}, MdCalculation)
    expected = recorded(folder, 'brief')
    joined = result['trajectories']['brief']
    assert joined.energies[-1] == pytest.approx(expected.energies[-1], abs=1e-9)
    assert joined.kinetic_energies[-1] == pytest.approx(expected.kinetic_energies[-1], abs=1e-9)
