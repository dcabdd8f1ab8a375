"""Where the campaign runs: a cluster, a profile with its daemon, disks that can be filled, and what mends each."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.testbed import cluster

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SLOW_FAMILY = HERE / 'slow_family'
PROFILE = 'chaos'
N_WORKERS = 2
PLACES = 12
"""Processors and GPUs that the node says it has: jobs wait more than they compute."""
WORK_DISK_MB, REPOSITORY_DISK_MB = 48, 256
RETRY_SECONDS, ATTEMPTS = 2, 3
"""How long AiiDA waits after the first failure of a transport task, and how often it tries, before it pauses."""
COMMAND_S, STOP_S = 90, 40


@dataclass
class Bench:
    """Everything that can be broken, by the names of its parts.

    :ivar folder: of all files; ``home`` is that of the daemon, in which ssh finds the cluster.
    :ivar mounted: file systems of their own, which can be filled.
    :ivar postgresql: storage configuration and folder of the server, where there is one.
    """

    folder: Path
    bed: cluster.Cluster
    postgresql: dict[str, Any] | None = None
    mounted: list[Path] = field(default_factory=list)
    remedies: list[str] = field(default_factory=list)

    # --- places --------------------------------------------------------------------------------------------------

    @property
    def work(self) -> Path:
        return self.bed.folder / 'work'

    @property
    def aiida_path(self) -> Path:
        return self.folder / 'aiida'

    @property
    def calls(self) -> Path:
        """Where jobs leave their traces, on a disk that is not filled."""
        return self.folder / 'calls'

    @property
    def environment(self) -> Path:
        """The folder with the interpreter of the engine and GPAW's, as far as the codes know."""
        return self.folder / 'environment'

    @property
    def nowhere(self) -> Path:
        """Where ``verdi`` is run and its daemon lives: nothing is in it.

        A ZeroMQ broker that finds the file of its sockets' folder empty, as a full disk leaves it, deletes all that is
        in the folder in which the daemon was started (aiida-core 2.9).
        """
        return self.folder / 'nowhere'

    @property
    def clock(self) -> Path:
        """The file that says by how many seconds the clocks of jobs are off."""
        return self.folder / 'clock'

    @property
    def clock_library(self) -> Path:
        """What makes them so, where there is a compiler to build it."""
        return self.folder / 'clock.so'

    # --- processes -----------------------------------------------------------------------------------------------

    @property
    def client(self) -> Any:
        from aiida.engine.daemon.client import get_daemon_client

        return get_daemon_client(PROFILE)

    def daemon_processes(self) -> list[psutil.Process]:
        """Return what ``verdi daemon start`` has started: circus and its figures, the workers and the broker."""
        found = []
        for process in psutil.process_iter(['cmdline']):
            with contextlib.suppress(psutil.Error):
                words = process.info['cmdline'] or []
                ours = 'daemon' in words or any('circus' in word for word in words)
                if ours and str(self.aiida_path) in process.environ().get('AIIDA_PATH', ''):
                    found.append(process)
        return found

    def workers(self) -> list[psutil.Process]:
        return [process for process in self.daemon_processes() if 'worker' in command_of(process)]

    def brokers(self) -> list[psutil.Process]:
        return [process for process in self.daemon_processes() if 'broker' in command_of(process)]

    def sessions(self) -> list[psutil.Process]:
        """Return the processes of logins: what the listener of sshd has started, and not the jobs."""
        listener = cluster.pid_of(self.bed, 'sshd')
        if listener is None:
            return [process for process in members(self.bed) if process.name() == 'sshd']
        with contextlib.suppress(psutil.Error):
            return [child for child in psutil.Process(listener).children(recursive=True) if child.name() == 'sshd']
        return []

    # --- commands ------------------------------------------------------------------------------------------------

    def slurm(self, *command: str) -> subprocess.CompletedProcess[str]:
        return cluster.call(self.bed, *command)

    def verdi(self, *command: str, seconds: float = COMMAND_S) -> subprocess.CompletedProcess[str]:
        """Run ``verdi`` as a person does; what it was is noted as a remedy by who calls."""
        asked = [str(Path(sys.executable).with_name('verdi')), '-p', PROFILE, *command]
        with tempfile.TemporaryFile('w+') as said:  # what it starts may hold on to a pipe
            try:
                code = subprocess.run(
                    asked, cwd=self.nowhere, stdout=said, stderr=said, timeout=seconds, check=False
                ).returncode
            except subprocess.TimeoutExpired:
                code = 124
            said.seek(0)
            return subprocess.CompletedProcess(asked, code, said.read(), '')

    def resume_node(self) -> None:
        """What an administrator does with a node that is down or drained."""
        self.slurm('scontrol', 'update', f'NodeName={cluster.NODE}', 'State=RESUME')

    def start_daemon(self) -> None:
        """Start the daemon; a busy machine may be too slow for the first try."""
        for _ in range(3):
            done = self.verdi('daemon', 'start', str(N_WORKERS))
            if done.returncode == 0 or self.client.is_daemon_running:
                return
        raise RuntimeError(f'the daemon does not start: {done.stdout}\n{done.stderr}')

    def stop_daemon(self) -> None:
        """Stop the daemon; what does not want to end for long, as with a session of ssh that hangs, is killed."""
        self.verdi('daemon', 'stop', seconds=STOP_S)
        send(self.daemon_processes(), signal.SIGKILL)
        wait_until(lambda: not self.daemon_processes(), STOP_S)
        Path(self.client.circus_pid_file).unlink(missing_ok=True)  # of one that was killed: it would pass for running

    def repair(self) -> str:
        """What mends a dead broker, and processes that no worker has: ``verdi process repair`` with a daemon stopped.

        Return what it said.
        """
        self.stop_daemon()
        said = self.verdi('process', 'repair', '--force').stdout
        self.start_daemon()
        return said

    def restart_postgresql(self, mode: str) -> bool:
        """Restart the server of the profile; return whether it is back."""
        assert self.postgresql is not None
        port = str(self.postgresql['database_port'])
        for process in psutil.process_iter():
            words = command_of(process)
            if '-D' in words and any(port in word for word in words):
                data = words[words.index('-D') + 1]
                wrapper = self.folder / 'postgresql' / 'pg_ctl'
                pg_ctl = str(wrapper) if wrapper.exists() else 'pg_ctl'
                asked = [pg_ctl, '-D', data, '-m', mode, '-w', 'restart', '-l', f'{data}.log']
                return subprocess.run(asked, capture_output=True, timeout=COMMAND_S, check=False).returncode == 0
        return False

    # --- disks ---------------------------------------------------------------------------------------------------

    def fill(self, place: Path) -> None:
        """Fill a file system to the last byte."""
        with contextlib.suppress(OSError), (place / 'filler').open('wb') as handle:
            while True:
                handle.write(b'\0' * 65536)
                handle.flush()

    def free(self, place: Path) -> None:
        (place / 'filler').unlink(missing_ok=True)


def command_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def members(bed: cluster.Cluster) -> list[psutil.Process]:
    """Return the processes of a cluster, its jobs among them."""
    found = []
    for pid in cluster.members(bed):
        with contextlib.suppress(psutil.Error):
            found.append(psutil.Process(pid))
    return found


def send(processes: list[psutil.Process], number: signal.Signals) -> int:
    """Send a signal; return how many were there to get it."""
    reached = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)
            reached += 1
    return reached


# --- up and down ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def bench(folder: Path, storage: str = 'sqlite') -> Iterator[Bench]:
    """Yield a bench that is up; at the end nothing of it is left but its logs.

    The environment of this process is that of its daemon: home, ``AIIDA_PATH`` and ``PYTHONPATH``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cluster.CPUS = cluster.GPUS = PLACES
    before = dict(os.environ)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with contextlib.ExitStack() as stack:
        stack.callback(restore, before)
        place = folder / 'bed'
        stack.callback(take_down, place)
        made = Bench(folder, cluster.up(place))
        for disk, size in ((made.work, WORK_DISK_MB), (made.aiida_path, REPOSITORY_DISK_MB)):
            disk.mkdir(exist_ok=True)
            if mount(disk, size):
                made.mounted.append(disk)
                stack.callback(unmount, disk)
        if storage == 'postgresql':
            made.postgresql = stack.enter_context(server(folder / 'postgresql'))
        write_environment(made)
        load_profile(made)
        stack.callback(stop_daemon, made)
        made.start_daemon()
        yield made


def mount(place: Path, megabytes: int) -> bool:
    """Mount a file system in memory; return whether that is allowed here."""
    asked = ['mount', '-t', 'tmpfs', '-o', f'size={megabytes}m,mode=700', 'chaos', str(place)]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def unmount(place: Path) -> None:
    subprocess.run(['umount', '--lazy', str(place)], capture_output=True, check=False)


def take_down(place: Path) -> None:
    subprocess.run(['umount', '--lazy', str(place / 'work')], capture_output=True, check=False)
    for process in members(bed) if (bed := cluster.Cluster.load(place)) else ():
        with contextlib.suppress(psutil.Error):  # what was halted cannot be ended
            process.send_signal(signal.SIGCONT)
    cluster.down(place)


def restore(before: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(before)


def stop_daemon(made: Bench) -> None:
    """Stop the daemon, with force if need be, and let go of the profile."""
    from aiida.manage import get_manager

    with contextlib.suppress(Exception):
        get_manager().unload_profile()
    made.stop_daemon()


@contextlib.contextmanager
def server(folder: Path) -> Iterator[dict[str, Any]]:
    from tests.fixtures.postgresql import database

    folder.mkdir()
    with database(folder) as configuration:
        yield configuration


def write_environment(made: Bench) -> None:
    """Make home, interpreters and clock; what the codes start can be broken without breaking what the tests run by."""
    ssh = made.folder / 'home' / '.ssh'
    ssh.mkdir(mode=0o700, parents=True)
    (ssh / 'config').symlink_to(made.bed.folder / 'ssh' / 'config')
    for place in (made.calls, made.environment, made.nowhere):
        place.mkdir()
    made.clock.write_text('0')
    if compiler := shutil.which('cc'):
        subprocess.run([compiler, '-shared', '-fPIC', '-o', made.clock_library, HERE / 'clock.c', '-ldl'], check=True)
    programs = {'python': sys.executable, 'gpaw': shutil.which('gpaw')}
    for name, program in programs.items():
        if program:
            (made.environment / name).write_text(f'#!/bin/sh\nexec {program} "$@"\n')
            (made.environment / name).chmod(0o755)
    os.environ.update(
        HOME=str(made.folder / 'home'),
        AIIDA_PATH=str(made.aiida_path),
        PYTHONPATH=str(ROOT),
        PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get('PATH', '')]),
    )


def load_profile(made: Bench) -> None:
    """Make and load the profile, as ``aiida-litraj setup`` does; AiiDA gives up sooner than by itself."""
    from aiida.manage.configuration import create_profile, get_config, load_profile, reset_config
    from aiida.manage.configuration.settings import AiiDAConfigDir

    from aiida_litraj.codes.profile import CACHED, CACHED_DFT, wait_for_locks
    from aiida_litraj.codes.write_ahead import write_ahead

    reset_config()
    AiiDAConfigDir.set(made.aiida_path / '.aiida')
    config = get_config(create=True)
    storage: dict[str, Any] = {
        'storage_backend': 'core.sqlite_dos',
        'storage_config': {'filepath': str(made.aiida_path / 'storage')},
    }
    if made.postgresql is not None:
        repository = (made.aiida_path / 'repository').as_uri()
        storage = {
            'storage_backend': 'core.psql_dos',
            'storage_config': {**made.postgresql, 'repository_uri': repository},
        }
    create_profile(config, broker_backend='core.zeromq', name=PROFILE, email='chaos@localhost', **storage)
    config.set_default_profile(PROFILE, overwrite=True)
    for name, value in {
        'caching.enabled_for': [CACHED, *CACHED_DFT],
        'transport.task_retry_initial_interval': RETRY_SECONDS,
        'transport.task_maximum_attempts': ATTEMPTS,
        'daemon.timeout': 30,
        'warnings.development_version': False,
    }.items():
        config.set_option(name, value, scope=PROFILE)
    config.store()
    load_profile(PROFILE, allow_switch=True)
    write_ahead()
    wait_for_locks()


def wait_until(true: Any, seconds: float) -> bool:
    """Return whether a condition has come true in time."""
    limit = time.monotonic() + seconds
    while not true():
        if time.monotonic() > limit:
            return False
        time.sleep(0.1)
    return True
