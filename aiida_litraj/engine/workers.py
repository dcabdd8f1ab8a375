"""Worker processes that evaluate for this one: the parent's side on a CPU, and the program that each of them runs.

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
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any

from ..contract.errors import LitrajError
from ..contract.potential import PotentialReport, PotentialSpec
from .budget import Ticketed
from .durations import Durations
from .failure import Failure, Tolerant
from .models import Configuration, DeviceOutOfMemory, Evaluation, load
from .models.devices import available_cores
from .signals import signals_blocked

LoadArguments = tuple[PotentialSpec, Path, str, str, str]
"""Potential, folder, device, type of numbers and kernels, as ``models.load`` takes them."""
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
class Worker:
    """A process with the other end of its connection; ``batch`` is what it is working on."""

    process: subprocess.Popen[bytes]
    connection: Connection
    loaded: bool = False
    batch: list[Ticketed] = field(default_factory=list)
    cpu_seconds: float = 0.0
    peak_memory_mb: float = 0.0

    @property
    def idle(self) -> bool:
        """Whether it can be given something."""
        return self.loaded and not self.batch


def start(
    threads: int, arguments: LoadArguments, gpu: str | None = None, environment: Mapping[str, str] | None = None
) -> Worker:
    """Start a worker.

    :param gpu: what its device is called before people; such a worker takes several configurations at once.
    :param environment: in which it runs, beside that of this process.
    """
    ours, theirs = Pipe(duplex=True)
    paths = [_PACKAGE_ROOT, *filter(None, [os.environ.get('PYTHONPATH')])]
    variables = {**os.environ, 'PYTHONPATH': os.pathsep.join(paths), **(environment or {})}
    variables.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    with theirs, signals_blocked():
        process = subprocess.Popen(
            [sys.executable, '-m', __name__, str(theirs.fileno()), str(threads)],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=sys.__stderr__,  # what a library prints must not mix with the engine's own output
            env=variables,
        )
    ours.send((arguments, gpu))
    return Worker(process, ours)


class Workers:
    """Up to ``processes`` worker processes with ``threads`` threads each; one configuration a call.

    The first is started at once and tells what the potential is. The others follow when there is more in the queue
    than the workers so far can take: with a hundred cores and one path most never start.

    :raises LitrajError: if the potential cannot be loaded.
    """

    def __init__(self, processes: int, threads: int, arguments: LoadArguments) -> None:
        self.calls = 0
        self.model_seconds = 0.0
        self.durations = Durations()
        self._threads = threads
        self._processes = processes
        self._arguments = arguments
        self._queue: deque[Ticketed] = deque()
        self._ready: list[tuple[int, Evaluation | Failure]] = []
        self._workers: list[Worker] = []
        self.report: PotentialReport
        self.devices = [arguments[2]]
        self.dtype: str
        try:
            self._start_first()
            while not self._workers[0].loaded:
                self._receive(self._workers[0])
        except BaseException:
            self.close()
            raise

    def _start(self) -> Worker:
        return start(self._threads, self._arguments)

    def _start_first(self) -> None:
        self._workers.append(self._start())

    @property
    def halvings(self) -> int:
        """How many times less was sent at once for want of memory: there is no less than one configuration."""
        return 0

    @property
    def capacity(self) -> int:
        """How many configurations can be worked on at once."""
        return self._processes

    @property
    def pending(self) -> int:
        """How many tickets have been submitted and not collected."""
        working = sum(len(worker.batch) for worker in self._workers)
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
        free = sum(not worker.batch for worker in self._workers)
        if len(self._queue) > free and len(self._workers) < self._processes:
            self._workers.append(self._start())

    def _dispatch(self) -> None:
        for worker in self._workers:
            if self._queue and worker.idle:
                self._send(worker, [self._queue.popleft()])

    def _send(self, worker: Worker, batch: list[Ticketed]) -> None:
        worker.batch = batch
        try:
            worker.connection.send([configuration for _, configuration in batch])
        except OSError:
            self._receive(worker)  # says why it died

    def _receive(self, worker: Worker) -> None:
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
            self.report, self.dtype, usage = content
            worker.loaded = True
            self._account(worker, usage)
        elif kind == 'done':
            answers, seconds, usage = content
            batch, worker.batch = worker.batch, []
            self.model_seconds += seconds
            self._take(worker, batch, answers, self._duration(worker, seconds, usage))
            self._account(worker, usage)
        elif kind == 'refused':
            label, fields = content
            raise LitrajError(label, **fields)
        else:
            raise RuntimeError(f'a worker process crashed:\n{content[0]}')

    def _take(
        self, worker: Worker, batch: list[Ticketed], answers: list[Evaluation | Failure] | None, seconds: float
    ) -> None:
        """Put by the answers to a batch that took a worker so many seconds; ``None``: there was no memory for it."""
        assert answers is not None  # one configuration has no memory to share with others
        self._ready += [(ticket, answer) for (ticket, _), answer in zip(batch, answers, strict=True)]
        self.calls += sum(isinstance(answer, Evaluation) for answer in answers)
        self.durations.append(seconds / len(batch))

    def _duration(self, worker: Worker, seconds: float, usage: tuple[float, float]) -> float:
        """Return how long a worker took: by the clock it would be the time of whatever else runs on these cores."""
        return usage[0] - worker.cpu_seconds

    @staticmethod
    def _account(worker: Worker, usage: tuple[float, float]) -> None:
        worker.cpu_seconds, worker.peak_memory_mb = usage

    def collect(self, block: bool, timeout: float | None) -> list[tuple[int, Evaluation | Failure]]:
        """Return what is ready, with ``block`` at least one evaluation unless ``timeout`` seconds pass."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            self._dispatch()
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
            worker.batch = []


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
    arguments: LoadArguments
    arguments, gpu = connection.recv()
    evaluator = load(*arguments)
    limit_threads(threads)
    connection.send(('loaded', evaluator.report, evaluator.dtype, _usage()))
    potential = Tolerant(evaluator, gpu)
    answers: list[Evaluation | Failure] | None
    while True:
        configurations: list[Configuration] = connection.recv()
        started = time.perf_counter()
        try:
            answers = potential.evaluate(configurations)
        except DeviceOutOfMemory:
            answers = None
        if gpu is None:
            _share_memory(evaluator.device, configurations, answers)
        connection.send(('done', answers, time.perf_counter() - started, _usage()))


def _share_memory(device: str, configurations: list[Configuration], answers: list[Evaluation | Failure] | None) -> None:
    """End where memory has run out that this worker shares with others: fewer of them may leave it room.

    :raises LitrajError: ``ERROR_DEVICE_MEMORY``.
    """
    for configuration, answer in zip(configurations, answers or ()):
        if isinstance(answer, Failure) and answer.label == 'ERROR_DEVICE_MEMORY':
            raise LitrajError(answer.label, device=device, atoms=len(configuration))


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
