"""Chains that were run in the foreground by a program that is gone: nobody goes on with them, and their jobs run on.

A program that is killed with signal 9, or left at once by a second signal, cannot end what it has started. Which one
runs a chain stands in an extra of it, so that the next launch on the same machine can.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from aiida.orm import ProcessNode

RUN_BY = 'litraj_run_by'
"""Extra of a chain that is run in the foreground: host, process id, and when that process was started."""
LEFT_BEHIND = 'was run by a program that is gone: nothing goes on with it'
SAME_START_SECONDS = 300.0
"""Where only the clock tells when a process was started, which may be set right while it runs."""
ANSWER_SECONDS = 3.0
"""A worker of the daemon answers at once whether it has a process, or not at all."""
_BOOT = Path('/proc/sys/kernel/random/boot_id')


def sign(chain: ProcessNode) -> None:
    """Note on a chain that this program runs it."""
    pid = os.getpid()
    chain.base.extras.set(RUN_BY, {'host': socket.gethostname(), 'pid': pid, **_start_of(pid)})


def _start_of(pid: int) -> dict[str, Any]:
    """Return when a process was started: in ticks since the boot, which no clock that is set changes, if there are any.

    :raises OSError: if there is no such process; elsewhere than on Linux :class:`psutil.Error`.
    """
    if not _BOOT.exists():
        return {'started': psutil.Process(pid).create_time()}
    state, *fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    if state == 'Z':
        raise ProcessLookupError(f'{pid} has ended')
    return {'boot': _BOOT.read_text().strip(), 'ticks': int(fields[18])}


def is_left_behind(process: ProcessNode) -> bool:
    """Whether a process has not ended, and the program of this machine that ran it has."""
    top: Any = process
    while top.caller is not None:
        top = top.caller
    by = top.base.extras.get(RUN_BY, None)
    if process.is_terminated or by is None or by['host'] != socket.gethostname() or by['pid'] == os.getpid():
        return False
    try:
        now = _start_of(by['pid'])
    except (psutil.Error, OSError):
        return True
    if 'started' in by and 'started' in now:
        return bool(abs(now['started'] - by['started']) > SAME_START_SECONDS)
    return any(by.get(key) != value for key, value in now.items())


def end_left_behind() -> dict[int, list[str]]:
    """End the chains that were left behind, and their jobs, which write a checkpoint; and children left alone.

    :returns: for each chain, or child alone, why it could not be ended, in words: a job of it may go on. Then it stays
        as it is.
    """
    from aiida.engine import ProcessState
    from aiida.orm import QueryBuilder, WorkChainNode

    alive = [ProcessState.CREATED.value, ProcessState.RUNNING.value, ProcessState.WAITING.value]
    filters = {'extras': {'has_key': RUN_BY}, 'attributes.process_state': {'in': alive}}
    left = QueryBuilder().append(WorkChainNode, filters=filters).all(flat=True)
    left = [one for one in [*left, *left_alone()] if is_left_behind(one) and not _has_another_runner(one)]
    processes = {chain.pk: [chain, *chain.called_descendants] for chain in left}
    problems = _end_jobs([process for family in processes.values() for process in family])
    for family in processes.values():
        stays = any(process.pk in problems for process in family)
        for process in family:
            if process.pk not in problems and not (stays and isinstance(process, WorkChainNode)):
                _seal(process)
    return {pk: [problems[one.pk] for one in family if one.pk in problems] for pk, family in processes.items()}


def is_alone(process: ProcessNode) -> bool:
    """Whether a process has not ended, and the chain that called it has."""
    return process.caller is not None and process.caller.is_terminated and not process.is_terminated


def left_alone() -> list[ProcessNode]:
    """Return the processes that are left behind although the chains that called them have ended."""
    from aiida.engine import ProcessState
    from aiida.orm import ProcessNode, QueryBuilder

    from .under_way import NOT_ENDED

    ended = [ProcessState.FINISHED.value, ProcessState.EXCEPTED.value, ProcessState.KILLED.value]
    query = QueryBuilder().append(ProcessNode, filters={'attributes.process_state': {'in': ended}}, tag='above')
    found = query.append(ProcessNode, with_incoming='above', filters=NOT_ENDED).all(flat=True)
    return [process for process in sorted(found, key=lambda one: one.pk) if is_left_behind(process)]


def _has_another_runner(chain: ProcessNode) -> bool:
    """Whether the daemon has taken the chain up, as after ``verdi process repair``."""
    from aiida.engine.daemon.client import get_daemon_client
    from aiida.manage import get_manager

    if not get_daemon_client().is_daemon_running:
        return False
    try:
        get_manager().get_process_controller().get_status(chain.pk).result(timeout=ANSWER_SECONDS)
    except Exception:
        # No worker has it: whatever the broker calls that.
        return False
    return True


def _seal(process: ProcessNode) -> None:
    """Note that a process has ended, unless another launch has done so meanwhile."""
    from aiida.common.exceptions import ModificationNotAllowed
    from aiida.engine import ProcessState

    if process.is_sealed or process.is_terminated:
        return
    with contextlib.suppress(ModificationNotAllowed):
        process.set_process_state(ProcessState.KILLED)
        process.set_process_status('Killed: the program that ran it is gone')
        process.delete_checkpoint()
        process.seal()


def _end_jobs(processes: Sequence[ProcessNode]) -> dict[int, str]:
    """End the jobs among processes that may run, and return of each that may go on why, in words."""
    from aiida.manage import get_manager
    from aiida.orm import CalcJobNode

    from .ending import EndingJob, told_to_end
    from .stopping import foreground_runner

    jobs = [one for one in processes if isinstance(one, CalcJobNode) and not one.is_terminated]
    jobs = [job for job in jobs if job.get_job_id() is not None]
    if not jobs:
        return {}

    async def end() -> list[EndingJob]:
        async with told_to_end(jobs) as ending:
            pass
        return ending

    # Connections over ssh need the loop of the global runner, and leave to no one else one without the broker.
    runner: Any = foreground_runner()
    try:
        ending = runner.run_until_complete(end())
    finally:
        get_manager().reset_runner()
    return {job.node.pk: job.problem for job in ending if job.problem is not None}
