"""Ends engines in the middle of their work, however fast the machine is: each by how far it is, none by a clock."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from aiida_litraj.contract import files
from aiida_litraj.data import PotentialData
from tests.chaos.bench import SLOW_FAMILY
from tests.e2e.test_kill import engines

LOOK_S = 0.02
SECONDS_PER_CALL = 0.05
"""So that a band takes a second, and is met in the middle."""
SLOW = {'environment_variables': {'PYTHONPATH': str(SLOW_FAMILY)}, 'processes': 1}
"""Options of a job of the slow potential."""
Reached = Callable[[Path, float], bool]
"""Whether an engine is where it is to be ended, from its checkpoint's folder and the time at which it was started."""


def written(pattern: str, n_bytes: int = 1) -> Reached:
    """Return whether an engine has itself written a file of that name, with so many bytes."""

    def reached(checkpoint: Path, begun: float) -> bool:
        found = [path.stat() for path in checkpoint.glob(pattern)]
        return any(one.st_mtime > begun and one.st_size >= n_bytes for one in found)

    return reached


def between_items(checkpoint: Path, begun: float) -> bool:
    """Return whether an engine has finished an item and has begun another."""
    return written('*.done')(checkpoint, begun) and any(checkpoint.glob('*.journal'))


def slow_potential() -> PotentialData:
    """Return the Morse potential with a pause at each call, stored."""
    return PotentialData.packaged('slow', 'morse', options={'seconds': SECONDS_PER_CALL}).store()


class Ender(threading.Thread):
    """Ends engines of the tests' computer, the engine of a job once, until so many have been.

    :ivar ended: the folders of their jobs.
    """

    def __init__(self, work: Path) -> None:
        super().__init__(daemon=True)
        self._work, self.over = work, threading.Event()
        self.times, self.number = 1, signal.SIGTERM
        self.reached: Reached = written('*')
        self.ended: set[Path] = set()
        self._signalled: list[psutil.Process] = []

    def begin(self, reached: Reached, times: int, number: signal.Signals = signal.SIGTERM) -> None:
        """Begin to look; SIGTERM is how a scheduler asks, SIGKILL how it insists."""
        self.reached, self.times, self.number = reached, times, number
        self.start()

    def run(self) -> None:
        while len(self.ended) < self.times and not self.over.wait(LOOK_S):
            for engine in engines(self._work):
                with contextlib.suppress(psutil.Error, OSError):
                    folder = Path(engine.cwd())
                    if folder not in self.ended and self.reached(folder / files.CHECKPOINT, engine.create_time()):
                        engine.send_signal(self.number)
                        self.ended.add(folder)
                        self._signalled.append(engine)
                        time.sleep(LOOK_S)

    def close(self) -> None:
        """Look no more, and leave no engine halted: of a test that failed it would hold its folder for ever."""
        self.over.set()
        if self.is_alive():
            self.join()
        for engine in self._signalled:
            with contextlib.suppress(psutil.Error):
                if engine.status() == psutil.STATUS_STOPPED:
                    engine.kill()
