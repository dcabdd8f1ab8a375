"""The pool: configurations go in with a ticket, energies and forces come out, in whichever order they are ready.

It hides from the NEB scheduler where a potential runs. On a CPU one graph is one call, spread over worker processes;
on a GPU the configurations of many paths share a call, up to a budget of atoms that shrinks when memory runs out.
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
from ..contract.runtime import LARGEST_BATCH_ATOMS, Runtime
from .durations import Durations
from .failure import Failure, Tolerant
from .models import Configuration, DeviceOutOfMemory, Evaluation, Evaluator, get_family, load
from .models.devices import available_cores, resolve_device
from .models.elements import check_covered, covered_numbers
from .workers import Workers, limit_threads, peak_memory_mb

FIRST_BATCH_ATOMS = 2048
"""Where the budget of a GPU starts when nobody set it: small enough for any card, 66 copies of a 31-atom cell."""
BATCHES_IN_FLIGHT = 2
"""How many full batches of configurations the scheduler is told to keep ready, so that none is launched half full."""

Result = tuple[int, Evaluation | Failure]


class _Backend(Protocol):
    """Where evaluations happen: in this process or in workers."""

    report: PotentialReport
    device: str
    dtype: str
    model_seconds: float
    durations: Durations
    calls: int
    halvings: int

    @property
    def capacity(self) -> int: ...

    @property
    def pending(self) -> int: ...

    def submit(self, ticket: int, configuration: Configuration) -> None: ...

    def collect(self, block: bool, timeout: float | None) -> list[Result]: ...

    def close(self) -> None: ...


class _InProcess:
    """Evaluation in this process, one batch a time.

    :param batch_atoms: the most atoms in one batch; ``None`` for one configuration a call.
    :param grow: whether a full batch that fitted doubles the budget of the next, until one does not fit.
    """

    def __init__(self, evaluator: Evaluator, batch_atoms: int | None = None, grow: bool = False) -> None:
        self.report = evaluator.report
        self.device = evaluator.device
        self.dtype = evaluator.dtype
        self.model_seconds = 0.0
        self.durations = Durations()
        self.calls = 0
        self.halvings = 0
        self.batch_atoms = batch_atoms
        self._grow = grow
        self._evaluator = Tolerant(evaluator)
        self._queue: deque[tuple[int, Configuration]] = deque()
        self._atoms_per_configuration = 1.0

    @property
    def capacity(self) -> int:
        if self.batch_atoms is None:
            return 1
        return max(1, int(BATCHES_IN_FLIGHT * self.batch_atoms / self._atoms_per_configuration))

    @property
    def pending(self) -> int:
        return len(self._queue)

    def submit(self, ticket: int, configuration: Configuration) -> None:
        self._queue.append((ticket, configuration))
        # An average that forgets, so that the capacity follows the sizes of the paths now in flight.
        self._atoms_per_configuration += 0.1 * (len(configuration) - self._atoms_per_configuration)

    def _next_batch(self) -> list[tuple[int, Configuration]]:
        batch = [self._queue.popleft()]
        atoms = len(batch[0][1])
        while self.batch_atoms is not None and self._queue and atoms + len(self._queue[0][1]) <= self.batch_atoms:
            batch.append(self._queue.popleft())
            atoms += len(batch[-1][1])
        return batch

    def collect(self, block: bool, timeout: float | None) -> list[Result]:
        if not self._queue or not block:  # nothing is ready before it has been computed here
            return []
        while True:
            batch = self._next_batch()
            atoms = sum(len(configuration) for _, configuration in batch)
            started, processor = time.perf_counter(), time.process_time()
            try:
                evaluations = self._evaluator.evaluate([configuration for _, configuration in batch])
            except DeviceOutOfMemory:
                self._queue.extendleft(reversed(batch))
                self.batch_atoms = max(atoms // 2, len(batch[0][1]))
                self.halvings += 1
                self._grow = False
                continue
            finally:
                seconds = time.perf_counter() - started
                self.model_seconds += seconds
            if self.device == 'cpu':  # by the clock it would be the time of whatever else runs on these cores
                seconds = time.process_time() - processor
            self.durations.append(seconds / len(batch))
            self.calls += sum(isinstance(evaluation, Evaluation) for evaluation in evaluations)
            if self._grow and self.batch_atoms is not None and self._queue:  # it was full: there was more to take
                self.batch_atoms = min(2 * self.batch_atoms, LARGEST_BATCH_ATOMS)
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
        device = resolve_device(runtime.device, family.devices)
        self.processes = 1
        if device == 'cpu':
            room = max(1, available_cores() // family.cores(spec))
            self.processes = runtime.processes or (1 if family.light else min(room, useful or room))
        threads = runtime.threads_per_process
        if self.processes == 1:
            evaluator = load(spec, directory, device, dtype, runtime.kernels)
            limit_threads(threads)
            backend: _Backend = self._in_process(evaluator, runtime)
        else:
            backend = Workers(self.processes, threads or 1, (spec, directory, device, dtype, runtime.kernels))
        self._wrap(backend)

    def _wrap(self, backend: _Backend) -> None:
        self._backend = backend
        self._covered = covered_numbers(backend.report)
        self._not_finite: list[Result] = []

    @staticmethod
    def _in_process(evaluator: Evaluator, runtime: Runtime) -> _InProcess:
        if evaluator.device == 'cpu':
            return _InProcess(evaluator)
        return _InProcess(evaluator, runtime.batch_atoms or FIRST_BATCH_ATOMS, grow=runtime.batch_atoms is None)

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
    def device(self) -> str:
        """``cpu`` or ``cuda:N``."""
        return self._backend.device

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
        """How many times the budget of the device had to be halved."""
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
