"""The program between the engine and a trainer: it ends the trainer, whatever that is, when the engine is gone.

The engine holds the other end of its standard input. When that closes, also by a kill -9, the whole process group is
killed. It ends as the trainer does.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading


def _until_the_engine_is_gone() -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


def main() -> int:
    """Run the command in the arguments; return its exit status, 128 and the number of a signal that killed it."""
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    threading.Thread(target=_until_the_engine_is_gone, daemon=True).start()
    status = child.wait()
    return 128 - status if status < 0 else status


if __name__ == '__main__':
    sys.exit(main())
