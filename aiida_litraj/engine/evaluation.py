"""The pool: configurations go in with a ticket, energies and forces come out, in whichever order they are ready.

It hides from the NEB scheduler where a potential runs. On a CPU one graph is one call, spread over worker processes;
on a GPU the configurations of many paths share a call, up to a budget of atoms that shrinks when memory runs out.
Several GPUs have a process each, among which what is asked for at once is divided.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np

from ..contract.potential import PotentialReport, PotentialSpec
from ..contract.runtime import Runtime
from .budget import Budget, Ticketed
from .durations import Durations
from .failure import Failure, Tolerant
from .gpu_workers import GpuWorkers
from .models import Configuration, DeviceOutOfMemory, Evaluation, Evaluator, get_family, load
from .models.devices import available_cores, resolve_devices
from .models.elements import check_covered, covered_numbers
from .workers import Workers, limit_threads, peak_memory_mb

Result = tuple[int, Evaluation | Failure]


class _Backend(Protocol):
    """Where evaluations happen: in this process or in workers."""

    report: PotentialReport
    devices: list[str]
    dtype: str
    model_seconds: float
    durations: Durations
    calls: int

    @property
    def halvings(self) -> int: ...

    @property
    def capacity(self) -> int: ...

    @property
    def pending(self) -> int: ...

    def submit(self, ticket: int, configuration: Configuration) -> None: ...

    def collect(self, block: bool, timeout: float | None) -> list[Result]: ...

    def close(self) -> None: ...


class _InProcess:
    """Evaluation in this process, one batch a time."""

    def __init__(self, evaluator: Evaluator, budget: Budget) -> None:
        self.report = evaluator.report
        self.devices = [evaluator.device]
        self.dtype = evaluator.dtype
        self.model_seconds = 0.0
        self.durations = Durations()
        self.calls = 0
        self._budget = budget
        self._evaluator = Tolerant(evaluator)
        self._queue: deque[Ticketed] = deque()

    @property
    def halvings(self) -> int:
        return self._budget.halvings

    @property
    def capacity(self) -> int:
        return self._budget.capacity

    @property
    def pending(self) -> int:
        return len(self._queue)

    def submit(self, ticket: int, configuration: Configuration) -> None:
        self._queue.append((ticket, configuration))
        self._budget.see(configuration)

    def collect(self, block: bool, timeout: float | None) -> list[Result]:
        if not self._queue or not block:  # nothing is ready before it has been computed here
            return []
        while True:
            batch = self._budget.take(self._queue)
            started, processor = time.perf_counter(), time.process_time()
            try:
                evaluations = self._evaluator.evaluate([configuration for _, configuration in batch])
            except DeviceOutOfMemory:
                self._queue.extendleft(reversed(batch))
                self._budget.halve(batch)
                continue
            finally:
                seconds = time.perf_counter() - started
                self.model_seconds += seconds
            if self.devices == ['cpu']:  # by the clock it would be the time of whatever else runs on these cores
                seconds = time.process_time() - processor
            self.durations.append(seconds / len(batch))
            self.calls += sum(isinstance(evaluation, Evaluation) for evaluation in evaluations)
            self._budget.fitted()
            return [(ticket, evaluation) for (ticket, _), evaluation in zip(batch, evaluations, strict=True)]

    def close(self) -> None:
        self._queue.clear()


class Pool:
    """Asynchronous evaluation of configurations with one potential; a context manager.

    :param directory: where the checkpoint lies, if the potential is a file.
    :param dtype: ``native``, ``highest``, ``float32`` or ``float64``.
    :param useful: how many configurations there can be at once: more worker processes are not started unasked.
    :raises LitrajError: what :func:`aiida_litraj.engine.models.load` raises.
    """

    def __init__(
        self, spec: PotentialSpec, directory: Path, runtime: Runtime, dtype: str, useful: int | None = None
    ) -> None:
        family = get_family(spec.family)
        if family.ranked and runtime.ranks_per_process is not None:
            # here and not in the job's potential: they change no number, so a checkpoint of other ranks is taken up
            spec = spec.model_copy(update={'options': {**spec.options, 'ranks': runtime.ranks_per_process}})
        devices = resolve_devices(runtime.device, family.devices, runtime.gpus)[:useful]
        device, threads = devices[0], runtime.threads_per_process
        self.processes = len(devices)
        if device == 'cpu':
            room = max(1, available_cores() // family.cores(spec))
            self.processes = runtime.processes or (1 if family.light else min(room, useful or room))
        backend: _Backend
        if self.processes == 1:
            evaluator = load(spec, directory, device, dtype, runtime.kernels)
            limit_threads(threads)
            backend = self._in_process(evaluator, runtime)
        elif device == 'cpu':
            backend = Workers(self.processes, threads or 1, (spec, directory, device, dtype, runtime.kernels))
        else:
            threads = threads or max(1, available_cores() // self.processes)
            budgets = [Budget.of_gpu(runtime) for _ in devices]
            backend = GpuWorkers(devices, threads, budgets, (spec, directory, dtype, runtime.kernels))
        self._wrap(backend)

    def _wrap(self, backend: _Backend) -> None:
        self._backend = backend
        self._covered = covered_numbers(backend.report)
        self._not_finite: list[Result] = []

    @staticmethod
    def _in_process(evaluator: Evaluator, runtime: Runtime) -> _InProcess:
        return _InProcess(evaluator, Budget() if evaluator.device == 'cpu' else Budget.of_gpu(runtime))

    @classmethod
    def of(cls, evaluator: Evaluator, runtime: Runtime | None = None) -> Pool:
        """Return a pool around a potential that is loaded already, evaluating in this process."""
        pool = cls.__new__(cls)
        pool.processes = 1
        pool._wrap(cls._in_process(evaluator, runtime or Runtime()))
        return pool

    @property
    def report(self) -> PotentialReport:
        """What the potential is."""
        return self._backend.report

    @property
    def devices(self) -> list[str]:
        """Where the potential is evaluated: ``cpu`` alone, or GPUs as ``cuda:N``, one for each process."""
        return self._backend.devices

    @property
    def device(self) -> str:
        """The first of them."""
        return self._backend.devices[0]

    @property
    def dtype(self) -> str:
        """``float32`` or ``float64``."""
        return self._backend.dtype

    @property
    def model_seconds(self) -> float:
        """Wall time inside the potential in s, summed over the workers."""
        return self._backend.model_seconds

    @property
    def seconds_per_call(self) -> float | None:
        """Median time inside the potential of a configuration in s, see :class:`Durations`."""
        return self._backend.durations.median

    @property
    def calls(self) -> int:
        """How many configurations have been evaluated."""
        return self._backend.calls

    @property
    def halvings(self) -> int:
        """How many times the budget of a device had to be halved, of all of them together."""
        return self._backend.halvings

    @property
    def capacity(self) -> int:
        """How many configurations may usefully be in flight at once; changes as the budget of a GPU does."""
        return self._backend.capacity

    @property
    def pending(self) -> int:
        """How many tickets have been submitted and not collected."""
        return self._backend.pending + len(self._not_finite)

    @property
    def peak_memory_mb(self) -> float:
        """Largest resident memory of this process plus, at their largest, of the workers, in MB."""
        return peak_memory_mb() + float(getattr(self._backend, 'peak_memory_mb', 0.0))

    @property
    def worker_cpu_seconds(self) -> float:
        """Processor time of the worker processes in s; this process's own is not in it."""
        return float(getattr(self._backend, 'cpu_seconds', 0.0))

    def submit(self, ticket: int, configuration: Configuration) -> None:
        """Queue ``configuration``; the evaluation will come back with ``ticket``.

        Positions that are not finite are not shown to the potential (neighbour lists crash on them, and a batch is
        shared): their evaluation is not finite either.

        :raises LitrajError: ``ERROR_ELEMENTS_NOT_COVERED``.
        """
        check_covered(self.report, self._covered, configuration.numbers.tolist())
        if np.isfinite(configuration.positions).all() and np.isfinite(configuration.cell).all():
            self._backend.submit(ticket, configuration)
        else:
            blank = Evaluation(float('nan'), np.full_like(configuration.positions, np.nan))
            self._not_finite.append((ticket, blank))

    def collect(self, block: bool = True, timeout: float | None = None) -> list[Result]:
        """Return the evaluations that are ready, with their tickets; an empty list if nothing was submitted.

        In this process, a blocking call computes one batch and returns it. With workers it waits until at least one
        evaluation is ready, or ``timeout`` seconds have passed. What the potential cannot evaluate comes back as a
        :class:`~aiida_litraj.engine.failure.Failure`.

        :raises LitrajError: ``ERROR_DEVICE_MEMORY`` if there is no memory for all the worker processes.
        :raises RuntimeError: if a worker died; the message holds its traceback.
        :raises Exception: whatever a potential raises that does not answer any more what it has answered before.
        """
        if self._not_finite:
            ready, self._not_finite = self._not_finite, []
            return ready
        return self._backend.collect(block, timeout)

    def evaluate(self, configurations: Sequence[Configuration]) -> list[Evaluation]:
        """Return the evaluation of each configuration, in order; nothing else may be in flight.

        :raises RuntimeError: if the potential cannot evaluate one of them.
        """
        if self.pending:
            raise RuntimeError('evaluate() would mix its tickets with those in flight')
        for index, configuration in enumerate(configurations):
            self.submit(index, configuration)
        found: dict[int, Evaluation | Failure] = {}
        while self.pending:
            found.update(self.collect())
        answers = []
        for index in range(len(configurations)):
            answer = found[index]
            if isinstance(answer, Failure):
                raise RuntimeError(answer.reason)
            answers.append(answer)
        return answers

    def close(self) -> None:
        """Forget what is queued and end the workers."""
        self._backend.close()

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
