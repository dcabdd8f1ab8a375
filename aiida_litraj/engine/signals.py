"""Children that are deaf to the signals which end a job."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def signals_blocked() -> Iterator[None]:
    """Start children deaf to the signals with which schedulers end a job: the parent decides what becomes of them.

    The mask survives the exec. Only closing the connection or SIGKILL ends such a child.
    """
    masked = {signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, masked)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
