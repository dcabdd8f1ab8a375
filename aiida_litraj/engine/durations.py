"""How long a potential takes for a configuration, however long its first calls took."""

from __future__ import annotations

from collections import deque
from statistics import median


class Durations(deque[float]):
    """Seconds inside the model for each configuration, the latest of very many.

    Of a processor they are processor time, so that jobs which share its cores do not count; of a GPU time by the clock.
    """

    def __init__(self) -> None:
        super().__init__(maxlen=10_001)

    @property
    def median(self) -> float | None:
        """In s; ``None`` where nothing was evaluated. The first calls of a model that compiles hardly move it."""
        return median(self) if self else None
