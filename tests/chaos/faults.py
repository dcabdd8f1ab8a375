"""What goes wrong: each fault is injected, lasts a while, is healed, and has an expected outcome."""

from __future__ import annotations

import random
import signal
import time
from typing import ClassVar

import psutil

from tests.chaos.bench import Bench, send
from tests.chaos.fault import Fault, Target
from tests.chaos.faults_of_jobs import (
    EngineKilled,
    HalfCheckpoint,
    HelperKilled,
    Requeue,
    Scancel,
    TruncatedResult,
    Walltime,
)
from tests.testbed import cluster

SKEW_SECONDS = 3 * 3600

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
        bench.repair()


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
        bench.repair()


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
