"""From the numbers of a melt-quench to the replica that goes through it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from aiida.engine import calcfunction
from aiida.orm import Dict
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from ...contract.base import Model, Pressure
from ...contract.units import FEMTOSECONDS_OF_PS
from ..validation import validated

STRUCTURE = 'crystal'
REPLICA = 'quench'
"""Names in the job; always the same, so that an equal one is recognised by the cache."""


class Span(NamedTuple):
    """A stage of the schedule and when it is, in ps."""

    name: str
    start_ps: float
    stop_ps: float

    def last(self, share: float) -> Span:
        """Return the last part of the stage, of this share of its time."""
        return self._replace(start_ps=self.stop_ps - share * (self.stop_ps - self.start_ps))


class MeltQuench(Model):
    """Hold at ``melt_temperature_k``, linear ramp down to ``end_temperature_k``, hold there; all at one pressure.

    ``n_snapshots`` configurations, evenly spaced from the first to the last frame after the start, are kept apart.
    """

    melt_temperature_k: PositiveFloat
    end_temperature_k: PositiveFloat
    melt_ps: PositiveFloat
    quench_ps: PositiveFloat
    hold_ps: PositiveFloat
    pressure_gpa: Pressure
    seed: NonNegativeInt = Field(le=2**63 - 1)
    n_snapshots: PositiveInt

    @model_validator(mode='after')
    def _downwards(self) -> MeltQuench:
        if self.end_temperature_k >= self.melt_temperature_k:
            raise ValueError(
                f'end_temperature_k = {self.end_temperature_k:g} is not below melt_temperature_k = '
                f'{self.melt_temperature_k:g}: nothing would be quenched'
            )
        return self

    def spans(self) -> tuple[Span, ...]:
        """Return the three stages."""
        quench, glass = self.melt_ps, self.melt_ps + self.quench_ps
        return Span('melt', 0.0, quench), Span('quench', quench, glass), Span('glass', glass, glass + self.hold_ps)


@calcfunction
def plan_melt_quench(schedule: Dict) -> Dict:
    """Return the replica of a melt-quench as ``litraj.md`` takes it.

    :param schedule: the fields of :class:`MeltQuench`.
    """
    return Dict(replica_of(read_melt_quench(schedule.get_dict())))


def replica_of(plan: MeltQuench) -> dict[str, Any]:
    """Return structure, seed and schedule of the replica."""
    pressure = {'pressure_gpa': plan.pressure_gpa}
    melt, quench, hold = (time * FEMTOSECONDS_OF_PS for time in (plan.melt_ps, plan.quench_ps, plan.hold_ps))
    hot, cold = plan.melt_temperature_k, plan.end_temperature_k
    return {
        'structure': STRUCTURE,
        'seed': plan.seed,
        'schedule': [
            {'duration_fs': melt, 'temperature_k': hot, **pressure},
            {'duration_fs': quench, 'temperature_k': hot, 'temperature_end_k': cold, **pressure},
            {'duration_fs': hold, 'temperature_k': cold, **pressure},
        ],
    }


def read_melt_quench(values: Mapping[str, Any]) -> MeltQuench:
    """Return the numbers of a melt-quench from their fields.

    :raises ValueError: naming each field that is missing, not known or out of range.
    """
    return validated(values, MeltQuench, 'schedule')
