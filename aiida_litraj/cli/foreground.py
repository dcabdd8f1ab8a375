"""Running a process in the foreground with a progress bar that shows what its engine writes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .console import console
from .live import Gauge, describe, read_progress_through, running_job

if TYPE_CHECKING:
    from aiida.engine import Process, ProcessBuilder
    from aiida.orm import ProcessNode

    from ..contract.neb import Progress

POLL_SECONDS = 1.0
LINE_SECONDS = 20.0
"""Without a terminal there is no bar but a line, at most this often."""

Show = Callable[[float, str], None]


def instantiate(builder: ProcessBuilder) -> Process:
    """Return the process of a builder, its inputs validated and stored, not yet started.

    :raises ValueError: if an input cannot be used.
    """
    from aiida.manage.manager import get_manager

    # Without the broker, which comes with the daemon and need not run. Transports over ssh ask for the global runner,
    # so it has to be that one.
    return get_manager().get_runner(communicator=None).instantiate_process(builder)


def run_with_progress(process: Process, title: str = 'Barrier') -> ProcessNode:
    """Run a process here until it has ended and return its node; progress goes to the standard error stream."""
    runner = process.runner
    with _quiet_log(), _display(f'{title} (pk {process.pid})') as show:
        watch = runner.loop.create_task(_watch(runner, process.node, show))
        try:
            _, node = runner.run_get_node(process)
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                runner.run_until_complete(watch)
    return node


async def _watch(runner: Any, node: ProcessNode, show: Show) -> None:
    """Read the progress of the job under way again and again, until cancelled."""
    gauge = Gauge()
    show(0.0, 'preparing')
    while True:
        await asyncio.sleep(POLL_SECONDS)
        job = running_job(node)
        if job is None:
            continue
        try:
            progress = await _ask(runner, job)
        except Exception as error:
            # The job itself meets a broken connection and says so; what is lost here is one look.
            logging.getLogger(__name__).debug('no progress: %s', error)
            continue
        if progress is not None:
            show(gauge.update(progress), describe(progress))


async def _ask(runner: Any, job: Any) -> Progress | None:
    async with runner.transport.request_transport(job.get_authinfo()) as request:
        return await read_progress_through(await request, job)


@contextlib.contextmanager
def _display(title: str) -> Iterator[Show]:
    """Yield a function that shows a fraction and a text, as a bar on a terminal and as lines elsewhere."""
    screen = console(stderr=True)
    if not screen.is_terminal:
        yield _line_printer(screen, title)
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn('{task.description}'), BarColumn(24), TimeElapsedColumn(), TextColumn('{task.fields[state]}'))
    # Twice a second is enough to see it move, and leaves the cores to the calculation.
    with Progress(*columns, console=screen, refresh_per_second=2) as bar:
        task = bar.add_task(title, total=None, state='')

        def show(fraction: float, text: str) -> None:
            bar.update(task, total=1.0 if fraction > 0 else None, completed=fraction, state=text)

        yield show
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
def _quiet_log() -> Iterator[None]:
    """Keep AiiDA's reports off the screen, where the bar is; they are in the process's log all the same."""
    handlers = {
        handler
        for name in ('aiida', 'plumpy', 'kiwipy')
        for handler in logging.getLogger(name).handlers
        if type(handler).__name__ in ('StreamHandler', 'CliHandler')
    }
    levels = {handler: handler.level for handler in handlers}
    for handler in handlers:
        handler.setLevel(max(logging.WARNING, handler.level))
    try:
        yield
    finally:
        for handler, level in levels.items():
            handler.setLevel(level)
