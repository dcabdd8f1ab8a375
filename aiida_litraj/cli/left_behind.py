"""Chains that were run in the foreground by a program that is gone: nobody goes on with them, and their jobs run on.

A program that is killed with signal 9, or left at once by a second signal, cannot end what it has started. Which one
runs a chain stands in an extra of it, so that the next launch on the same machine can.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from aiida.orm import CalcJobNode, ProcessNode

RUN_BY = 'litraj_run_by'
"""Extra of a chain that is run in the foreground: host, process id, and when that process was started."""
LEFT_BEHIND = 'was run by a program that is gone: nothing goes on with it'
SAME_START_SECONDS = 1.0
ANSWER_SECONDS = 3.0
"""A worker of the daemon answers at once whether it has a process, or not at all."""
PATIENCE_SECONDS = 30.0
"""An engine that is told to end does so after the evaluations that are under way."""


def sign(chain: ProcessNode) -> None:
    """Note on a chain that this program runs it."""
    started = psutil.Process().create_time()
    chain.base.extras.set(RUN_BY, {'host': socket.gethostname(), 'pid': os.getpid(), 'started': started})


def is_left_behind(process: ProcessNode) -> bool:
    """Whether a process has not ended, and the program of this machine that ran it has."""
    top: Any = process
    while top.caller is not None:
        top = top.caller
    by = top.base.extras.get(RUN_BY, None)
    if process.is_terminated or by is None or by['host'] != socket.gethostname() or by['pid'] == os.getpid():
        return False
    try:
        return bool(abs(psutil.Process(by['pid']).create_time() - by['started']) > SAME_START_SECONDS)
    except psutil.Error:
        return True


def end_left_behind() -> list[int]:
    """End the chains that were left behind, and their jobs, which write a checkpoint; return the chains."""
    from aiida.engine import ProcessState
    from aiida.orm import QueryBuilder, WorkChainNode

    alive = [ProcessState.CREATED.value, ProcessState.RUNNING.value, ProcessState.WAITING.value]
    filters = {'extras': {'has_key': RUN_BY}, 'attributes.process_state': {'in': alive}}
    left = QueryBuilder().append(WorkChainNode, filters=filters).all(flat=True)
    left = [chain for chain in left if is_left_behind(chain) and not _has_another_runner(chain)]
    for chain in left:
        for process in [chain, *chain.called_descendants]:
            if not process.is_terminated:
                _end(process)
    return [chain.pk for chain in left]


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


def _end(process: ProcessNode) -> None:
    from aiida.engine import ProcessState
    from aiida.orm import CalcJobNode

    if isinstance(process, CalcJobNode) and process.get_job_id() is not None:
        with contextlib.suppress(Exception):  # a computer that cannot be asked now: the chain is over all the same
            asyncio.run(_end_job(process))
    process.set_process_state(ProcessState.KILLED)
    process.set_process_status('Killed: the program that ran it is gone')
    process.delete_checkpoint()
    process.seal()


async def _end_job(job: CalcJobNode) -> None:
    """Tell the scheduler to end a job that still runs, and wait for its checkpoint, which the next one copies."""
    job_id, family = str(job.get_job_id()), []
    if job.computer.scheduler_type == 'core.direct' and job.computer.transport_type == 'core.local':
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(int(job_id))
            if process.cwd() != os.path.realpath(str(job.get_remote_workdir())):
                return  # there the id is that of a process, and by now another's
            family = process.children(recursive=True)
    async with job.get_transport() as transport:
        scheduler = job.computer.get_scheduler()
        scheduler.set_transport(transport)
        if job_id not in scheduler.get_jobs(jobs=[job_id], as_dict=True):
            return
        scheduler.kill_job(job_id)
        psutil.wait_procs(family, timeout=PATIENCE_SECONDS)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while job_id in scheduler.get_jobs(jobs=[job_id], as_dict=True) and time.monotonic() < deadline:
            await asyncio.sleep(1.0)
