"""What launches that were killed leave behind: who is said to be gone, and what becomes of chains and their jobs."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiida.common.links import LinkType
from aiida.engine import ProcessState
from aiida.orm import CalcJobNode, Computer, WorkChainNode, load_node
from click.testing import CliRunner

from aiida_litraj.cli import left_behind, main
from aiida_litraj.cli.foreground import tidy_up
from aiida_litraj.cli.left_behind import RUN_BY, end_left_behind, is_left_behind, sign
from aiida_litraj.cli.processes import LAUNCH_AGAIN

pytestmark = [pytest.mark.usefixtures('aiida_profile_clean'), pytest.mark.timeout(120)]


def chain_with_jobs(*jobs: tuple[Computer, int, Path]) -> tuple[WorkChainNode, list[CalcJobNode]]:
    """Make a chain that waits for jobs, each with its computer, its number there and its folder."""
    chain = WorkChainNode(process_type='aiida.workflows:litraj.barrier')
    chain.set_process_state(ProcessState.WAITING)
    chain.store()
    made = []
    for number, (computer, job_id, folder) in enumerate(jobs):
        job = CalcJobNode(computer=computer, process_type='aiida.calculations:litraj.neb')
        job.base.links.add_incoming(chain, LinkType.CALL_CALC, f'neb_{number}')
        job.set_process_state(ProcessState.WAITING)
        job.store()
        job.set_job_id(str(job_id))
        job.set_remote_workdir(str(folder))
        made.append(job)
    sign(chain)
    return chain, made


def lose_program(chain: WorkChainNode) -> None:
    """Have a chain run by a process that has ended."""
    done = subprocess.Popen(['true'])
    done.wait()
    chain.base.extras.set(RUN_BY, {**chain.base.extras.get(RUN_BY), 'pid': done.pid})


def states(*nodes: Any) -> list[str]:
    return [load_node(node.pk).process_state.value for node in nodes]


def children(process: psutil.Process) -> list[psutil.Process]:
    """Return the children of a process; none if one ended in the middle of the looking."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return list(process.children())
    return []


@contextlib.contextmanager
def running(folder: Path, script: str = 'sleep 100; true') -> Iterator[psutil.Popen]:
    """Run in a folder what stands for a job: a shell and its child."""
    folder.mkdir()
    process = psutil.Popen(['bash', '-c', f'echo; {script}'], cwd=folder, stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        while not children(process):
            time.sleep(0.01)
        yield process
    finally:
        for one in [process, *children(process)]:
            with contextlib.suppress(psutil.NoSuchProcess):  # of short-lived children one may just have ended
                one.kill()
        process.wait()


def test_program_is_known_by_its_host_its_number_and_its_start() -> None:
    """A number may be another program's by now."""
    chain, _ = chain_with_jobs()
    own = chain.base.extras.get(RUN_BY)
    runs = {'host': own['host'], 'pid': os.getppid(), **left_behind._start_of(os.getppid())}
    for by in (own, runs, {**runs, 'ticks': 0, 'host': 'elsewhere'}):
        chain.base.extras.set(RUN_BY, by)
        assert not is_left_behind(chain)
        assert end_left_behind() == {}
    for other in ({'ticks': runs['ticks'] + 1}, {'boot': 'another'}):
        chain.base.extras.set(RUN_BY, {**runs, **other})
        assert is_left_behind(chain)
    content = json.loads(CliRunner().invoke(main, ['status', str(chain.pk), '--json']).stdout)
    assert (content['state'], content['left_behind']) == ('waiting', True)
    shown = json.loads(CliRunner().invoke(main, ['show', str(chain.pk), '--json']).stdout)
    assert shown['error']['remedy'] == LAUNCH_AGAIN
    assert 'nothing goes on with it' in shown['error']['message']
    assert end_left_behind() == {chain.pk: []}
    assert states(chain) == ['killed']
    assert end_left_behind() == {}


def test_child_alone_of_a_chain_that_has_ended_is_seen_and_ended(capsys: pytest.CaptureFixture[str]) -> None:
    """It was made when the chain was killed already; of one that a program still runs nothing is touched."""
    chain, _ = chain_with_jobs()
    child = CalcJobNode(process_type='aiida.calculations:litraj.neb')
    child.base.links.add_incoming(chain, LinkType.CALL_CALC, 'c00001_0')
    child.set_process_state(ProcessState.WAITING)
    child.store()
    chain.set_process_state(ProcessState.KILLED)
    assert json.loads(CliRunner().invoke(main, ['status', '--json']).stdout) == []
    assert end_left_behind() == {}
    lose_program(chain)
    (listed,) = json.loads(CliRunner().invoke(main, ['status', '--json']).stdout)
    assert (listed['pk'], listed['state']) == (child.pk, 'left behind')
    said = CliRunner().invoke(main, ['status']).stdout
    assert f'Nothing goes on with {child.pk}: the next launch ends it' in said and 'waits for it' not in said
    one = CliRunner().invoke(main, ['status', str(child.pk)]).stdout
    assert 'The next launch on this machine ends it.' in one and LAUNCH_AGAIN not in one
    tidy_up()
    assert f'Process {child.pk}, which a launch that was killed had left behind, is ended.' in ' '.join(
        capsys.readouterr().err.split()
    )
    assert states(child) == ['killed'] and child.is_sealed
    assert end_left_behind() == {}


def test_clock_that_is_set_does_not_make_a_program_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ticks since the boot it has no part in it; without them, minutes are allowed for it."""
    parent = psutil.Process(os.getppid())
    chain, _ = chain_with_jobs()
    runs = {'host': chain.base.extras.get(RUN_BY)['host'], 'pid': parent.pid}
    chain.base.extras.set(RUN_BY, {**runs, **left_behind._start_of(parent.pid)})
    monkeypatch.setattr(psutil.Process, 'create_time', lambda self: 1e9)
    assert not is_left_behind(chain)
    monkeypatch.setattr(left_behind, '_BOOT', Path('/nonexistent'))
    for step, gone in ((60.0, False), (-60.0, False), (3600.0, True)):
        chain.base.extras.set(RUN_BY, {**runs, 'started': 1e9 + step})
        assert is_left_behind(chain) is gone


def test_two_launches_end_the_same_chain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """While one waits for the job the other is done: nothing is left to note, and that is no error."""
    computer = (
        Computer('here', 'localhost', '', 'core.local', 'core.direct', str(tmp_path)).store().configure().computer
    )
    chain, (job,) = chain_with_jobs((computer, 1, tmp_path))
    lose_program(chain)

    def meanwhile(processes: Any) -> dict[int, str]:
        for one in processes:
            other = load_node(one.pk)
            other.set_process_state(ProcessState.KILLED)
            other.seal()
        return {}

    monkeypatch.setattr(left_behind, '_end_jobs', meanwhile)
    assert end_left_behind() == {chain.pk: []}
    assert states(chain, job) == ['killed', 'killed']


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Computer, subprocess.Popen[str]]]:
    """A computer without a scheduler that is reached over ssh, and its server."""
    home = tmp_path / 'home'
    home.mkdir()
    monkeypatch.setenv('HOME', str(home))
    computer = Computer('far', 'cluster', '', 'core.ssh_async', 'core.direct', str(tmp_path)).store()
    computer.configure(safe_interval=0)
    program = [sys.executable, str(Path(__file__).with_name('ssh_server.py')), str(home)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert int(server.stdout.readline()) > 0
        yield computer, server
        server.kill()


def test_job_over_ssh_is_ended_with_its_chain_and_a_process_that_is_none_is_not(far: Any, tmp_path: Path) -> None:
    """The number of a job without a scheduler is that of a process, which runs in the folder of the job."""
    with running(tmp_path / 'job') as job, running(tmp_path / 'other') as other:
        (tmp_path / 'over').mkdir()
        (child,) = job.children()
        (tmp_path / 'link').symlink_to(tmp_path / 'job')
        chain, jobs = chain_with_jobs((far[0], job.pid, tmp_path / 'link'), (far[0], other.pid, tmp_path / 'over'))
        lose_program(chain)
        assert end_left_behind() == {chain.pk: []}
        assert job.wait(0) is not None
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
        assert other.poll() is None
    assert states(chain, *jobs) == ['killed'] * 3


@pytest.mark.parametrize('way', ['no connection', 'does not end'])
def test_job_that_may_go_on_stays_as_it_is(
    far: Any, tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is taken up from a process that has not ended; it is said, and the next launch tries again."""
    monkeypatch.setattr('aiida_litraj.cli.ending.PATIENCE_SECONDS', 1.0)
    monkeypatch.setenv('COLUMNS', '1000')
    computer, server = far
    with running(tmp_path / 'job', "trap '' TERM; while true; do sleep 0.1; done") as process:
        chain, (job,) = chain_with_jobs((computer, process.pid, tmp_path / 'job'))
        lose_program(chain)
        if way == 'no connection':
            server.kill()
            server.wait()
        tidy_up()
        assert process.poll() is None
    said = ' '.join(capsys.readouterr().err.split())
    reason = 'may go on: ' if way == 'no connection' else 'was told to end, and has not within 1 s'
    words = f'Chain {chain.pk}, which a launch that was killed had left behind, is not ended, and nothing is taken up'
    assert said.startswith(f'{words} from it: the job {process.pid} on far {reason}')
    assert said.endswith('The next launch tries once more.')
    assert states(chain, job) == ['waiting', 'waiting']
    assert not job.is_sealed
    if way == 'does not end':
        tidy_up()
        assert states(chain, job) == ['killed', 'killed']
