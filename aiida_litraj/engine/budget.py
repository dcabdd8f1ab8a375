"""How many configurations a device gets at once: as many atoms as were found to fit into its memory."""

from __future__ import annotations

from collections import deque

from ..contract.runtime import LARGEST_BATCH_ATOMS, Runtime
from .models import Configuration

FIRST_BATCH_ATOMS = 2048
"""Where the budget of a GPU starts when nobody set it: small enough for any card, 66 copies of a 31-atom cell."""
BATCHES_IN_FLIGHT = 2
"""How many full batches of configurations the scheduler is told to keep ready, so that none is launched half full."""

Ticketed = tuple[int, Configuration]


def n_atoms(configurations: deque[Ticketed] | list[Ticketed]) -> int:
    """Return the atoms of all configurations together."""
    return sum(len(configuration) for _, configuration in configurations)


class Budget:
    """The most atoms in one batch for one device.

    :param atoms: to begin with; ``None`` for one configuration a call.
    :param grow: whether a full batch that fitted doubles the budget of the next, until one does not fit.
    """

    def __init__(self, atoms: int | None = None, grow: bool = False) -> None:
        self.atoms = atoms
        self.halvings = 0
        self._grow = grow
        self._full = False
        self._mean = 1.0

    @classmethod
    def of_gpu(cls, runtime: Runtime) -> Budget:
        """Return the budget that a run begins with on a GPU: what was asked for, or a small one that grows."""
        return cls(runtime.batch_atoms or FIRST_BATCH_ATOMS, grow=runtime.batch_atoms is None)

    @property
    def capacity(self) -> int:
        """How many configurations may usefully be in flight."""
        return 1 if self.atoms is None else max(1, int(BATCHES_IN_FLIGHT * self.atoms / self._mean))

    def see(self, configuration: Configuration) -> None:
        """Learn how large configurations are, by an average that forgets: the capacity follows what is in flight."""
        self._mean += 0.1 * (len(configuration) - self._mean)

    def take(self, queue: deque[Ticketed], share: int | None = None) -> list[Ticketed]:
        """Take the next batch from the front of ``queue``, at least one configuration.

        :param share: no more are taken once there are so many atoms; the others are for other devices.
        """
        batch = [queue.popleft()]
        atoms = n_atoms(batch)
        self._full = False
        while self.atoms is not None and queue and (share is None or atoms < share):
            atoms += len(queue[0][1])
            if atoms > self.atoms:
                self._full = True
                break
            batch.append(queue.popleft())
        return batch

    def fitted(self) -> None:
        """Note that the batch last taken was evaluated."""
        if self._grow and self._full and self.atoms is not None:
            self.atoms = min(2 * self.atoms, LARGEST_BATCH_ATOMS)

    def halve(self, batch: list[Ticketed]) -> None:
        """Note that there was no room for the batch last taken, of several configurations."""
        self.atoms = max(n_atoms(batch) // 2, len(batch[0][1]))
        self.halvings += 1
        self._grow = False
