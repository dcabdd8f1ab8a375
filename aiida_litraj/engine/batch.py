"""One run of a job: what every task does about progress, the audit and the result; a task says how items are done."""

from __future__ import annotations

import platform
import resource
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from importlib import metadata
from typing import Any, ClassVar, Generic, TypeVar

from .. import __version__
from ..contract import files
from ..contract.arrays import AnyArray, write_atomic
from ..contract.audit import Audit
from ..contract.base import SCHEMA_VERSION
from ..contract.job import Item, Job, Parameters
from ..contract.result import ITEMS, ActiveItem, ItemResult, JobResult, Progress
from ..contract.verdict import judge
from .evaluation import Pool
from .folder import Folder, Stop
from .models import get_family

PROGRESS_SECONDS = 2.0
_AUDITED_PACKAGES = ('numpy', 'scipy', 'ase', 'torch', 'e3nn', 'pydantic')

JobT = TypeVar('JobT', bound=Job[Any, Any])
ResultT = TypeVar('ResultT', bound=ItemResult)


class BatchRun(Generic[JobT, ResultT]):
    """One run of a job. A task's class gives the models of its wire and :meth:`drive`.

    :cvar job_model: of ``job.json``.
    :cvar result_model: of ``result.json``.
    :cvar item_model: of how an item ended.
    """

    job_model: ClassVar[type[Any]]
    result_model: ClassVar[type[Any]]
    item_model: ClassVar[type[Any]]

    def __init__(self, job: JobT, folder: Folder, arrays: Mapping[str, AnyArray], pool: Pool, stop: Stop) -> None:
        self._job, self._folder, self._arrays, self._pool, self._stop = job, folder, arrays, pool, stop
        self._results: dict[str, ResultT] = {}
        self._result_arrays: dict[str, dict[str, AnyArray]] = {}
        report, potential = pool.report, job.potential
        options = {} if potential is None else potential.options  # a training can do without
        self._salt = f'{report.sha256} {report.family} {report.name} {pool.dtype} {options}'
        """Says which potential evaluates: part of every fingerprint."""
        self._clock = time.monotonic()
        self._started_at = datetime.now(timezone.utc).isoformat(timespec='seconds')
        self._progress_at = 0.0
        self._packages = _packages(get_family(report.family if potential is None else potential.family).package)

    @classmethod
    def at_once(cls, job: Any, arrays: Mapping[str, AnyArray]) -> int:
        """Return how many configurations of a job can be evaluated at the same time."""
        return max(1, len(job.items))

    @classmethod
    def open_pool(cls, job: Any, folder: Folder, arrays: Mapping[str, AnyArray]) -> AbstractContextManager[Any]:
        """Return what evaluates configurations for a job, to be entered: workers with the potential loaded.

        :raises LitrajError: if the potential cannot be loaded.
        """
        return Pool(job.potential, folder.path, job.runtime, job.parameters.dtype, cls.at_once(job, arrays))

    def drive(self) -> None:
        """Do the items, each to its end or until the run is stopped."""
        raise NotImplementedError

    @property
    def calls(self) -> tuple[int, int]:
        """Evaluations so far, those of earlier runs included, and how many these are."""
        raise NotImplementedError

    def active(self) -> list[ActiveItem]:
        """Return what is under way."""
        return []

    def unfinished(self, item: Item, reason: str) -> ResultT:
        """Return the entry of an item that was cut off."""
        result: ResultT = self.item_model(
            id=item.id, status='unfinished', converged=False, label='ERROR_OUT_OF_TIME', reason=reason
        )
        return result

    def run(self) -> JobResult[Any]:
        """Do all items; the result and what is finished are on disk when it returns."""
        self._write_progress([])  # before anything is finished: it says who did it, should this run be killed
        self.drive()
        self._write_progress([])
        return self._finish()

    def settle(self, result: ResultT, arrays: Mapping[str, AnyArray]) -> None:
        """Note how an item ended."""
        self._results[result.id] = result
        self._result_arrays[result.id] = dict(arrays)

    def tick(self) -> None:
        """Write how far everything is, if the last time is some seconds ago."""
        now = time.monotonic()
        if now - self._progress_at > PROGRESS_SECONDS:
            self._progress_at = now
            self._write_progress(self.active())

    def _write_progress(self, active: list[ActiveItem]) -> None:
        calls, resumed = self.calls
        progress = Progress(
            task=self._job.task,
            n_items=len(self._job.items),
            n_finished=len(self._results),
            n_converged=sum(result.converged for result in self._results.values()),
            n_active=len(active),
            model_calls=calls,
            resumed_calls=resumed,
            wall_seconds=time.monotonic() - self._clock,
            updated_at=datetime.now(timezone.utc).isoformat(timespec='seconds'),
            active=active,
            audit=self.audit(),
        )
        write_atomic(self._folder.path / files.PROGRESS, progress.model_dump_json().encode())

    def finished(self) -> tuple[list[ResultT], dict[str, AnyArray]]:
        """Return the entries and the arrays of the items that are done so far, in the order of the job."""
        done = [self._results[item.id] for item in self._job.items if item.id in self._results]
        arrays = {
            f'{entry.id}/{name}': value for entry in done for name, value in self._result_arrays[entry.id].items()
        }
        return done, arrays

    def _finish(self) -> JobResult[Any]:
        done, arrays = self.finished()
        by_id = {entry.id: entry for entry in done}
        cut_off = f'cut off by {self._stop.reason}; resumes from the checkpoint'
        items = [by_id.get(item.id) or self.unfinished(item, cut_off) for item in self._job.items]
        result: JobResult[Any] = self.result_model(
            exit=judge(items, ITEMS[self._job.task]), items=items, audit=self.audit()
        )
        self._folder.write_result(result, arrays)
        return result

    def audit(self) -> Audit:
        """Return what ran, where, and at which cost so far."""
        pool, runtime = self._pool, self._job.runtime
        usage = resource.getrusage(resource.RUSAGE_SELF)
        calls, resumed = self.calls
        parameters: Parameters = self._job.parameters
        return Audit(
            engine_version=__version__,
            schema_version=SCHEMA_VERSION,
            python_version=platform.python_version(),
            platform=platform.platform(),
            packages=self._packages,
            potential=pool.report,
            device=pool.device,
            devices=pool.devices,
            dtype=pool.dtype,
            kernels=runtime.kernels,
            processes=pool.processes,
            seed=getattr(parameters, 'seed', None),
            model_calls=calls,
            resumed_calls=resumed,
            model_seconds=pool.model_seconds,
            seconds_per_call=pool.seconds_per_call,
            cpu_seconds=usage.ru_utime + usage.ru_stime + pool.worker_cpu_seconds,
            wall_seconds=time.monotonic() - self._clock,
            peak_memory_mb=pool.peak_memory_mb,
            started_at=self._started_at,
            out_of_memory_halvings=pool.halvings,
        )


def _packages(family_package: str) -> dict[str, str]:
    versions = {}
    for name in (*_AUDITED_PACKAGES, family_package):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
