"""The program of a group of MPI ranks that evaluate with GPAW: ``mpiexec -n RANKS python -m`` this module.

Rank 0 reads messages from its standard input and answers on its standard output (``mpi_wire``); the others get them
from rank 0. When the input ends, which it does when the engine dies, rank 0 leaves at once, whatever it is doing, with
a status that is a failure to the launcher, which then takes the others along.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
import traceback
from typing import IO, Any

import numpy as np

from ...contract.errors import LitrajError
from ...contract.gpaw import GpawOptions
from .gpaw_solver import Solver
from .interface import Configuration
from .mpi_wire import decode, encode, read

_PAUSE_SECONDS = 0.002
"""How often a rank that waits for the next configuration looks for it: MPI's own waiting would keep a core busy."""


def _own_output() -> IO[bytes]:
    """Return the standard output for messages; all else that is printed goes to the standard error from here on."""
    ours = os.fdopen(os.dup(1), 'wb')
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return ours


def _listen(inbox: queue.Queue[bytes]) -> None:
    """Put the messages of the engine into ``inbox`` until it hangs up; then end, at once and without MPI's farewell."""
    stream = os.fdopen(0, 'rb', buffering=0)
    while True:
        try:
            inbox.put(read(stream))
        except (EOFError, OSError):
            os._exit(1)  # a failure, for which launchers end the other ranks too


class _Ranks:
    """Passing a message of rank 0 on to all."""

    def __init__(self, world: Any, inbox: queue.Queue[bytes]) -> None:
        self._world, self._inbox = world, inbox

    def next(self) -> bytes:
        """Return the next message, the same on all ranks."""
        size = np.zeros(1, dtype=np.int64)
        if self._world.rank == 0:
            message = np.frombuffer(self._inbox.get(), dtype=np.uint8)
            size[0] = len(message)
            for rank in range(1, self._world.size):
                self._world.send(size, rank)
        else:
            waiting = self._world.receive(size, 0, block=False)
            while not self._world.test(waiting):
                time.sleep(_PAUSE_SECONDS)
            message = np.zeros(int(size[0]), dtype=np.uint8)
        content = np.array(message)
        self._world.broadcast(content, 0)
        return content.tobytes()


def _answer(solver: Solver, message: bytes) -> bytes:
    """Return the answer to a configuration; all ranks come to the same one."""
    header, arrays = decode(message)
    configuration = Configuration(**arrays, stress=bool(header['stress']))  # type: ignore[arg-type]
    try:
        found = solver.evaluate(configuration)
    except LitrajError as error:  # on all ranks alike
        return _refusal(error)
    stress = {} if found.stress is None else {'stress': found.stress}
    return encode({'kind': 'done', 'energy': found.energy}, {'forces': found.forces, **stress})


def _refusal(error: LitrajError) -> bytes:
    fields = {name: str(value) for name, value in error.fields.items()}
    return encode({'kind': 'refused', 'label': error.code.label, 'fields': fields})


def main() -> None:
    """Evaluate what the engine asks for until it hangs up."""
    output = _own_output()
    from gpaw.mpi import world

    def say(message: bytes) -> None:
        if world.rank == 0:
            output.write(message)
            output.flush()

    inbox: queue.Queue[bytes] = queue.Queue()
    if world.rank == 0:
        threading.Thread(target=_listen, args=(inbox,), daemon=True).start()
    ranks = _Ranks(world, inbox)
    try:
        options, _ = decode(ranks.next())
        try:
            solver = Solver(GpawOptions.from_options(options))
        except LitrajError as error:
            say(_refusal(error))
            ranks.next()  # the engine hangs up
            return
        known = {'identity': solver.identity(), 'pseudopotentials': solver.fingerprints()} if world.rank == 0 else {}
        say(encode({'kind': 'ready', 'ranks': world.size, **known}))
        while True:
            say(_answer(solver, ranks.next()))
    except BaseException:
        # One rank alone may be here, so no other can be asked to leave in peace: the launcher ends them.
        words = traceback.format_exc()
        sys.stderr.write(words)
        sys.stderr.flush()
        say(encode({'kind': 'crashed', 'words': words[-2000:]}))
        os._exit(1)


if __name__ == '__main__':
    main()
