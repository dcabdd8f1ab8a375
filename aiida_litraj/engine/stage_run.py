"""Runs of tasks whose items are stages: driven by the scheduler, with journals for checkpoints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

from ..contract.arrays import AnyArray
from ..contract.errors import BY_LABEL
from ..contract.result import ActiveItem
from .batch import BatchRun, JobT, ResultT
from .core.stages import StageFailed
from .evaluation import Pool
from .failure import Failure
from .folder import Folder, Stop
from .scheduler import Listener, Scheduler, Task


class StageTasks(Protocol):
    """The stages of a job's items."""

    titles: dict[str, str]
    """What a task is called before people; those of items are their ids."""

    def add(self, item: Any, arrays: Mapping[str, AnyArray], elements: list[str] | None) -> list[Task]:
        """Return the tasks of one more item, its own last.

        :raises StageFailed: naming what is wrong with it.
        """
        ...

    def owns(self, name: str) -> bool:
        """Return whether a task is that of an item, and not of something that items need."""
        ...

    def needs(self, name: str) -> tuple[str, ...]:
        """Return the tasks that an item's own needs."""
        ...

    def fingerprint(self, name: str) -> str:
        """Return what the result of an item depends on, as a hash."""
        ...

    def result(self, name: str, outcome: Any, spent: Mapping[str, Counter[str]]) -> tuple[Any, Mapping[str, AnyArray]]:
        """Return the entry of an item in the result, and its arrays; ``outcome`` may be a failure."""
        ...


class StageRun(BatchRun[JobT, ResultT]):
    """One run of such a job."""

    listener: Listener | None = None
    """Hears all answers; what :meth:`stage_tasks` may set."""

    def __init__(self, job: JobT, folder: Folder, arrays: Mapping[str, AnyArray], pool: Pool, stop: Stop) -> None:
        super().__init__(job, folder, arrays, pool, stop)
        self._tasks = self.stage_tasks()
        self._scheduler = Scheduler(
            pool, folder.checkpoint, self._on_done, stop.keep_running, self.tick, job.runtime.max_item_seconds,
            self.listener,
        )  # fmt: skip

    def stage_tasks(self) -> StageTasks:
        """Return the stages of the job's items."""
        raise NotImplementedError

    @property
    def calls(self) -> tuple[int, int]:
        """Evaluations so far, those of earlier runs included, and how many these are."""
        return self._scheduler.calls, self._scheduler.resumed_calls

    def active(self) -> list[ActiveItem]:
        """Return the tasks under way."""
        return [
            ActiveItem(
                id=self._tasks.titles[standing.id],
                phase=standing.demand.phase,
                step=standing.demand.step,
                max_steps=standing.demand.max_steps,
                fmax_ev_per_ang=standing.demand.fmax,
                target_ev_per_ang=standing.demand.target,
            )
            for standing in self._scheduler.standing
        ]

    def drive(self) -> None:
        """Drive all items that no earlier run has finished."""
        tasks: list[Task] = []
        paid: dict[str, int] = {}
        for item in self._job.items:
            try:
                added = self._tasks.add(item, self._arrays, self._pool.report.elements)
            except StageFailed as error:
                self.settle(*self._tasks.result(item.id, Failure(error.label, str(error)), {}))
                continue
            kept = self._folder.kept(item.id, self._tasks.fingerprint(item.id), self.item_model)
            if kept is None:
                tasks.extend(added)
            else:
                # what it needed stays: another item may need it too; it is only done if so
                tasks.extend(added[:-1])
                paid |= kept.calls
                self.settle(kept.result, kept.arrays)
        needed = {need for task in tasks for need in task.needs}
        tasks = [task for task in tasks if self._tasks.owns(task.id) or task.id in needed]
        self._scheduler.credit(sum(calls for name, calls in paid.items() if name not in {task.id for task in tasks}))
        self._scheduler.run(tasks)

    def _on_done(self, name: str, outcome: Any) -> None:
        if not self._tasks.owns(name):
            return
        spent = self._scheduler.spent
        result, arrays = self._tasks.result(name, outcome, spent)
        self.settle(result, arrays)
        if isinstance(outcome, Failure) and BY_LABEL[outcome.label].invalidates_cache:
            return  # the next run may do better
        calls = {task: spent[task].total() for task in (name, *self._tasks.needs(name))}
        self._folder.keep(result, arrays, self._tasks.fingerprint(name), calls)
