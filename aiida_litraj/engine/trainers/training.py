"""One training: the trainer's program is started and watched, each whole epoch is put by, until there is an end."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from ...contract import files
from ...contract.train import LOG
from ..failure import Failure, failure
from .interface import Order, Trainer
from .process import Program, ran_out_of_memory
from .state import State

_POLL_SECONDS = 0.1
_KILLED = (128 + signal.SIGKILL, -signal.SIGKILL)
"""Exit status of a trainer, and of what keeps it, after the one signal that nothing can be done about."""
PHASE = 'training'
DIVERGED = 'ERROR_TRAINING_DIVERGED'


@dataclass(frozen=True)
class Ended:
    """How a training ended: with a ``failure``, early, or after its last epoch.

    One that was ``cut_off`` has not failed, but was killed from outside: a new run goes on.
    """

    failure: Failure | None = None
    early: bool = False
    cut_off: bool = False


class Training:
    """One training, from where ``state`` is.

    :param threads: of a CPU; ``None`` leaves it to the environment.
    """

    def __init__(self, trainer: Trainer, order: Order, state: State, threads: int | None) -> None:
        self.trainer, self.order, self.state, self._threads = trainer, order, state, threads
        self._since = time.monotonic()

    def run(self, keep_running: Callable[[], bool], tick: Callable[[], None], limit: float | None) -> Ended | None:
        """Train to an end; ``None`` if ``keep_running`` said that there is none: what is whole is on disk.

        :param limit: seconds after which it is given up.
        :raises LitrajError: if the trainer cannot do what is asked for.
        """
        ended = self._end()
        if ended is not None:  # an earlier run was killed just after it
            return ended
        start = self.trainer.start(self.order)
        if self.state.native_input is None:
            self.state.native_input = start.native_input
            self.state.write()
        with Program(start, self.order.work, self._threads) as program:
            while True:
                status = program.poll()  # before the epochs are read: what has ended has told of them all
                ended = self._take_new()
                if ended is not None:
                    return ended
                if not keep_running():
                    return None
                if status is not None:
                    return self._died(status)
                taken = time.monotonic() - self._since
                if limit is not None and taken > limit:
                    fields = {'seconds': f'{taken:.0f}', 'phase': PHASE, 'step': self.state.n_epochs}
                    return Ended(failure('ERROR_ITEM_OUT_OF_TIME', **fields))
                tick()
                program.wait(_POLL_SECONDS)

    def _take_new(self) -> Ended | None:
        """Put by the epochs that have come to an end; what comes after the end of the training is not taken."""
        for epoch in self.trainer.epochs(self.order):
            if epoch.number == self.state.n_epochs + 1:
                self.state.take(epoch)
                ended = self._end()
                if ended is not None:
                    return ended
        return None

    def _end(self) -> Ended | None:
        """Return how the training has ended with its last epoch, ``None`` if it goes on."""
        parameters, state = self.order.parameters, self.state
        if not state.n_epochs:
            return None
        diverged = state.diverged(parameters.max_loss_ratio)
        if diverged is not None:
            return Ended(failure(DIVERGED, epoch=state.n_epochs, reason=diverged))
        if state.n_epochs >= parameters.epochs:
            return Ended()
        return Ended(early=True) if state.stalled(parameters) else None

    def _died(self, status: int) -> Ended:
        """Return what became of a trainer that ended before its last epoch."""
        order, killed = self.order, status in _KILLED
        after = f'after {self.state.n_epochs} of {order.parameters.epochs} epochs'
        more = f'more in {files.ITEMS}/{order.work.name}{LOG}'
        if not killed and ran_out_of_memory(order.work):
            return Ended(
                Failure(
                    'ERROR_DEVICE_MEMORY',
                    f'out of memory on {order.device} with {order.parameters.batch_size} configurations a step, '
                    f'{after}: take a device with more memory, or a smaller batch_size, which is another training '
                    f'({more})',
                )
            )
        how = 'killed with signal 9, most likely for its memory' if killed else f'exit status {status}'
        reason = f'{after}, {how}: {self.trainer.why(order)} ({more})'
        return Ended(failure('ERROR_TRAINER', trainer=self.trainer.name, reason=reason), cut_off=killed)
