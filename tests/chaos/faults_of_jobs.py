"""What goes wrong with single jobs."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import psutil

from aiida_litraj.contract import files
from tests.chaos.bench import Bench, send, wait_until
from tests.chaos.fault import OF_THE_ENGINE, OfJob, Target

RESULT_S = 40.0
"""How long is waited for the result of a job that is to be damaged."""


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
        engine = target.main[:1]  # once: it may end between two looks
        return f'killed {engine[0].pid}' if engine and send(engine, signal.SIGKILL) else None


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
