"""Stopping what runs in the foreground: a signal ends the chain, its sub-chains and their jobs, and nothing in between.

A signal that interrupts the interpreter in the middle of a commit leaves the session of the database useless. Here a
signal is only noted, and the event loop acts on it between two steps.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

import plumpy
from aiida.engine import CalcJob, Process
from aiida.engine.runners import Runner
from aiida.engine.utils import prepare_inputs
from aiida.manage.manager import get_manager

from .ending import told_to_end

LOGGER = logging.getLogger(__name__)
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE_SECONDS = 30.0
"""Time for the processes to note that they are killed; they do at once unless a connection hangs."""
STOPPED = 'Stopped by a signal'
_SHOW_CURSOR = '\x1b[?25h'


class ForegroundRunner(Runner):
    """Runs chains in this interpreter and knows the processes it has under way, so that they can be ended with it.

    Without the broker nothing else reaches them: AiiDA ends the process that was launched, and its children stay.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.under_way: list[Process] = []
        self.is_ending = False
        """From the moment at which all is killed: what a chain submits then nobody would end."""

    @property
    def is_daemon_runner(self) -> bool:
        """Whether signals are taken care of here: calculation functions then do not take them themselves."""
        return True

    def submit(self, process: Any, inputs: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        """Start a process beside those that run and return its node.

        A chain that is killed in the middle of a step, such as one in which it calls a calculation function, takes the
        step to its end. It ends here instead, before there is a child that nobody would end.

        :raises plumpy.KillInterruption: if all is being killed.
        """
        if self.is_ending:
            raise plumpy.KillInterruption(STOPPED)
        made = self.instantiate_process(process, **prepare_inputs(inputs, **kwargs))
        self.under_way.append(made)
        return super().submit(made)


def foreground_runner() -> ForegroundRunner:
    """Return the global runner, after making it one that can be stopped: transports over ssh ask for the global one."""
    manager = get_manager()
    if not isinstance(manager._runner, ForegroundRunner) or manager._runner.is_closed():
        # Without the broker, which comes with the daemon and need not run.
        settings = {'poll_interval': manager.get_option('runner.poll.interval'), 'persister': manager.get_persister()}
        manager.reset_runner()
        manager.set_runner(ForegroundRunner(**settings))
    return manager.get_runner()  # type: ignore[return-value]


class Stop:
    """A request to stop, made by a signal; a second signal leaves at once."""

    def __init__(self, loop: asyncio.AbstractEventLoop, last_words: str) -> None:
        self.number: int | None = None
        self.asked = asyncio.Event()
        self._loop = loop
        self._last_words = last_words

    @contextlib.contextmanager
    def listening(self) -> Iterator[Stop]:
        """Take the signals that end a program, except those that whoever started it wants ignored (``nohup``)."""
        taken = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, self._note) for number in taken}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number is None:
            self.number = number
            self._loop.call_soon_threadsafe(self.asked.set)
        else:
            text = f'\n{_SHOW_CURSOR if os.isatty(2) else ""}{self._last_words}\n'
            with contextlib.suppress(OSError):  # the terminal may be gone
                os.write(2, text.encode(sys.stderr.encoding or 'utf-8', errors='replace'))
            os._exit(128 + number)


@dataclass(frozen=True)
class Ending:
    """How many jobs were told to end, and what could not be done, in words."""

    jobs: int = 0
    problems: tuple[str, ...] = ()


async def end_all(runner: ForegroundRunner, chain: Process) -> Ending:
    """Kill a chain, its sub-chains and their jobs, and wait until these have ended."""
    # What AiiDA has begun and leaves behind, such as a connection no one waits for any more, is no news now.
    runner.loop.set_exception_handler(lambda _, context: LOGGER.debug('while stopping: %s', context.get('message')))
    runner.is_ending = True
    alive = [process for process in [chain, *runner.under_way] if not process.has_terminated()]
    jobs = [process for process in alive if isinstance(process, CalcJob)]
    for process in alive:  # chains first, before one can answer to the end of its job with another job
        if not isinstance(process, CalcJob):
            _kill(process)
    # What they write when they end is taken up by the same launch, which may come at once.
    async with told_to_end([job.node for job in jobs if job.node.get_job_id() is not None]) as ending:
        for job in jobs:
            _kill(job)
        late = await _wait_for(alive)
    return Ending(len(ending), tuple(problem for problem in [*(job.problem for job in ending), late] if problem))


def _kill(process: Process) -> None:
    # Not AiiDA's own: it asks the broker for the children, and repeats for minutes to end a job that is over.
    # What it was waiting for may just have come: then there is nothing to interrupt, and it is killed at its next step.
    with contextlib.suppress(asyncio.InvalidStateError):
        plumpy.Process.kill(process, STOPPED)


async def _wait_for(processes: Sequence[Process]) -> str | None:
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while left := [process for process in processes if not process.has_terminated()]:
        if asyncio.get_running_loop().time() > deadline:
            return f'process {", ".join(str(process.pid) for process in left)} did not end'
        await asyncio.sleep(0.05)
    return None


def forget_exceptions(processes: Sequence[Process]) -> None:
    """Mark what processes ended with as seen: it is in their nodes, and asyncio would print it once more."""
    for process in processes:
        future = process.future()
        if future.done() and not future.cancelled():
            future.exception()
