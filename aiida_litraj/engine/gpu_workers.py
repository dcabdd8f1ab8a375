"""Several GPUs: a worker process for each, which sees no other, and batches that are divided among them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..contract.potential import PotentialSpec
from .budget import Budget, Ticketed, n_atoms
from .failure import Failure
from .models import Configuration, Evaluation
from .models.devices import alone
from .workers import Worker, Workers, start


class GpuWorkers(Workers):
    """A worker process with ``threads`` threads for each of ``gpus``, and a budget of atoms of its own for each.

    All are started at once: what is in the queue when answers are asked for is divided among those that have nothing
    to do, so that all are at work and none much longer than the others.

    :param gpus: as ``cuda:N``.
    :param load: potential, folder, type of numbers and kernels.
    :raises LitrajError: if the potential cannot be loaded.
    """

    def __init__(
        self, gpus: Sequence[str], threads: int, budgets: Sequence[Budget], load: tuple[PotentialSpec, Path, str, str]
    ) -> None:
        self._gpus, self._budgets = list(gpus), list(budgets)
        spec, directory, dtype, kernels = load
        super().__init__(len(gpus), threads, (spec, directory, 'cuda:0', dtype, kernels))
        self.devices = self._gpus

    def _start(self) -> Worker:
        gpu = self._gpus[len(self._workers)]
        return start(self._threads, self._arguments, gpu, alone(gpu)[1])

    def _start_first(self) -> None:
        """Start all: each takes seconds to load, and they do so side by side."""
        for _ in self._gpus:
            self._workers.append(self._start())

    @property
    def capacity(self) -> int:
        """How many configurations may usefully be in flight."""
        return sum(budget.capacity for budget in self._budgets)

    @property
    def halvings(self) -> int:
        """How many times a budget was halved."""
        return sum(budget.halvings for budget in self._budgets)

    def submit(self, ticket: int, configuration: Configuration) -> None:
        """Queue a configuration; it is handed on when it is known what comes with it."""
        self._queue.append((ticket, configuration))
        for budget in self._budgets:
            budget.see(configuration)

    def _dispatch(self) -> None:
        """Divide the queue among the workers that have nothing to do, or will have once they have loaded.

        None takes more than its part of all that is in flight, though it be the first to ask again.
        """
        free = sum(not worker.batch for worker in self._workers)
        fair = _part(n_atoms(self._queue) + sum(n_atoms(w.batch) for w in self._workers), len(self._workers))
        for worker, budget in zip(self._workers, self._budgets, strict=True):
            if self._queue and worker.idle:
                share = min(fair, _part(n_atoms(self._queue), free))
                self._send(worker, budget.take(self._queue, share))
                free -= 1

    def _take(
        self, worker: Worker, batch: list[Ticketed], answers: list[Evaluation | Failure] | None, seconds: float
    ) -> None:
        budget = self._budgets[self._workers.index(worker)]
        if answers is None:
            self._queue.extendleft(reversed(batch))
            budget.halve(batch)
        else:
            super()._take(worker, batch, answers, seconds)
            budget.fitted()

    def _duration(self, worker: Worker, seconds: float, usage: tuple[float, float]) -> float:
        """Return how long a worker took by the clock: its process waits for the GPU."""
        return seconds


def _part(atoms: int, devices: int) -> int:
    """Return what each of some devices has of so many atoms, rounded up."""
    return -(-atoms // devices)
