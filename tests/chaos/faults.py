"""What goes wrong: each fault is injected, lasts a while, is healed, and has an expected outcome."""

from __future__ import annotations

import os
import random
import signal
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import psutil

from aiida_litraj.contract import files
from tests.chaos.bench import Bench, command_of, send, wait_until
from tests.testbed import cluster

ENGINE = 'aiida_litraj.engine.cli'
RESULT_S = 40.0
"""How long is waited for the result of a job that is to be damaged."""
SKEW_SECONDS = 3 * 3600
ALL = ('neb', 'md', 'train', 'label')
OF_THE_ENGINE = ('neb', 'md', 'train')
LABEL_CODES = frozenset({110, 120, 140, 342, 501})
"""As what a labelling ends of which some or all jobs were lost: the finished labels are its outputs."""


@dataclass(frozen=True)
class Target:
    """A job that runs: its folder, its number in Slurm, its processes, and which kind of chain it is of."""

    kind: str
    folder: Path
    job_id: str
    processes: tuple[psutil.Process, ...]

    @property
    def main(self) -> list[psutil.Process]:
        """The engine or GPAW, without what they have started."""
        if self.kind == 'label':
            return [each for each in self.processes if 'aiida_script.py' in ' '.join(command_of(each))]
        return [each for each in self.processes if ENGINE in command_of(each)]

    @property
    def helpers(self) -> list[psutil.Process]:
        """Worker processes of an engine, or its trainer."""
        of_shell = ('sh', 'bash', 'slurmstepd', 'slurm_script')
        with_names = [(each, name_of(each)) for each in self.processes if each not in self.main]
        return [each for each, name in with_names if name not in of_shell and not name.startswith('slurm')]


def name_of(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return 'sh'


class Fault(ABC):
    """Something that goes wrong.

    :cvar name: as in the table of docs/source/topics/faults.md.
    :cvar of_job: whether it hits one job, which has to run, or all.
    :cvar kinds: of chain that it can hit.
    :cvar holds: for how many seconds it lasts, at least and at most.
    :cvar costs: how many interruptions of each chain it may cause.
    :cvar codes: as what a chain of the engine may end, to be launched again; ``label_codes`` of a labelling.
    :cvar excepts: whether a chain may end with an exception of AiiDA's, to be launched again too.
    """

    name: ClassVar[str]
    of_job: ClassVar[bool] = False
    kinds: ClassVar[tuple[str, ...]] = ALL
    holds: ClassVar[tuple[float, float]] = (0.0, 0.0)
    costs: ClassVar[int] = 1
    codes: ClassVar[frozenset[int]] = frozenset()
    excepts: ClassVar[bool] = False
    label_codes: ClassVar[frozenset[int]] = LABEL_CODES

    def missing(self, bench: Bench) -> str | None:
        """Return why it cannot be had here, if it cannot."""
        return None

    @abstractmethod
    def inject(self, bench: Bench, target: Target | None, chance: random.Random) -> str | None:
        """Let it happen; return what was done in words, ``None`` if there was nothing left to be hit."""

    def heal(self, bench: Bench) -> None:  # noqa: B027  most need nothing
        """Put right what a person or a machine puts right."""

    def ends_as(self, kind: str) -> frozenset[int]:
        """Return the exit codes beside 0 that a chain may end with, to be launched again."""
        return self.label_codes if kind == 'label' else self.codes


class OfJob(Fault):
    of_job = True

    @abstractmethod
    def strike(self, bench: Bench, target: Target, chance: random.Random) -> str | None:
        """Let it happen to a job."""

    def inject(self, bench: Bench, target: Target | None, chance: random.Random) -> str | None:
        assert target is not None
        return self.strike(bench, target, chance)


# --- of single jobs --------------------------------------------------------------------------------------------------


class Walltime(OfJob):
    """The job has stalled, as on a node that is ill, until Slurm ends it: that looks every 30 s."""

    name = 'walltime'

    def strike(self, bench: Bench, target: Target, chance: random.Random) -> str | None:
        halted = send(target.main, signal.SIGSTOP)
        done = bench.slurm('scontrol', 'update', f'JobId={target.job_id}', 'EndTime=now+1')
        return f'job {target.job_id} at its end, {halted} process(es) halted' if done.returncode == 0 else None


class EngineKilled(OfJob):
    name = 'out of memory: engine'

    def strike(self, bench: Bench, target: Target, chance: random.Random) -> str | None:
        return f'killed {target.main[0].pid}' if target.main and send(target.main[:1], signal.SIGKILL) else None


class HelperKilled(OfJob):
    name = 'out of memory: worker process or trainer'
    kinds = ('neb', 'train')
    codes = frozenset({310, 312})

    def strike(self, bench: Bench, target: Target, chance: random.Random) -> str | None:
        largest = sorted(target.helpers, key=memory_of)[-1:]
        return f'killed {largest[0].pid}' if largest and send(largest, signal.SIGKILL) else None


def memory_of(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


class Scancel(OfJob):
    name = 'scancel'

    def strike(self, bench: Bench, target: Target, chance: random.Random) -> str | None:
        done = bench.slurm('scancel', target.job_id)
        return f'cancelled job {target.job_id}' if done.returncode == 0 else None


class Requeue(OfJob):
    name = 'requeue'

    def strike(self, bench: Bench, target: Target, chance: random.Random) -> str | None:
        done = bench.slurm('scontrol', 'requeue', target.job_id)
        return f'job {target.job_id}: {done.stderr.strip() or "queued again"}'


class TruncatedResult(OfJob):
    """A result loses its end between that of the engine and its retrieval."""

    name = 'truncated result'
    costs = 1
    codes = frozenset({303, 304, 306})

    def strike(self, bench: Bench, target: Target, chance: random.Random) -> str | None:
        names = ['results.json'] if target.kind == 'label' else [files.RESULT, files.RESULT_ARRAYS]
        last, cut = target.folder / (names[0]), target.folder / chance.choice(names)
        if not wait_until(lambda: last.exists() and not running(target.main), RESULT_S) or not cut.exists():
            return None
        size = cut.stat().st_size
        os.truncate(cut, int(size * chance.random()))
        return f'{cut.name} of job {target.job_id} cut from {size} to {cut.stat().st_size} bytes'


def running(processes: list[psutil.Process]) -> bool:
    return any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


class HalfCheckpoint(OfJob):
    """A file of the checkpoint has lost its end when the engine is killed."""

    name = 'half-written checkpoint'
    kinds = OF_THE_ENGINE

    def strike(self, bench: Bench, target: Target, chance: random.Random) -> str | None:
        send([*target.main, *target.helpers], signal.SIGSTOP)
        whole = [path for path in (target.folder / files.CHECKPOINT).rglob('*') if path.is_file() and size_of(path)]
        said = 'no file yet'
        if whole:
            cut = chance.choice(sorted(whole))
            size = size_of(cut)
            os.truncate(cut, int(size * chance.random()))
            said = f'{cut.relative_to(target.folder)} cut from {size} to {size_of(cut)} bytes'
        killed = send([*target.main, *target.helpers], signal.SIGKILL)
        return f'{said}, {killed} process(es) of job {target.job_id} killed' if killed else None


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


# --- of the cluster --------------------------------------------------------------------------------------------------


class NodeDown(Fault):
    name = 'node down and back'
    holds = (2.0, 6.0)

    def inject(self, bench: Bench, target: Target | None, chance: random.Random) -> str | None:
        bench.slurm('scontrol', 'update', f'NodeName={cluster.NODE}', 'State=DOWN', 'Reason=chaos')
        return f'{cluster.NODE} is down'

    def heal(self, bench: Bench) -> None:
        bench.resume_node()


class Daemon(Fault):
    """A daemon of the cluster is killed, and started again."""

    holds = (2.0, 6.0)
    daemon: ClassVar[str]
    costs = 0

    def inject(self, bench: Bench, target: Target | None, chance: random.Random) -> str | None:
        pid = cluster.pid_of(bench.bed, self.daemon)
        return f'killed {self.daemon}' if pid and send([psutil.Process(pid)], signal.SIGKILL) else None

    def heal(self, bench: Bench) -> None:
        cluster.start(bench.bed, self.daemon)


class SlurmdKilled(Daemon):
    name, daemon = 'slurmd killed and back', 'slurmd'


class SlurmctldKilled(Daemon):
    """What it had not written it does not know: a job that it starts again drains the node, as a duplicate."""

    name, daemon = 'slurmctld killed and back', 'slurmctld'

    def heal(self, bench: Bench) -> None:
        super().heal(bench)
        bench.resume_node()


class SshdKilled(Daemon):
    """The listener and every session, in the middle of whatever they transfer."""

    name, daemon = 'sshd killed mid-transfer', 'sshd'

    def inject(self, bench: Bench, target: Target | None, chance: random.Random) -> str | None:
        pid = cluster.pid_of(bench.bed, 'sshd')
        hit = bench.sessions() + ([psutil.Process(pid)] if pid else [])
        return f'killed sshd and {len(hit) - 1} of its processes' if send(hit, signal.SIGKILL) else None


class SessionsKilled(Fault):
    """Every session, several times, while the listener takes new ones."""

    name = 'ssh sessions killed'
    costs = 0

    def inject(self, bench: Bench, target: Target | None, chance: random.Random) -> str | None:
        killed = 0
        until = time.monotonic() + chance.uniform(1.0, 5.0)
        while time.monotonic() < until:
            killed += send(bench.sessions(), signal.SIGKILL)
            time.sleep(chance.uniform(0.05, 0.5))
        return f'killed {killed} processes of sessions'


class NetworkCut(Fault):
    """Nothing comes and nothing goes, and nobody says so: sshd and its sessions are halted."""

    name = 'network cut'
    holds = (3.0, 10.0)
    costs = 0

    def inject(self, bench: Bench, target: Target | None, chance: random.Random) -> str | None:
        pid = cluster.pid_of(bench.bed, 'sshd')
        hit = bench.sessions() + ([psutil.Process(pid)] if pid else [])
        return f'halted {send(hit, signal.SIGSTOP)} processes of sshd'

    def heal(self, bench: Bench) -> None:
        pid = cluster.pid_of(bench.bed, 'sshd')
        send([*bench.sessions(), *([psutil.Process(pid)] if pid else [])], signal.SIGCONT)


class WorkDiskFull(Fault):
    name = 'work folder full'
    holds = (3.0, 8.0)
    costs = 2
    codes = frozenset({310, 312, 313, 332})

    def missing(self, bench: Bench) -> str | None:
        return None if bench.work in bench.mounted else 'no file system may be mounted here'

    def inject(self, bench: Bench, target: Target | None, chance: random.Random) -> str | None:
        bench.fill(bench.work)
        return 'not a byte is left'

    def heal(self, bench: Bench) -> None:
        bench.free(bench.work)


class EnvironmentBroken(Fault):
    """The interpreter of the code lacks its packages, or is gone, between two jobs."""

    name = 'code environment broken'
    holds = (4.0, 10.0)
    costs = 1
    codes = frozenset({332})

    def inject(self, bench: Bench, target: Target | None, chance: random.Random) -> str | None:
        how = chance.choice(['gone', 'without packages'])
        for program in list(bench.environment.iterdir()):
            if program.suffix:
                continue
            whole = program.with_suffix('.whole')
            program.replace(whole)
            if how == 'without packages':
                lines = {'python': 'exec {} -S "$@"', 'gpaw': 'exec python3 -S {} "$@"'}
                told = whole.read_text().split()[2]
                program.write_text(f'#!/bin/sh\n{lines[program.name].format(told)}\n')
                program.chmod(0o755)
        return f'interpreters are {how}'

    def heal(self, bench: Bench) -> None:
        for whole in bench.environment.glob('*.whole'):
            whole.replace(whole.with_suffix(''))


class ClockSkew(Fault):
    """The clocks of jobs go wrong by hours, and come right."""

    name = 'clock skew'
    holds = (2.0, 8.0)
    costs = 0

    def missing(self, bench: Bench) -> str | None:
        return None if bench.clock_library.exists() else 'there is no compiler to build clock.c'

    def inject(self, bench: Bench, target: Target | None, chance: random.Random) -> str | None:
        off = chance.choice([-1, 1]) * chance.randint(1, SKEW_SECONDS)
        bench.clock.write_text(str(off))
        return f'clocks are off by {off} s'

    def heal(self, bench: Bench) -> None:
        bench.clock.write_text('0')


# --- of AiiDA's machine ----------------------------------------------------------------------------------------------


class WorkerKilled(Fault):
    name = 'daemon worker killed'
    costs = 0

    def inject(self, bench: Bench, target: Target | None, chance: random.Random) -> str | None:
        workers = bench.workers()
        hit = chance.choice(workers) if workers else None
        return f'killed {hit.pid}, one of {len(workers)}' if hit and send([hit], signal.SIGKILL) else None


class BrokerKilled(Fault):
    """Circus starts another, to which the workers do not come back: the daemon is started anew."""

    name = 'broker killed'
    holds = (2.0, 8.0)
    costs = 0

    def inject(self, bench: Bench, target: Target | None, chance: random.Random) -> str | None:
        killed = send(bench.brokers(), signal.SIGKILL)
        return f'killed {killed} broker' if killed else None

    def heal(self, bench: Bench) -> None:
        bench.restart_daemon()


class DaemonKilled(Fault):
    """All of the daemon at once: circus, workers and broker, as when the machine goes down."""

    name = 'daemon killed whole'
    holds = (1.0, 6.0)
    costs = 0

    def inject(self, bench: Bench, target: Target | None, chance: random.Random) -> str | None:
        killed = send(bench.daemon_processes(), signal.SIGKILL)
        return f'killed {killed} processes' if killed else None

    def heal(self, bench: Bench) -> None:
        bench.start_daemon()


class RepositoryDiskFull(Fault):
    """Database (of SQLite), repository and queue of the broker have no room; the broker dies of it."""

    name = 'AiiDA repository full'
    holds = (3.0, 8.0)
    costs = 1
    codes = frozenset({301})
    excepts = True

    def missing(self, bench: Bench) -> str | None:
        return None if bench.aiida_path in bench.mounted else 'no file system may be mounted here'

    def inject(self, bench: Bench, target: Target | None, chance: random.Random) -> str | None:
        bench.fill(bench.aiida_path)
        return 'not a byte is left'

    def heal(self, bench: Bench) -> None:
        bench.free(bench.aiida_path)
        bench.restart_daemon()


class PostgresqlRestarted(Fault):
    name = 'PostgreSQL restarted'
    costs = 0

    def missing(self, bench: Bench) -> str | None:
        return None if bench.postgresql is not None else 'the profile is on SQLite: --storage postgresql'

    def inject(self, bench: Bench, target: Target | None, chance: random.Random) -> str | None:
        mode = chance.choice(['fast', 'immediate'])
        return f'restarted, mode {mode}' if bench.restart_postgresql(mode) else None


FAULTS: dict[str, type[Fault]] = {
    'walltime': Walltime, 'engine': EngineKilled, 'helper': HelperKilled, 'scancel': Scancel, 'requeue': Requeue,
    'result': TruncatedResult, 'checkpoint': HalfCheckpoint, 'node': NodeDown, 'slurmd': SlurmdKilled,
    'slurmctld': SlurmctldKilled, 'sshd': SshdKilled, 'sessions': SessionsKilled, 'network': NetworkCut,
    'work-disk': WorkDiskFull, 'environment': EnvironmentBroken, 'clock': ClockSkew, 'worker': WorkerKilled,
    'broker': BrokerKilled, 'daemon': DaemonKilled, 'repository': RepositoryDiskFull,
    'postgresql': PostgresqlRestarted,
}  # fmt: skip
"""By the names of the command line."""
