"""A trainer under way: a program in a process group of its own, which does not outlive the engine."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from ..models.devices import available_cores
from ..models.memory import says_out_of_memory
from ..signals import signals_blocked
from ..workers import THREAD_VARIABLES
from .interface import Start

LOG = 'trainer.log'
_PACKAGE_ROOT = str(Path(__file__).resolve().parents[3])
_TAIL_BYTES = 64 * 1024
_LAST_LINES = 50
"""As long as torch's longest words on memory, and what a framework says after them."""


class Program:
    """A running trainer; a context manager which ends it. What it prints goes to ``trainer.log`` in ``work``.

    It is deaf to the signals that end a job: the engine decides what becomes of it.

    :param threads: of a CPU; ``None``: as the environment says, else all the cores there are.
    """

    def __init__(self, start: Start, work: Path, threads: int | None = None) -> None:
        paths = [_PACKAGE_ROOT, *filter(None, [os.environ.get('PYTHONPATH')])]
        environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(paths), 'PYTHONUNBUFFERED': '1'}
        if threads is not None or 'OMP_NUM_THREADS' not in os.environ:
            environment.update(dict.fromkeys(THREAD_VARIABLES, str(threads or available_cores())))
        leash = [sys.executable, '-m', f'{__package__}.leash']
        with (work / LOG).open('ab') as log, signals_blocked():
            self._process = subprocess.Popen(
                [*leash, *start.command],
                cwd=work,
                env={**environment, **start.environment},
                stdin=subprocess.PIPE,  # its other end closes with this process
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def poll(self) -> int | None:
        """Return the exit status, ``None`` while it runs."""
        return self._process.poll()

    def wait(self, seconds: float) -> None:
        """Return when it has ended, or after so many seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def end(self) -> None:
        """End it and all it has started, at once: what is of use of it is on disk after each epoch."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


def tail(work: Path) -> str:
    """Return the end of what a trainer has printed."""
    try:
        with (work / LOG).open('rb') as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
            return log.read().decode(errors='replace')
    except OSError:
        return ''


def ran_out_of_memory(work: Path) -> bool:
    """Return whether the last that a trainer has printed is an error about memory."""
    return any('Error' in line and says_out_of_memory(line) for line in tail(work).splitlines()[-_LAST_LINES:])


def last_words(work: Path, lines: int = 5) -> str:
    """Return the last lines that a trainer has printed, as one."""
    printed = [line.strip() for line in tail(work).splitlines() if re.search('[A-Za-z]{3}', line)]  # no ornaments
    return ' | '.join(printed[-lines:]) or 'it said nothing'
