"""From ``job.json`` to ``result.json``: reads a job, has its task do it, and says how it ended whatever happens."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..contract import files
from ..contract.arrays import unpack_arrays
from ..contract.errors import LitrajError, stands
from ..contract.result import ExitReport, ItemResult, JobResult
from ..contract.verdict import exit_report
from .batch import BatchRun
from .folder import Folder, Stop, locked
from .tasks.registry import TASKS, run_class


def run(job_file: Path) -> JobResult[Any]:
    """Run the job in ``job_file`` and return its result, which is on disk beside it whatever happens.

    Only a kill -9, or a disk that takes no more, keeps ``result.json`` from being written. Where another engine works
    in the same folder its end is waited for. What an engine has done before, of a job that was submitted twice or
    queued again, is the result; what it has left is gone on with.
    """
    path, begun = job_file.resolve().parent, time.monotonic()
    with locked(path):
        done = _done_before(job_file, path)
        return _run(job_file, Folder(path), begun) if done is None else done


def _done_before(job_file: Path, path: Path) -> JobResult[Any] | None:
    """Return the result that another engine has left of this job, if nothing is left to do.

    A result is of the job if it was written after it: who changes the job wants another result.
    """
    file = path / files.RESULT
    try:
        if max(each.stat().st_mtime_ns for each in (job_file, path / files.ARRAYS)) >= file.stat().st_mtime_ns:
            return None
        content = file.read_bytes()
        result: JobResult[Any] = run_class(_task_of(content)).result_model.model_validate_json(content)
    except (OSError, ValueError):
        return None
    if not stands(result.exit.status):
        return None
    sys.stderr.write(f'this job has been done: its result is there (to do it again, remove {files.RESULT})\n')
    return result


def _run(job_file: Path, folder: Folder, begun: float) -> JobResult[Any]:
    """Run the job in a folder that no other engine works in.

    :param begun: when the job began, by the clock that its time is measured on.
    """
    for said in (files.RESULT, files.PROGRESS):  # by an earlier run in this folder, of a job that was queued again
        (folder.path / said).unlink(missing_ok=True)
    task: str | None = None
    try:
        content = job_file.read_bytes()
        task = _task_of(content)
        kind = run_class(task)
        job = kind.job_model.model_validate_json(content)
        arrays = unpack_arrays(folder.path / files.ARRAYS)
    except (OSError, ValueError) as error:
        return _give_up(folder, task, exit_report('ERROR_JOB_INVALID', reason=_short(error)))
    folder.sort({item.id for item in job.items})
    limit = job.runtime.max_seconds
    stop = Stop(None if limit is None else begun + limit)
    stop.listen()
    under_way: BatchRun[Any, Any] | None = None
    try:
        with kind.open_pool(job, folder, arrays) as pool:
            under_way = kind(job, folder, arrays, pool, stop)
            result = under_way.run()
    except LitrajError as error:
        ended = ExitReport(status=error.code.status, label=error.code.label, message=str(error))
        return _give_up(folder, task, ended, under_way)
    except Exception as error:
        # what is finished stays in items/ and the checkpoint; the traceback goes to the log of the job
        sys.stderr.write(f'{type(error).__name__}: {error}\n')
        ended = exit_report('ERROR_ENGINE_CRASHED', reason=f'{type(error).__name__}: {_short(error)}')
        _give_up(folder, task, ended, under_way)
        raise
    # else what earlier jobs have finished is of use to one that wants all
    if stands(result.exit.status) and not folder.put_by.exists():
        shutil.rmtree(folder.checkpoint, ignore_errors=True)
    return result


def _task_of(content: bytes) -> str:
    """Return the task that a job names.

    :raises ValueError: if it names none that the engine has.
    """
    found = json.loads(content)
    if not isinstance(found, dict):
        raise ValueError(f'a job is a JSON object, this is a {type(found).__name__}')
    task = found.get('task')
    if task not in TASKS:
        raise ValueError(f'task: {task!r} is not one of {", ".join(TASKS)}')
    return str(task)


def _short(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        where = '.'.join(str(part) for part in first['loc'])
        return f'{where}: {first["msg"]} ({error.error_count()} faults in all)'
    return str(error).strip()[:500]


def _give_up(
    folder: Folder, task: str | None, ended: ExitReport, under_way: BatchRun[Any, Any] | None = None
) -> JobResult[Any]:
    """Write a result for a job that cannot go on, with what it has finished, so that nothing is lost.

    Before the potential is loaded nothing is known to be of this job: what lies in ``items/`` may be of another.
    """
    items: list[ItemResult] = []
    arrays: dict[str, Any] = {}
    if under_way is not None:
        items, arrays = under_way.finished()
    model = JobResult[ItemResult] if task is None else run_class(task).result_model
    audit = None if under_way is None else under_way.audit()
    result: JobResult[Any] = model(exit=ended, items=items, audit=audit)
    folder.write_result(result, arrays)
    return result


def summary_line(result: JobResult[Any]) -> str:
    """Return one line for the log of the job."""
    calls = '' if result.audit is None else f', {result.audit.model_calls} model calls'
    return json.dumps({'exit': result.exit.status, 'message': result.exit.message}) + calls + f', pid {os.getpid()}'
