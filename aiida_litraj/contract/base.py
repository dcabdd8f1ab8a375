"""Common base of everything that crosses the wire between the plugin and the engine."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION: Final = 1
"""Version of every model in this package; raised when a field changes its meaning or goes."""


class Model(BaseModel):
    """Frozen pydantic model which refuses fields it does not know and numbers that are not finite."""

    model_config = ConfigDict(frozen=True, extra='forbid', allow_inf_nan=False)
