"""From a grid of temperatures and pressures to its replicas, each with a seed of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from aiida.engine import calcfunction
from aiida.orm import Dict
from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveFloat, PositiveInt, field_validator

from ...contract.base import HIGHEST_PRESSURE_GPA, Model
from ...contract.units import FEMTOSECONDS_OF_PS
from ..validation import validated

START = 'start'
"""Name of the structure from which all replicas of a grid start."""
PASCALS_OF_GPA = 1e9
LOWEST_PRESSURE_PA = 1e3
"""A hundredth of the atmosphere, which no solid feels: what is below, and not nothing, was given in GPa."""


class Grid(Model):
    """Anneals at each temperature and pressure, so many times; ``seed`` is what the seeds of all replicas come from."""

    temperatures_k: list[PositiveFloat] = Field(min_length=1)
    pressures_pa: list[FiniteFloat] = Field(min_length=1)
    repeats: PositiveInt
    duration_ps: PositiveFloat
    seed: NonNegativeInt = Field(le=2**63 - 1)

    @field_validator('temperatures_k', 'pressures_pa')
    @classmethod
    def _different(cls, values: list[float]) -> list[float]:
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise ValueError(f'{twice[0]:g} is given twice; leave one out, and set repeats for more of the same')
        return values

    @field_validator('pressures_pa')
    @classmethod
    def _in_pascals(cls, values: list[float]) -> list[float]:
        for value in values:
            if 0.0 < abs(value) < LOWEST_PRESSURE_PA:
                raise ValueError(
                    f'{value:g} Pa is next to nothing: pressures of a grid are in Pa, 1 GPa is 1e9; for none give 0'
                )
            if abs(value) > HIGHEST_PRESSURE_GPA * PASCALS_OF_GPA:
                raise ValueError(
                    f'{value:g} Pa is beyond {HIGHEST_PRESSURE_GPA * PASCALS_OF_GPA:g}: pressures of a grid are in Pa, '
                    '1 GPa is 1e9'
                )
        return values

    def replicas(self) -> dict[str, tuple[float, float, int]]:
        """Return temperature in K, pressure in Pa and number of the repeat of each replica, by its name."""
        return {
            f't{i}_p{j}_r{repeat}': (temperature, pressure, repeat)
            for i, temperature in enumerate(self.temperatures_k)
            for j, pressure in enumerate(self.pressures_pa)
            for repeat in range(1, self.repeats + 1)
        }


def derived_seed(seed: int, temperature_k: float, pressure_pa: float, repeat: int) -> int:
    """Return the seed of a replica: 62 bits of a hash of what it is, so that other replicas do not matter to it."""
    text = f'{seed}/{float(temperature_k)!r}/{float(pressure_pa)!r}/{repeat}'
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], 'big') >> 2


@calcfunction
def plan_robustness(grid: Dict) -> dict[str, Any]:
    """Return the replicas of a grid, ``{'replicas': {name: Dict}}``, as ``litraj.md`` takes them.

    :param grid: the fields of :class:`Grid`.
    """
    return {'replicas': {name: Dict(replica) for name, replica in replicas_of(read_grid(grid.get_dict())).items()}}


def replicas_of(grid: Grid) -> dict[str, dict[str, Any]]:
    """Return structure, seed and schedule of each replica."""
    return {
        name: {
            'structure': START,
            'seed': derived_seed(grid.seed, temperature, pressure, repeat),
            'schedule': [
                {
                    'duration_fs': grid.duration_ps * FEMTOSECONDS_OF_PS,
                    'temperature_k': temperature,
                    'pressure_gpa': pressure / PASCALS_OF_GPA,
                }
            ],
        }
        for name, (temperature, pressure, repeat) in grid.replicas().items()
    }


def read_grid(values: Mapping[str, Any]) -> Grid:
    """Return a grid from its fields.

    :raises ValueError: naming each field that is missing, not known or out of range.
    """
    return validated(values, Grid, 'grid')
