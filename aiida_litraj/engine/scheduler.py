"""Driving many independent stages with one pool of evaluators.

A finished task leaves, a new one enters as soon as the pool has room; one that fails takes nobody with it, except
those that need its outcome.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..contract.arrays import Array
from .core.stages import Demand, Evaluated, StageFailed
from .failure import Failure, failure, told
from .journal import Journal
from .models.interface import Configuration, Evaluation

_WAIT_SECONDS = 1.0
"""How long to wait for an evaluation before the clock and the signals are looked at again."""


Listener = Callable[[str, Demand, Sequence[Evaluation | Failure | None]], None]
"""Gets the id of a task, what it has asked for, and all answers to that."""


class EvaluatorPool(Protocol):
    """What the scheduler needs of a pool: see ``evaluation.Pool``."""

    @property
    def capacity(self) -> int:
        """How many configurations may usefully be in flight."""
        ...

    @property
    def pending(self) -> int:
        """How many are."""
        ...

    def submit(self, ticket: int, configuration: Configuration) -> None:
        """Queue a configuration."""
        ...

    def collect(self, block: bool = True, timeout: float | None = None) -> list[tuple[int, Evaluation | Failure]]:
        """Return what is ready; wait for at least one, up to ``timeout`` seconds, if ``block``."""
        ...


@dataclass(frozen=True)
class Task:
    """Something to drive: ``start`` gets the outcomes of ``needs`` and returns the stage.

    ``fingerprint`` (hex) stands for everything the outcome depends on, so that a checkpoint is only used for it.
    """

    id: str
    numbers: npt.NDArray[np.int64]
    cell: Array
    pbc: npt.NDArray[np.bool_]
    fingerprint: str
    start: Callable[[Mapping[str, Any]], Generator[Demand, Evaluated, Any]]
    needs: tuple[str, ...] = ()


@dataclass
class _Active:
    task: Task
    stage: Generator[Demand, Evaluated, Any]
    journal: Journal
    demand: Demand
    since: float = field(default_factory=time.monotonic)
    number: int = 0
    answers: list[Evaluation | Failure | None] = field(default_factory=list)


@dataclass(frozen=True)
class Standing:
    """A task under way, for progress reports."""

    id: str
    demand: Demand


class Scheduler:
    """Runs tasks to their outcomes.

    ``on_done(id, value or Failure)`` is called once a task, as soon as it is done and before its checkpoint goes;
    ``keep_running()`` is asked between evaluations; ``on_tick()`` is called at the same rate. A task that takes longer
    than ``task_seconds`` fails. ``listener(id, demand, answers)`` hears all answers to a demand, also those that a
    checkpoint has: the same in a resumed run as in an unbroken one.
    """

    def __init__(
        self,
        pool: EvaluatorPool,
        folder: Path,
        on_done: Callable[[str, Any], None],
        keep_running: Callable[[], bool],
        on_tick: Callable[[], None],
        task_seconds: float | None = None,
        listener: Listener | None = None,
    ) -> None:
        self._pool, self._folder = pool, folder
        self._listener = listener
        self._on_done, self._keep_running, self._on_tick = on_done, keep_running, on_tick
        self._task_seconds = task_seconds
        self._active: dict[str, _Active] = {}
        self._tickets: dict[int, tuple[str, int]] = {}
        self._next_ticket = 0
        self._outcomes: dict[str, Any] = {}
        self.spent: dict[str, Counter[str]] = {}
        """Evaluations that each task has had in each phase, those of earlier runs included."""
        self.calls = 0
        self.resumed_calls = 0

    @property
    def standing(self) -> list[Standing]:
        """The tasks under way."""
        return [Standing(active.task.id, active.demand) for active in self._active.values()]

    def credit(self, calls: int) -> None:
        """Count evaluations of tasks that earlier runs have finished."""
        self.calls += calls
        self.resumed_calls += calls

    def run(self, tasks: Iterable[Task]) -> bool:
        """Drive all tasks; return whether they all came to an outcome (not stopped by ``keep_running``).

        A task is started in the given order as soon as what it needs is there, so list dependencies first.
        """
        waiting = deque(tasks)
        while waiting or self._active:
            while waiting and self._pool.pending < self._pool.capacity and self._keep_running():
                task = next((t for t in waiting if all(need in self._outcomes for need in t.needs)), None)
                if task is None:
                    break
                waiting.remove(task)
                self._start(task)
            if not self._keep_running():
                break
            if waiting and not self._active:
                raise RuntimeError(f'{waiting[0].id} waits for what no task gives: {", ".join(waiting[0].needs)}')
            if self._active:
                for ticket, answer in self._pool.collect(timeout=_WAIT_SECONDS):
                    self._deliver(ticket, answer)
            self._on_tick()
        complete = not waiting and not self._active
        for active in self._active.values():
            active.journal.close()
        return complete

    def _start(self, task: Task) -> None:
        self.spent[task.id] = Counter()
        lacking = [self._outcomes[need] for need in task.needs if isinstance(self._outcomes[need], Failure)]
        if lacking:
            self._finish(task.id, lacking[0])
            return
        journal = Journal(self._folder / f'{task.id}.journal', task.fingerprint)
        try:
            stage = task.start({need: self._outcomes[need] for need in task.needs})
            demand = next(stage)
        except Exception as error:
            self._finish(task.id, _failure(error))
            return
        self._active[task.id] = active = _Active(task, stage, journal, demand)
        self._ask(active)

    def _ask(self, active: _Active) -> None:
        """Queue the configurations of the demand, or answer it from the journal for as long as that reaches."""
        while True:
            positions = active.demand.positions
            cells = [active.demand.cell_of(k) for k in range(len(positions))]
            active.answers = [
                active.journal.recall(active.number, k, p, cell) for k, (p, cell) in enumerate(zip(positions, cells))
            ]
            known = sum(answer is not None for answer in active.answers)
            self.credit(known)
            self.spent[active.task.id][active.demand.phase] += known
            if known < len(positions):
                break
            if not self._advance(active):
                return
        task = active.task
        for k, answer in enumerate(active.answers):
            if answer is None:
                self._tickets[self._next_ticket] = (task.id, k)
                own = cells[k]
                cell = task.cell if own is None else own
                asked = Configuration(task.numbers, positions[k], cell, task.pbc, stress=active.demand.stress)
                self._pool.submit(self._next_ticket, asked)
                self._next_ticket += 1

    def _advance(self, active: _Active) -> bool:
        """Hand the answers to the stage; return whether it asks for more."""
        if self._listener is not None:
            self._listener(active.task.id, active.demand, active.answers)
        failures = [answer for answer in active.answers if isinstance(answer, Failure)]
        if failures:
            self._close(active, failures[0])
            return False
        answers = [answer for answer in active.answers if isinstance(answer, Evaluation)]
        evaluated = Evaluated(
            np.array([answer.energy for answer in answers], dtype=np.float64),
            np.array([answer.forces for answer in answers], dtype=np.float64),
            _stresses(answers) if active.demand.stress else None,
        )
        try:
            active.demand = active.stage.send(evaluated)
        except StopIteration as stop:
            self._close(active, stop.value)
            return False
        except Exception as error:
            self._close(active, _failure(error))
            return False
        active.number += 1
        taken = time.monotonic() - active.since
        if self._task_seconds is not None and taken > self._task_seconds:
            phase, step = active.demand.phase, active.demand.step
            self._close(active, failure('ERROR_ITEM_OUT_OF_TIME', seconds=f'{taken:.0f}', phase=phase, step=step))
            return False
        return True

    def _deliver(self, ticket: int, answer: Evaluation | Failure) -> None:
        name, k = self._tickets.pop(ticket)
        active = self._active[name]
        active.answers[k] = answer
        if isinstance(answer, Evaluation):
            self.calls += 1
            self.spent[name][active.demand.phase] += 1
            demand = active.demand
            active.journal.append(active.number, k, demand.positions[k], answer, demand.cell_of(k))
        # A failure too waits for the other images: they are counted, and a later run has them.
        if all(answer is not None for answer in active.answers) and self._advance(active):
            self._ask(active)

    def _close(self, active: _Active, outcome: Any) -> None:
        self._active.pop(active.task.id, None)
        self._finish(active.task.id, outcome)
        active.journal.close()

    def _finish(self, name: str, outcome: Any) -> None:
        self._outcomes[name] = outcome
        self._on_done(name, outcome)


def _stresses(answers: Sequence[Evaluation]) -> Array:
    """Return stresses (k, 3, 3), NaN where the potential has said none."""
    unknown = np.full((3, 3), np.nan)
    return np.array([unknown if answer.stress is None else answer.stress for answer in answers])


def _failure(error: Exception) -> Failure:
    """Return what went wrong in a stage; anything but its own verdict is a crash, told with its place in the code."""
    if isinstance(error, StageFailed):
        return Failure(error.label, str(error))
    return failure('ERROR_ENGINE_CRASHED', reason=told(error))
