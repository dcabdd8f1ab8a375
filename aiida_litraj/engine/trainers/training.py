"""One training: the trainer's program is started and watched, each whole epoch is put by, until there is an end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ..failure import Failure, failure
from .interface import Order, Trainer
from .process import Program
from .state import State

_POLL_SECONDS = 0.1
PHASE = 'training'


@dataclass(frozen=True)
class Ended:
    """How a training ended: with a ``failure``, early, or after its last epoch."""

    failure: Failure | None = None
    early: bool = False


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
                    return Ended(self._died(status))
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
            return Ended(failure('ERROR_TRAINING_DIVERGED', epoch=state.n_epochs, reason=diverged))
        if state.n_epochs >= parameters.epochs:
            return Ended()
        return Ended(early=True) if state.stalled(parameters) else None

    def _died(self, status: int) -> Failure:
        how = 'it was killed, perhaps for its memory: ' if status in (137, -9) else f'exit status {status}: '
        reason = f'after {self.state.n_epochs} of {self.order.parameters.epochs} epochs, {how}'
        return failure('ERROR_TRAINER', trainer=self.trainer.name, reason=reason + self.trainer.why(self.order))
