"""Worker processes that evaluate one configuration a time: the parent's side, and the program a worker runs.

A worker is a fresh interpreter rather than a fork (forking after torch has started its threads is not safe) and
rather than ``multiprocessing``'s spawn (which runs the caller's main module again). It talks over a socket pair; it
ends when the parent's end closes, so a parent killed with -9 leaves no orphans.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import subprocess
import sys
import threading
import time
import traceback
from collections import deque
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any

from ..contract.errors import LitrajError
from ..contract.potential import PotentialReport, PotentialSpec
from .durations import Durations
from .failure import Failure, Tolerant
from .models import Configuration, Evaluation, load
from .models.devices import available_cores
from .signals import signals_blocked

LoadArguments = tuple[PotentialSpec, Path, str, str, str]
THREAD_VARIABLES = ('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'NUMEXPR_NUM_THREADS')
_PACKAGE_ROOT = str(Path(__file__).resolve().parents[2])
_MAXRSS_MB = 1.0 / (1 << 20) if sys.platform == 'darwin' else 1.0 / (1 << 10)


def peak_memory_mb() -> float:
    """Return the largest resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_MB


def limit_threads(threads: int | None) -> None:
    """Let torch use ``threads`` threads, by default all the cores this process may use, where torch is in use at all.

    torch itself counts the cores of the machine: in a container with a quota it would start too many.
    """
    torch = sys.modules.get('torch')
    if torch is not None and (threads is not None or 'OMP_NUM_THREADS' not in os.environ):
        torch.set_num_threads(threads or available_cores())


@dataclass
class _Worker:
    """A process with the other end of its connection; ``ticket`` is what it is working on."""

    process: subprocess.Popen[bytes]
    connection: Connection
    loaded: bool = False
    ticket: int | None = None
    cpu_seconds: float = 0.0
    peak_memory_mb: float = 0.0

    @property
    def idle(self) -> bool:
        return self.loaded and self.ticket is None


def _start(threads: int, arguments: LoadArguments) -> _Worker:
    ours, theirs = Pipe(duplex=True)
    paths = [_PACKAGE_ROOT, *filter(None, [os.environ.get('PYTHONPATH')])]
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(paths)}
    environment.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    with theirs, signals_blocked():
        process = subprocess.Popen(
            [sys.executable, '-m', __name__, str(theirs.fileno()), str(threads)],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=sys.__stderr__,  # what a library prints must not mix with the engine's own output
            env=environment,
        )
    ours.send(arguments)
    return _Worker(process, ours)


class Workers:
    """Up to ``processes`` worker processes with ``threads`` threads each; one configuration a call.

    The first is started at once and tells what the potential is. The others follow when there is more in the queue
    than the workers so far can take: with a hundred cores and one path most never start.

    :raises LitrajError: if the potential cannot be loaded.
    """

    halvings = 0

    def __init__(self, processes: int, threads: int, arguments: LoadArguments) -> None:
        self.calls = 0
        self.model_seconds = 0.0
        self.durations = Durations()
        self._threads = threads
        self._processes = processes
        self._arguments = arguments
        self._queue: deque[tuple[int, Configuration]] = deque()
        self._ready: list[tuple[int, Evaluation | Failure]] = []
        self._workers: list[_Worker] = []
        self.report: PotentialReport
        self.device: str
        self.dtype: str
        try:
            first = _start(threads, arguments)
            self._workers.append(first)
            while not first.loaded:
                self._receive(first)
        except BaseException:
            self.close()
            raise

    @property
    def capacity(self) -> int:
        """How many configurations can be worked on at once."""
        return self._processes

    @property
    def pending(self) -> int:
        """How many tickets have been submitted and not collected."""
        working = sum(worker.ticket is not None for worker in self._workers)
        return len(self._queue) + working + len(self._ready)

    @property
    def cpu_seconds(self) -> float:
        """Processor time of all the workers in s."""
        return sum(worker.cpu_seconds for worker in self._workers)

    @property
    def peak_memory_mb(self) -> float:
        """Sum of the workers' largest resident memories in MB."""
        return sum(worker.peak_memory_mb for worker in self._workers)

    def submit(self, ticket: int, configuration: Configuration) -> None:
        """Queue a configuration, hand it to an idle worker, start another worker if all are busy."""
        self._queue.append((ticket, configuration))
        self._dispatch()
        free = sum(worker.ticket is None for worker in self._workers)
        if len(self._queue) > free and len(self._workers) < self._processes:
            self._workers.append(_start(self._threads, self._arguments))

    def _dispatch(self) -> None:
        for worker in self._workers:
            if self._queue and worker.idle:
                ticket, configuration = self._queue.popleft()
                worker.ticket = ticket
                try:
                    worker.connection.send((ticket, configuration))
                except OSError:
                    self._receive(worker)  # says why it died

    def _receive(self, worker: _Worker) -> None:
        """Take one message of ``worker``.

        :raises LitrajError: if its potential cannot be loaded, or the workers together have filled the memory.
        :raises RuntimeError: if it crashed.
        """
        try:
            kind, *content = worker.connection.recv()
        except (EOFError, OSError) as error:
            status = worker.process.wait()
            how = f'killed by signal {-status} (out of memory?)' if status < 0 else f'exit status {status}'
            raise RuntimeError(f'a worker process died: {how}') from error
        if kind == 'loaded':
            self.report, self.device, self.dtype = content[:3]
            worker.loaded = True
            self._account(worker, content[3])
        elif kind == 'done':
            answer, seconds, usage = content
            assert worker.ticket is not None
            self._ready.append((worker.ticket, answer))
            worker.ticket = None
            self.calls += isinstance(answer, Evaluation)
            self.model_seconds += seconds
            self.durations.append(usage[0] - worker.cpu_seconds)
            self._account(worker, usage)
        elif kind == 'refused':
            label, fields = content
            raise LitrajError(label, **fields)
        else:
            raise RuntimeError(f'a worker process crashed:\n{content[0]}')

    @staticmethod
    def _account(worker: _Worker, usage: tuple[float, float]) -> None:
        worker.cpu_seconds, worker.peak_memory_mb = usage

    def collect(self, block: bool, timeout: float | None) -> list[tuple[int, Evaluation | Failure]]:
        """Return what is ready, with ``block`` at least one evaluation unless ``timeout`` seconds pass."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            busy = {worker.connection: worker for worker in self._workers if not worker.idle}
            remaining = None if deadline is None else max(0.0, deadline - time.monotonic())
            patience = remaining if block and self.pending and not self._ready else 0.0
            for connection in wait(list(busy), patience):
                self._receive(busy[connection])  # type: ignore[index]
            self._dispatch()
            expired = deadline is not None and time.monotonic() >= deadline
            if self._ready or not block or not self.pending or expired:
                ready, self._ready = self._ready, []
                return ready

    def close(self) -> None:
        """Kill the workers and forget what is queued."""
        self._queue.clear()
        for worker in self._workers:
            worker.connection.close()
            worker.process.kill()
        for worker in self._workers:
            worker.process.wait()
        self._ready = []
        for worker in self._workers:
            worker.ticket = None


def _usage() -> tuple[float, float]:
    return time.process_time(), peak_memory_mb()


def _watch(connection: Connection) -> None:
    """End this process when the parent is gone: an evaluation may have an hour to go, for nobody."""
    hung_up = select.poll()
    hung_up.register(connection.fileno(), select.POLLHUP)
    while not any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in hung_up.poll()):
        pass
    os._exit(0)


def _serve(connection: Connection, threads: int) -> None:
    """Load the potential that the parent names, then evaluate until it hangs up."""
    arguments: LoadArguments = connection.recv()
    evaluator = load(*arguments)
    limit_threads(threads)
    connection.send(('loaded', evaluator.report, evaluator.device, evaluator.dtype, _usage()))
    potential = Tolerant(evaluator)
    while True:
        _, configuration = connection.recv()
        started = time.perf_counter()
        (answer,) = potential.evaluate([configuration])
        if isinstance(answer, Failure) and answer.label == 'ERROR_DEVICE_MEMORY':  # fewer workers may leave it room
            raise LitrajError(answer.label, device=evaluator.device, atoms=len(configuration))
        connection.send(('done', answer, time.perf_counter() - started, _usage()))


def main(arguments: list[str]) -> None:
    """Run a worker on the connection whose file descriptor is the first argument."""
    connection = Connection(int(arguments[0]))
    threading.Thread(target=_watch, args=(connection,), daemon=True).start()
    message: tuple[Any, ...]
    try:
        _serve(connection, int(arguments[1]))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent is gone or has had enough
    except LitrajError as error:
        message = ('refused', error.code.label, {key: str(value) for key, value in error.fields.items()})
    except BaseException:
        message = ('crashed', traceback.format_exc())
    with contextlib.suppress(OSError):
        connection.send(message)


if __name__ == '__main__':
    main(sys.argv[1:])
