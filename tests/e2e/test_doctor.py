"""The doctor, on a chain that is whole and on ones that are really broken: the culprit is named, and nobody else."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiida.orm import Computer
from click.testing import CliRunner

from aiida_litraj.cli import main
from aiida_litraj.codes.doctor import clock
from tests.cli.conftest import Installation
from tests.fixtures.testbed import change
from tests.testbed import cluster

PATIENCE_S = 15
"""Of the doctor: what answers does so within it also on a busy machine, and what does not refuses at once."""
on_cluster = pytest.mark.slurm
pytestmark = pytest.mark.timeout(300)

Links = dict[str, dict[str, Any]]


def named(content: dict[str, Any]) -> Links:
    """Return the links by their names, such as ``login of testbed``."""
    return {f'{one["link"]} of {one["of"]}' if one['of'] else one['link']: one for one in content['links']}


def doctor(*arguments: str) -> Links:
    """Return what the doctor says of the profile of the tests."""
    done = CliRunner().invoke(main, ['doctor', *arguments, '--json'])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    content = json.loads(done.stdout)
    assert done.exit_code == (0 if content['whole'] else 1)
    return named(content)


def only(links: Links, culprit: str, said: str, remedy: str, waiting: tuple[str, ...] = ()) -> None:
    """Check that one link alone is broken, with these words, and that what waits for it says so; all else is well.

    :param waiting: links that must be among those that wait.
    """
    ill = {name: (one['message'], one['seconds']) for name, one in links.items() if one['status'] == 'broken'}
    assert list(ill) == [culprit], ill
    assert said in links[culprit]['message'], links[culprit]
    assert remedy in links[culprit]['remedy'], links[culprit]
    waits = {name for name, one in links.items() if one['waits_for'] is not None}
    assert {links[name]['waits_for'] for name in waits} <= {culprit}
    assert {links[name]['status'] for name in waits} <= {'not checked'}
    assert set(waiting) <= waits
    names = list(links)
    assert all(names.index(name) > names.index(culprit) for name in waits)


# --- the profile and its daemon, in an installation of their own -----------------------------------------------------


@pytest.fixture(scope='module')
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    made = Installation(tmp_path_factory.mktemp('own'))
    made.json('setup')
    made.call('config', 'set', 'daemon.timeout', '60', program=('-m', 'aiida'))
    yield made
    made.call('daemon', 'stop', program=('-m', 'aiida'))


def look(own: Installation, *arguments: str, patience: float = PATIENCE_S) -> Links:
    done = own.call('doctor', '--patience', str(patience), *arguments, '--json')
    assert done.returncode in (0, 1), done.stderr
    return named(json.loads(done.stdout))


def daemon(own: Installation, command: str) -> None:
    done = own.call('daemon', command, program=('-m', 'aiida'))
    assert done.returncode == 0, f'{done.stdout}\n{done.stderr}'


def test_daemon_that_does_not_run(own: Installation) -> None:
    links = look(own)
    only(links, 'daemon', 'the daemon does not run', 'daemon start', ('version', 'tasks'))
    assert 'setup --from' in links['codes']['remedy']


def test_broker_that_was_killed_leaves_new_processes_created(own: Installation) -> None:
    """The daemon brings up another broker, and its workers do not notice; what the doctor prescribes helps."""
    daemon(own, 'start')
    assert cluster.wait_for(lambda: any((own.folder / 'aiida').rglob('broker.pid')), 60)
    (pid_file,) = (own.folder / 'aiida').rglob('broker.pid')
    before = int(pid_file.read_text().split()[-1])
    os.kill(before, signal.SIGKILL)
    assert cluster.wait_for(lambda: pid_file.exists() and int(pid_file.read_text().split()[-1]) != before, 30)
    links = look(own)
    only(links, 'tasks', 'was still Created after', 'daemon restart')
    assert 'process repair' in links['tasks']['remedy']
    own.json('daemon', 'restart')
    numbers = [look(own)['tasks']['facts']['pk'] for _ in range(2)]
    # A number is never given twice, and of what the doctor has submitted only the last is there.
    assert numbers == sorted(set(numbers))
    listed = own.call('process', 'list', '-a', '--raw', '--project', 'pk', program=('-m', 'aiida'))
    assert listed.stdout.split() == [str(numbers[-1])]


def test_worker_that_is_halted(own: Installation) -> None:
    own.call('daemon', 'start', program=('-m', 'aiida'))  # unless it runs
    listing = own.call('daemon', 'status', program=('-m', 'aiida')).stdout
    worker = next(int(line.split()[0]) for line in listing.splitlines() if line.strip()[:1].isdigit())
    os.kill(worker, signal.SIGSTOP)
    try:
        only(look(own), 'daemon', f'halted (process {worker})', f'kill -CONT {worker}', ('tasks',))
    finally:
        os.kill(worker, signal.SIGCONT)


def test_database_that_somebody_keeps_to_himself(own: Installation) -> None:
    import sqlite3

    (file,) = (own.folder / 'aiida').rglob('database.sqlite')
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute('BEGIN IMMEDIATE')
        links = look(own, '--quick')
    only(links, 'storage', 'cannot be written: database is locked', f'fuser {file}', ('caching', 'computers'))


def test_storage_that_is_gone(own: Installation) -> None:
    (file,) = (own.folder / 'aiida').rglob('database.sqlite')
    folder, elsewhere = file.parent, own.folder / 'elsewhere'
    folder.rename(elsewhere)
    try:
        only(look(own, '--quick'), 'storage', 'does not open', 'verdi profile show', ('caching', 'computers'))
    finally:
        if folder.exists():
            folder.rename(own.folder / 'made in between')
        elsewhere.rename(folder)


def test_profile_that_is_not_there(own: Installation) -> None:
    done = own.call('--profile', 'nix', 'doctor', '--quick', '--json')
    links = named(json.loads(done.stdout))
    only(links, 'profile', 'there is no profile nix', 'aiida-litraj --profile nix setup', ('storage', 'broker'))


# --- the way to a cluster, and what is there -------------------------------------------------------------------------


@pytest.fixture
def code(cluster_computer: Any, started_daemon_client: Any, testbed: Any) -> Callable[..., str]:
    """``code(name, python, **options)`` is the name of a code on the cluster whose environment has been asked."""
    from aiida_litraj.codes.environment import Environment
    from aiida_litraj.codes.probe import probe_environment
    from aiida_litraj.codes.register import register

    def make(name: str, python: str = sys.executable, computer: Computer = cluster_computer, **options: Any) -> str:
        asked = {'queue_name': testbed.description['partition'], 'device': 'cpu', **options}
        environment = Environment(name, computer.label, python, options=asked)
        register(environment, probe_environment(environment, computer))
        return name

    return make


@pytest.fixture
def whole(aiida_config: Any, aiida_profile: Any) -> Iterator[None]:
    """A profile in which nothing is to be said: with a write-ahead log, and jobs that are reused."""
    from aiida_litraj.codes.profile import CACHED
    from aiida_litraj.codes.write_ahead import write_ahead

    write_ahead()
    aiida_config.set_option('caching.enabled_for', [CACHED], scope=aiida_profile.name)
    yield
    aiida_config.unset_option('caching.enabled_for', scope=aiida_profile.name)


@contextlib.contextmanager
def killed(testbed: Any, daemon: str, number: int = signal.SIGKILL) -> Iterator[None]:
    """Without a daemon of the cluster, which is there again afterwards."""
    here = cluster.Cluster.load(testbed.folder)
    assert here is not None
    pid = cluster.pid_of(here, daemon)
    assert pid is not None
    os.kill(pid, number)
    try:
        if number == signal.SIGKILL:
            assert cluster.wait_for(lambda: cluster.pid_of(here, daemon) is None, 20)
        yield
    finally:
        if number == signal.SIGSTOP:
            os.kill(pid, signal.SIGCONT)
        change('up', testbed.folder)


@contextlib.contextmanager
def instead(file: Path, content: str) -> Iterator[None]:
    """With other content in a file."""
    before = file.read_text()
    file.write_text(content)
    try:
        yield
    finally:
        file.write_text(before)


def quickly(*arguments: str) -> Links:
    return doctor('--quick', '--patience', str(PATIENCE_S), *arguments)


@on_cluster
def test_whole_chain(whole: None, code: Any, testbed: Any) -> None:
    """Each link holds, a job has been on a node, and nothing is left of it there."""
    from aiida_litraj.codes.daemon import restart_daemon

    code('healthy')
    restart_daemon()  # that of the tests works where their files are, of which the doctor warns
    folders = set(Path(testbed.description['work_dir']).glob('*/*/*'))
    links = doctor('--code', 'healthy')
    assert {name: one for name, one in links.items() if one['status'] != 'ok'} == {}
    assert links['job of healthy']['facts']['node'] == testbed.description['node']
    assert links['engine of healthy']['facts']['python'] == sys.executable
    assert set(Path(testbed.description['work_dir']).glob('*/*/*')) == folders


@on_cluster
def test_environments_that_have_changed_since(code: Any, tmp_path: Path) -> None:
    """A Python that is gone, one that has lost its packages, and one whose torch finds no GPU, each on a node."""
    python = tmp_path / 'python'

    def write(arguments: str) -> None:
        python.write_text(f'#!/bin/sh\nexec {sys.executable} {arguments} "$@"\n')
        python.chmod(0o755)

    write('')
    changing = code('changing', str(python))
    write('-S')
    only(
        doctor('--code', changing),
        'engine of changing',
        f'{python} on the computer',
        f'{python} -m pip install pydantic',
        ('device of changing',),
    )
    python.unlink()
    only(doctor('--code', changing), 'engine of changing', f'there is no Python {python}', '--engine-python')
    gpu = code('gpu', device='cuda', custom_scheduler_commands='#SBATCH --gres=gpu:1')
    links = doctor('--code', gpu)
    only(
        links, 'device of gpu', 'a GPU was asked for by --gres=gpu:1, and torch sees none on node1', 'pip install torch'
    )


@on_cluster
def test_ssh_server_that_does_not_run(code: Any, testbed: Any) -> None:
    code('toy')
    with killed(testbed, 'sshd'):
        links = quickly('--code', 'toy')
    waiting = ('host_key of testbed', 'login of testbed', 'scheduler of testbed', 'submission of toy', 'job of toy')
    only(links, 'host of testbed', 'nothing listens on 127.0.0.1:', 'ssh testbed', waiting)


@on_cluster
def test_machine_that_is_a_black_hole(code: Any, testbed: Any) -> None:
    """Its port takes the connection, and nobody ever says a word."""
    code('toy')
    with killed(testbed, 'sshd', signal.SIGSTOP):
        links = doctor('--quick', '--patience', '2', '--code', 'toy')
    only(links, 'host of testbed', 'does not answer: timed out', 'ssh -v testbed', ('login of testbed',))


@on_cluster
def test_name_that_leads_nowhere(code: Any, testbed: Any) -> None:
    code('toy')
    config = Path(testbed.description['ssh']['config'])
    with instead(config, config.read_text().replace('Host testbed', 'Host other')):
        links = quickly('--code', 'toy')
    only(links, 'host of testbed', 'the name testbed leads nowhere', 'Host testbed / HostName', ('login of testbed',))


@on_cluster
def test_host_key_that_is_not_known_and_one_that_has_changed(code: Any, testbed: Any) -> None:
    code('toy')
    known = testbed.folder / 'ssh' / 'known_hosts'
    with instead(known, ''):
        links = quickly('--code', 'toy')
    only(links, 'host_key of testbed', 'is not in known_hosts', 'Log in once by hand', ('login of testbed',))
    place = known.read_text().split()[0]
    other = (testbed.folder / 'ssh' / 'user_key.pub').read_text()
    with instead(known, f'{place} {other}'):
        links = quickly('--code', 'toy')
    only(links, 'host_key of testbed', 'shows another host key', f"ssh-keygen -R '{place}'", ('login of testbed',))


@on_cluster
def test_key_that_is_not_accepted(code: Any, testbed: Any) -> None:
    code('toy')
    config = Path(testbed.description['ssh']['config'])
    other = testbed.folder / 'ssh' / 'host_key'
    with instead(config, config.read_text().replace(testbed.description['ssh']['key'], str(other))):
        links = quickly('--code', 'toy')
    only(links, 'login of testbed', 'does not let one in as root', 'ssh-copy-id testbed', ('scheduler of testbed',))
    assert links['host_key of testbed']['status'] == 'ok'


@pytest.fixture
def elsewhere(cluster_computer: Any, started_daemon_client: Any, testbed: Any) -> Callable[[str, Path], Computer]:
    """``elsewhere(label, folder)`` is the cluster as another computer, whose jobs run in that folder."""

    def make(label: str, folder: Path) -> Computer:
        computer = Computer(
            label=label,
            hostname=testbed.description['ssh']['host'],
            transport_type='core.ssh_async',
            scheduler_type='core.slurm',
            workdir=str(folder),
        ).store()
        computer.set_minimum_job_poll_interval(1)
        computer.configure(safe_interval=0)
        return computer

    return make


@on_cluster
def test_work_folder_that_cannot_be_made(elsewhere: Any, tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    elsewhere('nowhere', tmp_path / 'file' / 'work')
    links = quickly('--computer', 'nowhere')
    only(links, 'work_dir of nowhere', 'cannot be written', 'Give another work_dir')
    assert links['scheduler of nowhere']['status'] == 'ok'


@on_cluster
def test_work_folder_that_is_full(elsewhere: Any, tmp_path: Path) -> None:
    mounted = tmp_path / 'small'
    mounted.mkdir()
    mount = ['mount', '-t', 'tmpfs', '-o', 'size=128k', 'tmpfs', str(mounted)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip('no file system can be mounted here')
    try:
        elsewhere('full', mounted / 'work')
        links = quickly('--computer', 'full')
    finally:
        subprocess.run(['umount', str(mounted)], check=True)
    only(links, 'work_dir of full', 'is full', 'cleanworkdir')


@on_cluster
def test_clock_that_is_wrong(code: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    code('toy')
    now = clock.now
    monkeypatch.setattr(clock, 'now', lambda: now() + 1000)
    only(quickly('--code', 'toy'), 'clock of testbed', 's behind', 'Set the clock that is wrong')


@on_cluster
def test_controller_that_was_killed(code: Any, testbed: Any) -> None:
    code('toy')
    with killed(testbed, 'slurmctld'):
        links = quickly('--code', 'toy')
    waiting = ('accounting of testbed', 'nodes of toy', 'submission of toy', 'job of toy')
    only(links, 'scheduler of testbed', 'core.slurm of testbed does not answer', 'scontrol ping', waiting)


@on_cluster
def test_accounting_that_was_killed(code: Any, testbed: Any) -> None:
    code('toy')
    with killed(testbed, 'slurmdbd'):
        links = quickly('--code', 'toy')
    only(links, 'accounting of testbed', 'the accounting of testbed does not answer', 'slurmdbd')
    assert links['submission of toy']['status'] == 'ok'


@on_cluster
def test_requests_that_the_cluster_cannot_meet(code: Any, testbed: Any) -> None:
    """A partition that is not there, three GPUs of two, and a GPU of a kind that the site has not."""
    wrong = quickly('--code', code('wrong', queue_name='nix'))
    only(wrong, 'nodes of wrong', "no partition 'nix'", 'there are: gpu', ('submission of wrong', 'job of wrong'))
    many = quickly('--code', code('many', custom_scheduler_commands='#SBATCH --gres=gpu:3'))
    said = 'Requested node configuration is not available (asked: --partition=gpu'
    only(many, 'submission of many', said, 'gpu:2', ('job of many',))
    assert '--gres=gpu:3' in many['submission of many']['message']


@on_cluster
def test_node_that_is_drained(code: Any, testbed: Any) -> None:
    code('toy')
    node = testbed.description['node']
    testbed.on_it(f'scontrol update NodeName={node} State=DRAIN Reason="fan broken"')
    try:
        links = quickly('--code', 'toy')
    finally:
        testbed.on_it(f'scontrol update NodeName={node} State=RESUME')
    only(links, 'nodes of toy', 'drained (fan broken)', 'sinfo -R', ('submission of toy', 'job of toy'))


@on_cluster
def test_job_that_waits_behind_others_is_no_fault(code: Any, testbed: Any) -> None:
    """Both GPUs are taken: the job is cancelled when one has waited long enough, and gone."""
    code('patient', custom_scheduler_commands='#SBATCH --gres=gpu:1')
    other = testbed.on_it('sbatch --parsable --gres=gpu:2 --output=/dev/null --wrap="sleep 600"')
    try:
        links = doctor('--code', 'patient', '--wait', '12')
        assert testbed.on_it('squeue --noheader --format=%i').split() == [other]
    finally:
        testbed.on_it(f'scancel {other}')
    job = links['job of patient']
    assert (job['status'], links['engine of patient']['status']) == ('warning', 'not checked')
    assert 'in the queue (Resources)' in job['message']
    assert '--wait 3600' in job['remedy']
    assert not [one for one in links.values() if one['status'] == 'broken']
