"""Ending jobs on their computers, and waiting until they have written what the next job takes up."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import time
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from aiida.schedulers import JobState

if TYPE_CHECKING:
    from aiida.orm import CalcJobNode

PATIENCE_SECONDS = 30.0
"""An engine that is told to end does so after the evaluations that are under way."""
POLL_SECONDS = 1.0
_OURS, _UNKNOWN = 'ours', 'unknown'
_PROCESSES = f"""kill -0 {{pid}} 2>/dev/null || exit 0
case "$(ps -o stat= -p {{pid}})" in ''|Z*) exit 0;; esac
at=$(readlink /proc/{{pid}}/cwd || lsof -a -p {{pid}} -d cwd -Fn | sed -n 's/^n//p')
[ -n "$at" ] || {{{{ echo {_UNKNOWN}; exit 0; }}}}
[ "$at" = "$(cd {{folder}} && pwd -P)" ] || exit 0
echo {_OURS}
ps -A -o pid= -o ppid=
"""
"""Says nothing if there is no process of this number, or it is another's by now: a job of ours runs in its folder."""


@contextlib.asynccontextmanager
async def told_to_end(jobs: Sequence[CalcJobNode]) -> AsyncIterator[list[EndingJob]]:
    """Tell jobs to end, yield them, and at last wait until they have."""
    ending = [EndingJob(job) for job in jobs]
    async with contextlib.AsyncExitStack() as connections:
        for job in ending:
            await job.tell(connections)
        yield ending
        deadline = time.monotonic() + PATIENCE_SECONDS
        for job in ending:
            await job.wait(deadline)


class EndingJob:
    """A job that is to end; ``problem`` says why it may go on all the same, ``None`` if it has ended."""

    def __init__(self, node: CalcJobNode) -> None:
        self.node = node
        self.problem: str | None = None
        self._id = str(node.get_job_id())
        self._place = f'the job {self._id} on {node.computer.label}'
        self._transport: Any = None
        self._scheduler: Any = None
        self._family: list[str] | None = None

    async def tell(self, connections: contextlib.AsyncExitStack) -> None:
        """Tell it to end, over a connection that stays open as long as ``connections``."""
        try:
            # One of its own: a shared one is opened later, and fails once more when it is closed.
            self._transport = await connections.enter_async_context(self.node.get_transport())
            if self.node.computer.scheduler_type == 'core.direct':
                await self._tell_processes()
            else:
                self._tell_scheduler()
        except Exception as error:  # whatever a transport or a scheduler's plugin raises
            self.problem = f'{self._place} may go on: {error or type(error).__name__}'

    async def wait(self, deadline: float) -> None:
        """Wait until it has ended."""
        try:
            while self.problem is None and await self._is_alive():
                if time.monotonic() > deadline:
                    self.problem = f'{self._place} was told to end, and has not within {PATIENCE_SECONDS:.0f} s'
                    return
                await asyncio.sleep(POLL_SECONDS)
        except Exception as error:
            self.problem = f'{self._place} was told to end, and may go on: {error or type(error).__name__}'

    async def _tell_processes(self) -> None:
        """Do what AiiDA does for jobs without a scheduler; but it looks for their children on this machine only."""
        folder = shlex.quote(str(self.node.get_remote_workdir()))
        first, *lines = (await self._run(_PROCESSES.format(pid=int(self._id), folder=folder))).splitlines() or ['']
        if first == _UNKNOWN:
            raise RuntimeError('the folder in which the process of this number runs cannot be read')
        self._family = []
        if first == _OURS:
            self._family = _descendants(self._id, [line.split() for line in lines])
            await self._run(f'kill {" ".join(self._family)}')

    def _tell_scheduler(self) -> None:
        self._scheduler = self.node.computer.get_scheduler()
        self._scheduler.set_transport(self._transport)
        if not self._is_listed():
            return
        try:
            told, reason = self._scheduler.kill_job(self._id), 'the scheduler did not say why'
        except Exception as error:  # one reason is that it has ended since
            told, reason = False, str(error) or type(error).__name__
        if not told and self._is_listed():
            raise RuntimeError(reason)

    def _is_listed(self) -> bool:
        found = self._scheduler.get_jobs(jobs=[self._id], as_dict=True)
        return self._id in found and found[self._id].job_state is not JobState.DONE

    async def _is_alive(self) -> bool:
        if self._family is None:
            return self._is_listed()
        if not self._family:
            return False
        states = (await self._run(f'ps -o stat= -p {",".join(self._family)}')).split()
        return any(not state.startswith('Z') for state in states)

    async def _run(self, command: str) -> str:
        _, output, _ = await self._transport.exec_command_wait_async(command)
        return str(output)


def _descendants(top: str, pairs: Sequence[Sequence[str]]) -> list[str]:
    """Return a process and all it has started, from pairs of a process and its parent."""
    family = [top]
    for parent in family:
        family += [child for child, its_parent in pairs if its_parent == parent]
    return family
