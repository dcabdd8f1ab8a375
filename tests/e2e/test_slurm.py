"""Chains on a real cluster, Slurm over ssh, on this machine: see docs/source/howto/testbed.md."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from aiida.engine import submit
from aiida.orm import CalcJobNode

from aiida_litraj.contract import files, unpack_arrays
from aiida_litraj.workflows.neb import NebBaseWorkChain
from tests.fixtures.nodes import neb_parameters, potential, vacancy_path
from tests.fixtures.testbed import change
from tests.testbed import cluster

SAME_EV = 1e-9
"""A job on the cluster has the numbers of the same job here, and a resumed one those of an unbroken one."""
PATIENCE_S = 280

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(2 * PATIENCE_S)]


def jobs_of(node: Any) -> list[CalcJobNode]:
    return sorted((child for child in node.called if isinstance(child, CalcJobNode)), key=lambda job: job.pk)


def accounting_of(job: CalcJobNode) -> dict[str, str]:
    """Return what Slurm's accounting has told AiiDA of a job."""
    header, values = job.get_detailed_job_info()['stdout'].splitlines()[:2]
    return dict(zip(header.split('|'), values.split('|')))


def test_jobs_share_the_gpus_and_are_accounted_for(testbed: Any) -> None:
    """Three jobs for two GPUs: two run at once, each on one of its own, and the third waits."""
    work = testbed.description['work_dir']
    assert testbed.on_it('sinfo --noheader --format="%P %D %t %G"') == 'gpu* 1 idle gpu:2'
    meet = 'echo "$CUDA_VISIBLE_DEVICES"; touch $SLURM_JOB_ID.here; until [ -e go ]; do sleep 0.1; done'
    submitted = f"cd {work} && sbatch --parsable --gres=gpu:1 --output=%j.out --wrap='{meet}'"
    jobs = [testbed.on_it(submitted) for _ in range(3)]
    wait_until(lambda: len(list(Path(work).glob('*.here'))) == 2)
    states = dict(line.split() for line in testbed.on_it('squeue --noheader --format="%i %T"').splitlines())
    assert states == {jobs[0]: 'RUNNING', jobs[1]: 'RUNNING', jobs[2]: 'PENDING'}
    assert {Path(work, f'{job}.out').read_text().strip() for job in jobs[:2]} == {'0', '1'}
    Path(work, 'go').touch()
    wait_until(lambda: not testbed.on_it('squeue --noheader'))
    ask = f'sacct --allocations --noheader --parsable2 --format=JobID,State,AllocTRES --jobs={",".join(jobs)}'
    lines = [line.split('|') for line in testbed.on_it(ask).splitlines()]
    assert [(job, state) for job, state, _ in lines] == [(job, 'COMPLETED') for job in jobs]
    assert all('gres/gpu=1' in resources.split(',') for *_, resources in lines)


def test_chain_goes_on_from_a_job_that_slurm_has_ended(
    testbed: Any,
    on_the_cluster: Any,
    started_daemon_client: Any,
    engine_code: Any,
    neb_inputs: Any,
    unbroken: Any,
) -> None:
    """The engine hangs halfway, as on a node that has stalled, until its time is over.

    A walltime has whole minutes; so as not to wait for the first of them to pass, the job's end is set to now. Slurm
    looks for jobs beyond their limit every 30 s.
    """
    paths = {f'hop_{site}': vacancy_path(site=site) for site in (1, 2, 3)}
    inputs = {**neb_inputs(paths, potential(), neb_parameters()), 'code': engine_code}
    reference = unpack_arrays(unbroken(inputs) / files.RESULT_ARRAYS)
    metadata = on_the_cluster(max_wallclock_seconds=2 * PATIENCE_S)
    node = submit(NebBaseWorkChain, neb={**inputs, 'metadata': metadata})
    wait_until(lambda: halted_halfway(testbed.folder / 'work'))
    (job,) = jobs_of(node)
    testbed.on_it(f'scontrol update JobId={job.get_job_id()} EndTime=now+1')
    wait_until(lambda: node.is_terminated, PATIENCE_S)
    assert node.is_finished_ok, (node.exit_message, [job.exit_message for job in jobs_of(node)])
    cut, last = jobs_of(node)
    assert (cut.exit_status, last.exit_status) == (120, 0)
    assert accounting_of(cut)['State'] == 'TIMEOUT'
    for name in paths:
        np.testing.assert_allclose(node.outputs.paths[name].energies, reference[f'{name}/energies'], atol=SAME_EV)
    assert set(last.inputs.paths) < set(paths)
    assert set(cut.outputs.paths) == set(paths) - set(last.inputs.paths)


def halted_halfway(work: Path) -> bool:
    """Halt the engine that runs below a folder, once it has finished its first item; return whether that was done."""
    found = False
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            place = Path(process.cwd())
            engine = 'aiida_litraj.engine.cli' in process.cmdline() and work in place.parents
            if engine and any((place / files.ITEMS).glob('*.json')):
                process.send_signal(signal.SIGSTOP)
                found = True
    return found


def wait_until(true: Any, seconds: float = 60.0) -> None:
    """Wait for a condition, which must come true in time."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_down_leaves_nothing_of_a_broken_cluster(testbed: Any, tmp_path: Path) -> None:
    """Jobs that run, one with a child of its own session, and a controller that was killed."""
    shared = Path('/run/sshd').exists()
    first = json.loads(change('up', tmp_path))
    assert json.loads(change('up', tmp_path)) == first
    bed = type(testbed)(first, tmp_path)
    bed.on_it(f"cd {first['work_dir']} && sbatch --wrap='setsid sleep 1000 & touch here; sleep 1000'")
    wait_until(Path(first['work_dir'], 'here').exists)
    assert len(processes_of(tmp_path)) > len(first['pids'])
    os.kill(first['pids']['slurmctld'], signal.SIGKILL)
    change('down', tmp_path)
    assert not processes_of(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ['log'], list(tmp_path.rglob('*'))
    assert Path('/run/sshd').exists() == shared
    change('down', tmp_path)
    # The other cluster on this machine has not noticed.
    assert testbed.on_it('sinfo --noheader --format=%t') == 'idle'


@pytest.mark.usefixtures('testbed')
def test_cluster_that_did_not_come_up_is_taken_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The third of six daemons ends at once; the database, which is not asked to, runs on until then."""
    commands = cluster.command_of
    broken = 'slurmdbd'
    monkeypatch.setattr(cluster, 'command_of', lambda it, name: ['false'] if name == broken else commands(it, name))
    with pytest.raises(cluster.TestbedError, match=f'{broken} has ended at once') as caught:
        cluster.up(tmp_path)
    assert caught.value.code == cluster.FAILED
    assert processes_of(tmp_path)
    change('down', tmp_path)
    assert not processes_of(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ['log']


def processes_of(folder: Path) -> list[psutil.Process]:
    """Return the processes that work in a folder, or have it in their environment or command line."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = [*process.cmdline(), *process.environ().values(), process.cwd()]
            if process.pid != os.getpid() and any(str(folder) in word for word in words):
                found.append(process)
    return found
