"""Running a process in the foreground with a progress bar that shows what its engine writes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .console import console
from .errors import Refusal
from .label_state import kept_text, labels_so_far, labels_text, share_done
from .live import read_progress_through
from .under_way import Round, running_jobs

if TYPE_CHECKING:
    from aiida.engine import Process, ProcessBuilder
    from aiida.orm import CalcJobNode, ProcessNode

    from ..contract.result import Progress
    from .stopping import Ending, Stop

POLL_SECONDS = 1.0
LINE_SECONDS = 20.0
"""Without a terminal there is no bar but a line, at most this often."""

Show = Callable[[float, str], None]
Say = Callable[[str], None]


def instantiate(builder: ProcessBuilder) -> Process:
    """Return the process of a builder, its inputs validated and stored, not yet started.

    :raises ValueError: if an input cannot be used.
    """
    from ..codes.profile import wait_for_locks
    from .stopping import foreground_runner

    wait_for_locks()
    tidy_up()
    return foreground_runner().instantiate_process(builder)


def tidy_up() -> None:
    """End what launches that were killed have left behind on this machine, and say so."""
    from aiida.orm import load_node

    from .left_behind import end_left_behind

    with _quiet_log() as hush:
        hush()  # what a connection that fails logs is said below
        chains = end_left_behind()
    for pk, problems in chains.items():
        alone = load_node(pk).caller is not None  # of a chain that has ended
        which = f'{"Process" if alone else "Chain"} {pk}, which a launch that was killed had left behind,'
        text = f'{which} is ended{"" if alone else " with its job"}.'
        if problems:
            text = f'{which} is not ended, and nothing is taken up from it: {"; ".join(problems)}.'
            text += ' The next launch tries once more.'
        console(stderr=True).print(text)


def run_with_progress(process: Process, title: str = 'Barrier') -> ProcessNode:
    """Run a process here until it has ended and return its node; progress goes to the standard error stream.

    :raises Stopped: if a signal has ended it; then its jobs have been ended too.
    """
    from aiida.engine.utils import loop_scope

    from .left_behind import sign
    from .stopping import Stop, forget_exceptions

    sign(process.node)
    runner: Any = process.runner
    runner.is_ending = False
    words = f'Left at once: chain {process.pid} and its job are not ended. The next launch ends them.'
    stop = Stop(runner.loop, words)
    with _quiet_log() as hush, loop_scope(runner.loop), stop.listening():
        with _display(f'{title} (pk {process.pid})') as (show, say):
            resumptions = Resumptions(process.node, say)
            ending = runner.run_until_complete(_drive(process, stop, show, hush, resumptions))
            resumptions.tell()
        forget_exceptions([process, *runner.under_way])
        runner.under_way.clear()
    if stop.number is not None and not process.is_successful:
        raise Stopped(process.node, stop.number, ending)
    return process.node


class Resumptions:
    """Tells once of each job of a process that it goes on from one of before."""

    def __init__(self, node: ProcessNode, say: Say) -> None:
        self._node, self._say = node, say
        self._told: set[int] = set()

    def tell(self, jobs: Sequence[CalcJobNode] | None = None) -> None:
        """Tell of those that are new, among some jobs or all of the process."""
        from ..workflows.resume import resumed_from
        from .processes import jobs_of

        for job in jobs_of(self._node) if jobs is None else jobs:
            if job.pk in self._told or job.get_remote_workdir() is None:
                continue
            self._told.add(job.pk)
            before = resumed_from(job)
            if before is not None:
                self._say(f'Goes on from job {before.pk}, which was stopped. From the start: --no-cache')


async def _drive(
    process: Process, stop: Stop, show: Show, hush: Callable[[], None], resumptions: Resumptions
) -> Ending:
    """Step a process until it has ended, by itself or because of a signal; return how it was ended."""
    from .stopping import Ending, end_all

    runner: Any = process.runner
    watch = asyncio.ensure_future(_watch(runner, process.node, show, resumptions))
    run = asyncio.ensure_future(process.step_until_terminated())
    asked = asyncio.ensure_future(stop.asked.wait())
    ending = Ending()
    try:
        await asyncio.wait({run, asked}, return_when=asyncio.FIRST_COMPLETED)
        await _cancel(watch)
        if asked.done() and not run.done():
            show(0.0, 'stopping; once more leaves at once')
            hush()  # an upload that is broken off is an error to AiiDA, and to no one else
            ending = await end_all(runner, process)
        if process.has_terminated() or not asked.done():
            await run
    finally:
        for task in (watch, asked, run):
            await _cancel(task)
    return ending


async def _cancel(task: asyncio.Future[Any]) -> None:
    if not task.done():
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Stopped(Refusal):
    """A run that a signal has ended; the exit status is 128 and the signal, as a shell has it."""

    title = 'Stopped'

    def __init__(self, node: ProcessNode, number: int, ending: Ending) -> None:
        from .processes import LAUNCH_AGAIN, jobs_of

        told = {0: [], 1: ['its job has been told to end']}.get(ending.jobs, ['its jobs have been told to end'])
        parts = [f'chain {node.pk} is killed', *told]
        if ending.problems:
            parts = [f'chain {node.pk} is killed', *ending.problems]
        begun = any(job.get_job_id() is not None for job in jobs_of(node))
        super().__init__(
            ', and '.join(parts),
            kept_text(node) or (LAUNCH_AGAIN if begun else 'Nothing was computed yet.'),
            pk=node.pk,
            uuid=node.uuid,
        )
        self.exit_code = 128 + number


async def _watch(runner: Any, node: ProcessNode, show: Show, resumptions: Resumptions) -> None:
    """Read the progress of the jobs under way again and again, until cancelled."""
    bar = Round()
    show(0.0, 'preparing')
    while True:
        await asyncio.sleep(POLL_SECONDS)
        jobs, seen = running_jobs(node), []
        resumptions.tell(jobs)
        labels = labels_so_far(node)
        if labels:
            show(share_done(labels), '; '.join(map(labels_text, labels)))
            continue
        for job in jobs:
            try:
                progress = await _ask(runner, job)
            except Exception as error:
                # The job itself meets a broken connection and says so; what is lost here is one look.
                logging.getLogger(__name__).debug('no progress: %s', error)
                continue
            if progress is not None:
                seen.append((job, progress))
        if seen:
            show(*bar.update(node, seen))


async def _ask(runner: Any, job: Any) -> Progress | None:
    async with runner.transport.request_transport(job.get_authinfo()) as request:
        return await read_progress_through(await request, job)


@contextlib.contextmanager
def _display(title: str) -> Iterator[tuple[Show, Say]]:
    """Yield what shows a fraction and a text, as a bar or as lines, and what prints a line beside it."""
    screen = console(stderr=True)
    if not screen.is_terminal:
        yield _line_printer(screen, title), screen.print
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn('{task.description}'), BarColumn(24), TimeElapsedColumn(), TextColumn('{task.fields[state]}'))
    # Twice a second is enough to see it move, and leaves the cores to the calculation.
    with Progress(*columns, console=screen, refresh_per_second=2) as bar:
        task = bar.add_task(title, total=None, state='')

        def show(fraction: float, text: str) -> None:
            bar.update(task, total=1.0 if fraction > 0 else None, completed=fraction, state=text)

        yield show, screen.print
        if not bar.tasks[0].fields['state'].startswith('stopping'):
            bar.update(task, total=1.0, completed=1.0, state='done')


def _line_printer(screen: Any, title: str) -> Show:
    began = time.monotonic()
    last = [-LINE_SECONDS]

    def show(_: float, text: str) -> None:
        now = time.monotonic() - began
        if now - last[0] >= LINE_SECONDS:
            last[0] = now
            screen.print(f'[{int(now) // 60:02d}:{int(now) % 60:02d}] {title}: {text}')

    return show


@contextlib.contextmanager
def _quiet_log() -> Iterator[Callable[[], None]]:
    """Keep AiiDA's reports off the screen, where the bar is; they are in the process's log all the same.

    Yields a function that keeps its errors off too.
    """
    handlers = {
        handler
        for name in ('aiida', 'plumpy', 'kiwipy')
        for handler in logging.getLogger(name).handlers
        if type(handler).__name__ in ('StreamHandler', 'CliHandler')
    }
    levels = {handler: handler.level for handler in handlers}
    for handler in handlers:
        # Warnings are AiiDA's remarks on exit codes, which are said in words at the end; errors are what it repeats.
        handler.setLevel(max(logging.ERROR, handler.level))

    def hush() -> None:
        for handler in handlers:
            handler.setLevel(logging.CRITICAL + 1)

    try:
        yield hush
    finally:
        for handler, level in levels.items():
            handler.setLevel(level)
