"""From ``job.json`` to ``result.json``: reads a job, drives it, and keeps on disk whatever is finished."""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from pydantic import ValidationError

from .. import __version__
from ..contract import files
from ..contract.arrays import AnyArray, Array, pack_arrays, unpack_arrays, write_atomic
from ..contract.audit import Audit
from ..contract.base import SCHEMA_VERSION
from ..contract.errors import BY_LABEL, SUCCESS, LitrajError
from ..contract.neb import ActiveItem, ExitReport, NebItemResult, NebJob, NebResult, Progress
from ..contract.verdict import exit_report, judge
from .core.stages import StageFailed
from .evaluation import Pool
from .failure import Failure
from .models import get_family
from .scheduler import Scheduler, Task
from .tasks.neb import NebTasks, Outcome, failed, read_path, summarise

_PROGRESS_SECONDS = 2.0
_AUDITED_PACKAGES = ('numpy', 'scipy', 'ase', 'torch', 'e3nn', 'pydantic')


@dataclass
class Stop:
    """Whether it is time to checkpoint and go: a signal came, or the engine's own clock ran out."""

    deadline: float | None
    reason: str | None = field(default=None)

    def listen(self) -> None:
        """Take the signals with which schedulers end a job."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.reason = signal.Signals(number).name

    def keep_running(self) -> bool:
        """Return whether to go on."""
        if self.reason is None and self.deadline is not None and time.monotonic() > self.deadline:
            self.reason = 'max_seconds'
        return self.reason is None


class Kept(NamedTuple):
    """An item that an earlier run has finished, and the evaluations it has cost, by task."""

    result: NebItemResult
    arrays: dict[str, AnyArray]
    calls: dict[str, int]


class Folder:
    """The files of a job on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.items = path / files.ITEMS
        self.checkpoint = path / files.CHECKPOINT
        self.items.mkdir(exist_ok=True)
        self.checkpoint.mkdir(exist_ok=True)

    def keep(
        self, result: NebItemResult, arrays: Mapping[str, Array], fingerprint: str, calls: Mapping[str, int]
    ) -> None:
        """Put a finished item on disk: arrays, then entry, then the mark that it need not be done again.

        ``calls``: how many evaluations it and the tasks it needs have cost.
        """
        if arrays:
            write_atomic(self.items / f'{result.id}.npz', pack_arrays(arrays))
        write_atomic(self.items / f'{result.id}.json', result.model_dump_json().encode())
        mark = json.dumps({'fingerprint': fingerprint, 'calls': dict(calls)})
        write_atomic(self.checkpoint / f'{result.id}.done', mark.encode())
        (self.checkpoint / f'{result.id}.journal').unlink(missing_ok=True)

    def kept(self, name: str, fingerprint: str) -> Kept | None:
        """Return an item finished by an earlier run of the same path with the same parameters and potential."""
        try:
            mark = json.loads((self.checkpoint / f'{name}.done').read_bytes())
            if mark['fingerprint'] != fingerprint:
                return None
            result = NebItemResult.model_validate_json((self.items / f'{name}.json').read_bytes())
            arrays = unpack_arrays(self.items / f'{name}.npz') if result.status == 'finished' else {}
            return Kept(result, arrays, {str(task): int(calls) for task, calls in mark['calls'].items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write_result(self, result: NebResult, arrays: Mapping[str, AnyArray]) -> None:
        """Write the arrays, then the result: whoever sees the result sees all of it."""
        write_atomic(self.path / files.RESULT_ARRAYS, pack_arrays(arrays))
        write_atomic(self.path / files.RESULT, (result.model_dump_json(indent=1) + '\n').encode())


class NebRun:
    """One run of a ``neb`` job."""

    def __init__(self, job: NebJob, folder: Folder, arrays: Mapping[str, AnyArray], pool: Pool, stop: Stop) -> None:
        self._job, self._folder, self._arrays, self._pool, self._stop = job, folder, arrays, pool, stop
        self._results: dict[str, NebItemResult] = {}
        self._result_arrays: dict[str, dict[str, Any]] = {}
        salt = f'{pool.report.sha256} {pool.report.family} {pool.report.name} {pool.dtype} {job.potential.options}'
        self._tasks = NebTasks(job, salt, folder.checkpoint)
        self._clock = time.monotonic()
        self._started_at = datetime.now(timezone.utc).isoformat(timespec='seconds')
        self._progress_at = 0.0
        self._packages = _packages(get_family(job.potential.family).package)
        self._scheduler = Scheduler(
            pool, folder.checkpoint, self._on_done, stop.keep_running, self._on_tick, job.runtime.max_item_seconds
        )

    def run(self) -> NebResult:
        """Drive all items; the result and what is finished are on disk when it returns."""
        tasks: list[Task] = []
        paid: dict[str, int] = {}
        for item in self._job.items:
            try:
                path = read_path(item, self._arrays, self._pool.report.elements)
            except StageFailed as error:
                self._settle(failed(item.id, Failure(error.label, str(error))), {})
                continue
            added = self._tasks.tasks(path)
            kept = self._folder.kept(item.id, self._tasks.fingerprint(item.id))
            if kept is None:
                tasks.extend(added)
            else:
                # its ends stay: another path may need them; they are only relaxed if so
                tasks.extend(added[:-1])
                paid |= kept.calls
                self._settle(kept.result, kept.arrays)
        needed = {need for task in tasks for need in task.needs}
        tasks = [task for task in tasks if task.needs or task.id in needed]
        self._scheduler.credit(sum(calls for name, calls in paid.items() if name not in {task.id for task in tasks}))
        self._write_progress([])  # before anything is finished: it says who did it, should this run be killed
        self._scheduler.run(tasks)
        self._write_progress([])
        return self._finish()

    def _on_done(self, name: str, outcome: Any) -> None:
        path = self._tasks.paths.get(name)
        if path is None:  # the end of a path, not a path
            return
        if isinstance(outcome, Failure):
            result = failed(name, outcome, self._tasks.uses[name], self._scheduler.spent)
            arrays = dict[str, Array]()
            again = BY_LABEL[outcome.label].status < 500
        else:
            assert isinstance(outcome, Outcome)
            result, arrays = summarise(path, outcome, self._tasks.uses[name], self._job.parameters)
            again = False
        self._settle(result, arrays)
        if not again:
            calls = {task: self._scheduler.spent[task].total() for task in (name, *self._tasks.needs(name))}
            self._folder.keep(result, arrays, self._tasks.fingerprint(name), calls)

    def _settle(self, result: NebItemResult, arrays: Mapping[str, Any]) -> None:
        self._results[result.id] = result
        self._result_arrays[result.id] = dict(arrays)

    def _on_tick(self, scheduler: Scheduler) -> None:
        now = time.monotonic()
        if now - self._progress_at > _PROGRESS_SECONDS:
            self._progress_at = now
            self._write_progress(
                [
                    ActiveItem(
                        id=self._tasks.titles[standing.id],
                        phase=standing.demand.phase,
                        step=standing.demand.step,
                        max_steps=standing.demand.max_steps,
                        fmax_ev_per_ang=standing.demand.fmax,
                        target_ev_per_ang=standing.demand.target,
                    )
                    for standing in scheduler.standing
                ]
            )

    def _write_progress(self, active: list[ActiveItem]) -> None:
        progress = Progress(
            task=self._job.task,
            n_items=len(self._job.items),
            n_finished=len(self._results),
            n_converged=sum(result.converged for result in self._results.values()),
            n_active=len(active),
            model_calls=self._scheduler.calls,
            resumed_calls=self._scheduler.resumed_calls,
            wall_seconds=time.monotonic() - self._clock,
            updated_at=datetime.now(timezone.utc).isoformat(timespec='seconds'),
            active=active,
            audit=self.audit(),
        )
        write_atomic(self._folder.path / files.PROGRESS, progress.model_dump_json().encode())

    def finished(self) -> tuple[list[NebItemResult], dict[str, AnyArray]]:
        """Return the entries and the arrays of the items that are done so far, in the order of the job."""
        done = [self._results[item.id] for item in self._job.items if item.id in self._results]
        arrays = {
            f'{entry.id}/{name}': value for entry in done for name, value in self._result_arrays[entry.id].items()
        }
        return done, arrays

    def _finish(self) -> NebResult:
        done, arrays = self.finished()
        by_id = {entry.id: entry for entry in done}
        cut_off = f'cut off by {self._stop.reason}; resumes from the checkpoint'
        items = [
            by_id.get(item.id)
            or NebItemResult(
                id=item.id, status='unfinished', converged=False, label='ERROR_OUT_OF_TIME', reason=cut_off
            )
            for item in self._job.items
        ]
        result = NebResult(exit=judge(items), items=items, audit=self.audit())
        self._folder.write_result(result, arrays)
        return result

    def audit(self) -> Audit:
        """Return what ran, where, and at which cost so far."""
        pool, runtime = self._pool, self._job.runtime
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return Audit(
            engine_version=__version__,
            schema_version=SCHEMA_VERSION,
            python_version=platform.python_version(),
            platform=platform.platform(),
            packages=self._packages,
            potential=pool.report,
            device=pool.device,
            dtype=pool.dtype,
            kernels=runtime.kernels,
            processes=pool.processes,
            seed=self._job.parameters.seed,
            model_calls=self._scheduler.calls,
            resumed_calls=self._scheduler.resumed_calls,
            model_seconds=pool.model_seconds,
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


def run(job_file: Path) -> NebResult:
    """Run the job in ``job_file`` and return its result, which is on disk beside it whatever happens.

    Only a kill -9, or a disk that takes no more, keeps ``result.json`` from being written.
    """
    folder = Folder(job_file.resolve().parent)
    (folder.path / files.RESULT).unlink(missing_ok=True)
    try:
        job = NebJob.model_validate_json(job_file.read_bytes())
        arrays = unpack_arrays(folder.path / files.ARRAYS)
    except (OSError, ValueError) as error:
        return _give_up(folder, exit_report('ERROR_JOB_INVALID', reason=_short(error)))
    limit = job.runtime.max_seconds
    stop = Stop(None if limit is None else time.monotonic() + limit)
    stop.listen()
    under_way: NebRun | None = None
    try:
        with Pool(job.potential, folder.path, job.runtime, job.parameters.dtype, _at_once(job, arrays)) as pool:
            under_way = NebRun(job, folder, arrays, pool, stop)
            result = under_way.run()
    except LitrajError as error:
        ended = ExitReport(status=error.code.status, label=error.code.label, message=str(error))
        return _give_up(folder, ended, under_way)
    except Exception as error:
        # what is finished stays in items/ and the journals; the traceback goes to the log of the job
        sys.stderr.write(f'{type(error).__name__}: {error}\n')
        ended = exit_report('ERROR_ENGINE_CRASHED', reason=f'{type(error).__name__}: {_short(error)}')
        _give_up(folder, ended, under_way)
        raise
    if result.exit.status == SUCCESS.status or result.exit.status >= 500:  # nothing is left that could be resumed
        shutil.rmtree(folder.checkpoint, ignore_errors=True)
    return result


def _at_once(job: NebJob, arrays: Mapping[str, AnyArray]) -> int:
    """Return how many configurations of a job can be evaluated at the same time: its ends, or its inner images."""
    paths = [arrays.get(f'{item.id}/positions') for item in job.items]
    return sum(max(2, len(path) - 2) for path in paths if path is not None and path.ndim == 3) or 1


def _short(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        where = '.'.join(str(part) for part in first['loc'])
        return f'{where}: {first["msg"]} ({error.error_count()} faults in all)'
    return str(error).strip()[:500]


def _give_up(folder: Folder, ended: ExitReport, under_way: NebRun | None = None) -> NebResult:
    """Write a result for a job that cannot go on, with what it has finished, so that nothing is lost.

    Before the potential is loaded nothing is known to be of this job: what lies in ``items/`` may be of another.
    """
    items, arrays = under_way.finished() if under_way is not None else ([], {})
    result = NebResult(exit=ended, items=items, audit=None if under_way is None else under_way.audit())
    folder.write_result(result, arrays)
    return result


def summary_line(result: NebResult) -> str:
    """Return one line for the log of the job."""
    calls = '' if result.audit is None else f', {result.audit.model_calls} model calls'
    return json.dumps({'exit': result.exit.status, 'message': result.exit.message}) + calls + f', pid {os.getpid()}'
