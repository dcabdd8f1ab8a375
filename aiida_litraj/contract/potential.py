"""A potential as the engine is told of it, and what the engine's ``probe`` says about families."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from .base import SCHEMA_VERSION, Model

SHA256 = r'^[0-9a-f]{64}$'


class PotentialSpec(Model):
    """Which potential to load: a checkpoint file beside the job, or a name the family's package knows.

    :raises ValueError: if both or neither of ``name`` and ``file`` are given.
    """

    family: str = Field(pattern=r'^[a-z][a-z0-9_]*$')
    name: str | None = None
    file: str | None = Field(default=None, pattern=r'^[A-Za-z0-9_][A-Za-z0-9_.+-]*$')
    sha256: str | None = Field(default=None, pattern=SHA256)
    options: dict[str, str | int | float | bool] = {}

    @model_validator(mode='after')
    def _one_source(self) -> PotentialSpec:
        if (self.name is None) == (self.file is None):
            raise ValueError(f'give either a name or a file of the potential, not name={self.name}, file={self.file}')
        return self


class PotentialReport(Model):
    """What the engine found on loading a potential."""

    family: str
    name: str | None = None
    file: str | None = None
    sha256: str | None = Field(default=None, pattern=SHA256)
    elements: list[str] | None = None
    """Chemical symbols the potential covers; ``None`` when it cannot tell (any element is accepted then)."""
    cutoff_ang: float | None = None
    dtypes: list[str] = []
    """Floating-point types it can be evaluated in, the native one first."""
    pseudopotentials: dict[str, str] | None = None
    """Of a DFT code, a fingerprint of what stands for the core of each element, as the labels of that code have it."""


class FamilyReport(Model):
    """One potential family in one environment."""

    family: str
    available: bool
    package: str
    """Distribution to ``pip install`` when it is missing."""
    version: str | None = None
    error: str | None = None
    names: list[str] = []
    """Packaged potentials that load without a download."""


class ProbeReport(Model):
    """What ``litraj-engine probe`` prints."""

    schema_version: Literal[1] = SCHEMA_VERSION
    engine_version: str
    python_version: str
    python: str
    platform: str
    packages: dict[str, str] = {}
    devices: list[str] = []
    """``cpu`` first, then ``cuda:0`` and so on as torch sees them, each with the device's name after a space."""
    families: list[FamilyReport] = []
    potential: PotentialReport | None = None
    """Only when the probe was asked to load one."""
    error: str | None = None
