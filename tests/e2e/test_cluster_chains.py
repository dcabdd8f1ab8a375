"""Each kind of chain on a real cluster: from the daemon over ssh and Slurm to a job with a GPU, and back.

``./tests/run.sh`` has these on both databases and both brokers, by the options ``--storage`` and ``--broker``.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida.engine import CalcJob
from aiida.manage import get_manager
from aiida.orm import CalcJobNode, InstalledCode
from ase import Atoms

from aiida_litraj.calculations.md import MdCalculation
from aiida_litraj.calculations.neb import NebCalculation
from aiida_litraj.calculations.train import TrainCalculation
from aiida_litraj.contract import files, unpack_arrays
from aiida_litraj.contract.train import CURVE, TrainResult
from aiida_litraj.workflows.label import LabelWorkChain
from aiida_litraj.workflows.md import MdBaseWorkChain
from aiida_litraj.workflows.neb import NebBaseWorkChain
from aiida_litraj.workflows.train import TrainBaseWorkChain
from tests.e2e.test_label_gpaw import BEFORE_GPAW, GPAW, written
from tests.e2e.test_md import content, recorded
from tests.e2e.test_slurm import PATIENCE_S, SAME_EV, accounting_of, jobs_of
from tests.fixtures.dft import frames_of, needs_gpaw
from tests.fixtures.nodes import fcc, md_parameters, neb_parameters, potential, rattled, replica, vacancy_path
from tests.fixtures.training import labelled, train_parameters

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slurm, pytest.mark.timeout(2 * PATIENCE_S)]

SEGMENT = {'duration_fs': 500.0, 'temperature_k': 600.0}
LEARNING = {'batch_size': 4, 'epochs': 4, 'learning_rate': 0.05, 'architecture': {'cutoff_ang': 6.0}}
LEVEL = {'kpoint_mesh': [1, 1, 1], 'cutoff_ev': 250.0}
MEASURED = CURVE.index('seconds')
"""The one column of a learning curve that differs from run to run."""


@pytest.fixture
def without_aiida(testbed: Any, prepare: Callable[..., Any], tmp_path: Path) -> Callable[..., Path]:
    """``without_aiida(process_class, inputs)`` is a folder in which the engine has run a job, after a login over ssh.

    There and not here: BLAS takes other kernels by variables that a login need not have, and rounds otherwise.
    """

    def make(process_class: type[CalcJob], inputs: Mapping[str, Any]) -> Path:
        _, made = prepare(process_class, inputs)
        folder = tmp_path / 'without_aiida'
        shutil.copytree(made, folder)
        get_manager().reset_runner()  # it was made without a broker, and could not submit
        engine = f'{shlex.quote(sys.executable)} -m aiida_litraj.engine.cli run {files.JOB}'
        testbed.on_it(f'cd {folder} && PYTHONPATH={ROOT} OMP_NUM_THREADS=1 {engine}')
        return folder

    return make


@pytest.fixture(autouse=True)
def profile_is_what_was_asked_for(aiida_profile: Any, request: pytest.FixtureRequest) -> None:
    """Else all of this would prove nothing of it."""
    storage = {'sqlite': 'core.sqlite_dos', 'postgresql': 'core.psql_dos'}[request.config.getoption('--storage')]
    broker = f'core.{request.config.getoption("--broker")}'
    assert (aiida_profile.storage_backend, aiida_profile.process_control_backend) == (storage, broker)


def has_run_on_a_gpu(job: CalcJobNode) -> None:
    """Let a job have been brought there by ssh, and given a GPU by Slurm, whose accounting has it as well ended."""
    assert (job.computer.transport_type, job.computer.scheduler_type) == ('core.ssh_async', 'core.slurm')
    assert job.exit_status == 0
    told = accounting_of(job)
    assert (told['JobID'], told['State'], told['ExitCode']) == (job.get_job_id(), 'COMPLETED', '0:0')
    assert 'gres/gpu=1' in told['AllocTRES'].split(',')


def test_neb(on_the_cluster: Any, submit_and_await: Any, engine_code: Any, neb_inputs: Any, without_aiida: Any) -> None:
    inputs = {**neb_inputs({'hop': vacancy_path()}, potential(), neb_parameters()), 'code': engine_code}
    reference = unpack_arrays(without_aiida(NebCalculation, inputs) / files.RESULT_ARRAYS)['hop/energies']
    assert np.ptp(reference) > 0.1
    node = submit_and_await(NebBaseWorkChain, neb={**inputs, 'metadata': on_the_cluster()}, timeout=PATIENCE_S)
    assert node.exit_status == 0, node.exit_message
    np.testing.assert_allclose(node.outputs.paths['hop'].energies, reference, rtol=0, atol=SAME_EV)
    (job,) = jobs_of(node)
    has_run_on_a_gpu(job)


def test_md(on_the_cluster: Any, submit_and_await: Any, engine_code: Any, md_inputs: Any, without_aiida: Any) -> None:
    """Two trajectories that are, bit for bit, those of the engine without AiiDA."""
    replicas = {'cold': replica('fcc', 1), 'hot': replica('off', 2, SEGMENT)}
    made = md_inputs(replicas, {'fcc': fcc(), 'off': rattled()}, md_parameters('nvt-langevin'))
    inputs = {**made, 'code': engine_code}
    folder = without_aiida(MdCalculation, inputs)
    node = submit_and_await(MdBaseWorkChain, md={**inputs, 'metadata': on_the_cluster()}, timeout=PATIENCE_S)
    assert node.exit_status == 0, node.exit_message
    assert set(node.outputs.trajectories) == set(replicas)
    for name, found in node.outputs.trajectories.items():
        assert content(found) == content(recorded(folder, name))
    assert node.outputs.trajectories['hot'].energies.std() > 0.01
    (job,) = jobs_of(node)
    has_run_on_a_gpu(job)


def test_training(
    on_the_cluster: Any, submit_and_await: Any, engine_code: Any, train_inputs: Any, without_aiida: Any
) -> None:
    """The file of the potential is, byte for byte, that of the engine without AiiDA."""
    sets = {'train': labelled(8, seed=2), 'valid': labelled(3, seed=3)}
    inputs = {**train_inputs(parameters=train_parameters(**LEARNING), **sets), 'code': engine_code}
    folder = without_aiida(TrainCalculation, inputs)
    (item,) = TrainResult.model_validate_json((folder / files.RESULT).read_bytes()).items
    curve = unpack_arrays(folder / files.RESULT_ARRAYS)['a/curve']
    node = submit_and_await(TrainBaseWorkChain, train={**inputs, 'metadata': on_the_cluster()}, timeout=PATIENCE_S)
    assert node.exit_status == 0, node.exit_message
    assert node.outputs.potentials['a'].sha256 == item.best_sha256
    found = np.stack([node.outputs.curves['a'].get_array(name) for name in CURVE], axis=1)
    np.testing.assert_array_equal(*(np.delete(each, MEASURED, axis=1) for each in (found, curve)))
    forces = found[:, CURVE.index('valid_force_mev_per_ang')]
    assert forces[-1] < 0.9 * forces[0], 'nothing was learnt'
    (job,) = jobs_of(node)
    has_run_on_a_gpu(job)


@needs_gpaw
def test_labels(on_the_cluster: Any, submit_and_await: Any, cluster_computer: Any, tmp_path: Path) -> None:
    """Of GPAW, the real one: those of its own script run here by hand. Two at once, as there are GPUs."""
    code = InstalledCode(
        label='gpaw', computer=cluster_computer, filepath_executable=GPAW, default_calc_job_plugin='ase.ase',
        with_mpi=False, prepend_text=BEFORE_GPAW,
    ).store()  # fmt: skip
    options = on_the_cluster()['options']
    asked = {key: options[key] for key in ('queue_name', 'custom_scheduler_commands')}
    images = [
        Atoms('He', cell=[4.0] * 3, pbc=True),
        Atoms('H2', [[0.0] * 3, [0.0, 0.0, 0.75]], cell=[4.0] * 3, pbc=True),
    ]
    node = submit_and_await(
        LabelWorkChain.get_builder_from_protocol(
            code, frames_of(*images), protocol='fast', overrides={'level': LEVEL}, options=asked, max_in_flight=2
        ),
        timeout=PATIENCE_S,
    )
    assert node.exit_status == 0, node.exit_message
    jobs = jobs_of(node)
    assert len(jobs) == len(images)
    for index, job in enumerate(jobs):
        has_run_on_a_gpu(job)
        expected = by_hand(job, tmp_path / str(index))
        frame = node.outputs.labels[f'c{index:05d}'].frames
        assert frame.energies[0] == pytest.approx(expected['potential_energy'], rel=0, abs=SAME_EV)
        np.testing.assert_allclose(frame.forces, expected['forces'], rtol=0, atol=SAME_EV)
        # What the node holds is to the last bit what the job has written.
        assert frame.energies[0] == written(job)['potential_energy']
    bond = node.outputs.labels['c00001'].frames.forces[1] - node.outputs.labels['c00001'].frames.forces[0]
    assert abs(bond[2]) > 10 * abs(bond[:2]).max(), 'the molecule is pulled along its bond alone'


def by_hand(job: CalcJobNode, folder: Path) -> dict[str, Any]:
    """Return what the script of a job says that is run here, without AiiDA and Slurm."""
    job.base.repository.copy_tree(folder)
    command = job.base.repository.get_object_content('_aiidasubmit.sh').splitlines()[-1]
    assert GPAW in command
    shutil.rmtree(folder / '.aiida')
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    subprocess.run(command, shell=True, cwd=folder, env=environment, check=True, capture_output=True)
    found: dict[str, Any] = json.loads((folder / 'results.json').read_text(encoding='utf-8'))
    return found
