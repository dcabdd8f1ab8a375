"""The files of a job on disk, and when to stop."""

from __future__ import annotations

import contextlib
import fcntl
import json
import signal
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Generic, NamedTuple, TypeVar

from ..contract import files
from ..contract.arrays import AnyArray, pack_arrays, unpack_arrays, write_atomic
from ..contract.result import ItemResult, JobResult

ResultT = TypeVar('ResultT', bound=ItemResult)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Work in a folder while no other engine does; another one is waited for.

    Where the answer of a scheduler to a submission is lost on its way, AiiDA submits once more, and two jobs are given
    the same folder: side by side they would write into the same journals. A file system without locks has none here.
    """
    with contextlib.ExitStack() as stack:
        try:
            handle = stack.enter_context((path / files.LOCK).open('ab'))
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                sys.stderr.write('another engine is at work in this folder: waiting for its end\n')
                fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            sys.stderr.write(f'the folder cannot be locked against other engines: {error}\n')
        yield


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


class Kept(NamedTuple, Generic[ResultT]):
    """An item that an earlier run has finished, and the evaluations it has cost, by task."""

    result: ResultT
    arrays: dict[str, AnyArray]
    calls: dict[str, int]


class Folder:
    """The files of a job on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.items = path / files.ITEMS
        self.checkpoint = path / files.CHECKPOINT
        self.put_by = self.checkpoint / files.ITEMS
        self.items.mkdir(exist_ok=True)
        self.checkpoint.mkdir(exist_ok=True)

    def sort(self, wanted: Collection[str]) -> None:
        """Have the files of the ``wanted`` items in ``items/`` and no others, for all of it is fetched after the run.

        What an earlier job has finished and this one is not asked for is put by in the checkpoint: a job that resumes
        this one may be.
        """
        for path in list(self.items.iterdir()):
            if path.name.startswith('.'):  # left by a kill in the middle of a write
                path.unlink()
            elif path.stem not in wanted:
                self.put_by.mkdir(exist_ok=True)
                path.replace(self.put_by / path.name)
        for path in list(self.put_by.glob('*')):
            if path.stem in wanted:
                path.replace(self.items / path.name)

    def keep(
        self, result: ItemResult, arrays: Mapping[str, AnyArray], fingerprint: str, calls: Mapping[str, int]
    ) -> None:
        """Put a finished item on disk: arrays, then entry, then the mark that it need not be done again.

        ``calls``: how many evaluations it and the tasks it needs have cost.
        """
        stored = self.items / f'{result.id}.npz'
        if arrays:
            write_atomic(stored, pack_arrays(arrays))
        else:
            stored.unlink(missing_ok=True)
        write_atomic(self.items / f'{result.id}.json', result.model_dump_json().encode())
        mark = json.dumps({'fingerprint': fingerprint, 'calls': dict(calls)})
        write_atomic(self.checkpoint / f'{result.id}.done', mark.encode())
        (self.checkpoint / f'{result.id}.journal').unlink(missing_ok=True)

    def kept(self, name: str, fingerprint: str, model: type[ResultT]) -> Kept[ResultT] | None:
        """Return an item finished by an earlier run of the same item with the same parameters and potential."""
        try:
            mark = json.loads((self.checkpoint / f'{name}.done').read_bytes())
            if mark['fingerprint'] != fingerprint:
                return None
            result = model.model_validate_json((self.items / f'{name}.json').read_bytes())
            stored = self.items / f'{name}.npz'
            # What failed may have arrays, such as the last frames of a replica; what finished has them.
            arrays = unpack_arrays(stored) if stored.exists() or result.status == 'finished' else {}
            return Kept(result, arrays, {str(task): int(calls) for task, calls in mark['calls'].items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write_result(self, result: JobResult[Any], arrays: Mapping[str, AnyArray]) -> None:
        """Write the arrays, then the result: whoever sees the result sees all of it."""
        write_atomic(self.path / files.RESULT_ARRAYS, pack_arrays(arrays))
        text = result.model_dump_json(indent=1, exclude=None if result.task else {'task'})
        write_atomic(self.path / files.RESULT, (text + '\n').encode())
