"""A time after which whatever runs is interrupted, so that no check can hang."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any


class TooSlow(Exception):
    """A check did not end in time."""


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise :class:`TooSlow` in what runs below after this time, by a signal: it ends calls of the system, too.

    Only the main thread gets signals; in another there is no limit but those that the checks keep themselves. An
    alarm that somebody else has set goes on.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: Any) -> None:
        raise TooSlow(f'no answer within {seconds:g} s')

    begin = time.monotonic()
    handler = signal.signal(signal.SIGALRM, stop)
    others, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if others:
            signal.setitimer(signal.ITIMER_REAL, max(others - (time.monotonic() - begin), 1e-3), interval)
