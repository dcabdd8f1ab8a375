"""Common base of everything that crosses the wire between the plugin and the engine."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict

SCHEMA_VERSION: Final = 1
"""Version of every model in this package; raised when a field changes its meaning or goes."""
HIGHEST_PRESSURE_GPA: Final = 1e4
"""Almost thirty times that at the centre of the Earth: what is above was given in Pa."""


def _in_gpa(pressure_gpa: float) -> float:
    if abs(pressure_gpa) > HIGHEST_PRESSURE_GPA:
        raise ValueError(
            f'beyond {HIGHEST_PRESSURE_GPA:g} GPa no solid is simulated here: pressures are in GPa; 1e9 Pa is 1 GPa'
        )
    return pressure_gpa


Pressure = Annotated[float, AfterValidator(_in_gpa)]
"""In GPa, of either sign."""


class Model(BaseModel):
    """Frozen pydantic model which refuses fields it does not know and numbers that are not finite."""

    model_config = ConfigDict(frozen=True, extra='forbid', allow_inf_nan=False)
