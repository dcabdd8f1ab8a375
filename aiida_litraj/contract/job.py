"""What the jobs of all tasks have in common: a potential, parameters, and a batch of items."""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

from pydantic import Field, model_validator

from .base import SCHEMA_VERSION, Model
from .potential import PotentialSpec
from .runtime import Runtime

ITEM_ID = r'^[A-Za-z0-9_][A-Za-z0-9_.-]*$'
Dtype = Literal['native', 'highest', 'float32', 'float64']
"""What a potential is evaluated in; ``highest``: float64 where it offers that, else its native type."""


class Parameters(Model):
    """Every number of a task's science, without defaults: a protocol fills them."""

    dtype: Dtype


class Item(Model):
    """One thing to be done in a job; its arrays are in ``arrays.npz`` under ``<id>/``."""

    id: str = Field(pattern=ITEM_ID)


ParametersT = TypeVar('ParametersT', bound=Parameters)
ItemT = TypeVar('ItemT', bound=Item)


class Job(Model, Generic[ParametersT, ItemT]):
    """Content of ``job.json``."""

    schema_version: Literal[1] = SCHEMA_VERSION
    task: str
    potential: PotentialSpec
    parameters: ParametersT
    runtime: Runtime = Runtime()
    items: list[ItemT] = Field(min_length=1)

    @model_validator(mode='after')
    def _unique(self) -> Job[ParametersT, ItemT]:
        ids = [item.id for item in self.items]
        doubled = sorted({name for name in ids if ids.count(name) > 1}) if len(set(ids)) < len(ids) else []
        if doubled:
            raise ValueError(f'item ids occur more than once: {", ".join(doubled)}')
        return self
