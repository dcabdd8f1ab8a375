"""The temperature and pressure that a replica is to have at each step."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from ....contract.md import Segment, steps_in
from .units import BOLTZMANN, GIGAPASCAL


class Conditions(NamedTuple):
    """Target ``kt`` in eV and ``pressure`` in eV/Ang^3."""

    kt: float
    pressure: float


class Schedule:
    """A row of segments. Step ``n`` goes from time n-1 to time n; its conditions are those of its end."""

    def __init__(self, segments: Sequence[Segment], timestep_fs: float) -> None:
        self._segments = tuple(segments)
        self._steps = [steps_in(segment.duration_fs, timestep_fs, 'duration_fs') for segment in segments]
        self.ends = list(accumulate(self._steps))
        """The last step of each segment."""

    @property
    def n_steps(self) -> int:
        """How many steps there are in all."""
        return self.ends[-1]

    def segment(self, step: int) -> int:
        """Return which segment a step belongs to; step 0 to the first."""
        return min(bisect_left(self.ends, max(1, step)), len(self.ends) - 1)

    def at(self, step: int) -> Conditions:
        """Return the conditions at the end of a step; of step 0, those at the start."""
        k = self.segment(step)
        segment = self._segments[k]
        done = 1.0 - (self.ends[k] - step) / self._steps[k]
        kelvin = _ramp(segment.temperature_k, segment.temperature_end_k, done)
        gigapascal = _ramp(segment.pressure_gpa or 0.0, segment.pressure_end_gpa, done)
        return Conditions(BOLTZMANN * kelvin, GIGAPASCAL * gigapascal)


def _ramp(start: float, end: float | None, done: float) -> float:
    return start if end is None else (1.0 - done) * start + done * end
