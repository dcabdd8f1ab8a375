"""From a crystal to its conductivity at room temperature: what is to be run, and what the runs say together."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator, model_validator

from ..contract.arrays import Array
from ..contract.base import Model, Pressure
from ..contract.units import FEMTOSECONDS_OF_PS
from .arrhenius import Conductivity, analyse_conductivity
from .diffusion import Indices
from .diffusion_fit import TransportSettings
from .mean_cell import BLOCKS
from .transport import Run, measure_transport

FEWEST_FRAMES = 20
"""Of a run, without what is discarded: with fewer there is no window in which a displacement is measured."""
FEWEST_OF_A_MEAN = 2 * BLOCKS
"""Frames of a run at constant pressure, without what is discarded: a block of one frame tells of no fluctuation."""


class Equilibration(Model):
    """Run at constant pressure of which the mean cell is taken, after the first ``discard_ps``."""

    duration_ps: PositiveFloat
    discard_ps: NonNegativeFloat
    pressure_gpa: Pressure


class Production(Model):
    """Run in the mean cell; displacements count after the first ``discard_ps``."""

    duration_ps: PositiveFloat
    discard_ps: NonNegativeFloat


class AnalysisChoices(Model):
    """Choices of the analysis, as ``TransportSettings`` has them."""

    hop_length_ang: PositiveFloat
    window_factor: float = Field(gt=1.0)
    min_windows: PositiveFloat
    framework_msd_ang2: PositiveFloat


class ConductivitySettings(Model):
    """Every choice but those of the integrators; without defaults: a protocol fills them.

    ``charge`` is that of a mobile ion in units of e; ``min_image_distance_ang`` the least distance of an atom to its
    own image in the supercell; ``seed`` that of all replicas, each of which makes its own of it.
    """

    mobile_element: str = Field(min_length=1)
    charge: float
    min_image_distance_ang: PositiveFloat
    temperatures_k: list[PositiveFloat]
    repeats: PositiveInt
    seed: int = Field(ge=0)
    equilibration: Equilibration
    production: Production
    analysis: AnalysisChoices

    @field_validator('temperatures_k')
    @classmethod
    def _temperatures(cls, value: list[float]) -> list[float]:
        if not value:
            raise ValueError('give at least one temperature; an activation energy needs two, a test of it three')
        if len({name_of(temperature) for temperature in value}) < len(value):
            raise ValueError('each temperature may be given once; repeats has each run several times')
        return sorted(value)

    @field_validator('charge')
    @classmethod
    def _charged(cls, value: float) -> float:
        if value == 0.0:
            raise ValueError('ions without a charge carry no current; lithium has 1')
        return value

    @model_validator(mode='after')
    def _something_is_left(self) -> ConductivitySettings:
        for name in ('equilibration', 'production'):
            run = getattr(self, name)
            if run.discard_ps >= run.duration_ps:
                raise ValueError(
                    f'{name}.discard_ps = {run.discard_ps:g} leaves nothing of {run.duration_ps:g} ps: '
                    'discard less, or run longer'
                )
        return self

    @property
    def transport(self) -> TransportSettings:
        """What the analysis of one temperature needs."""
        return TransportSettings(**self.analysis.model_dump(), discard_ps=self.production.discard_ps)

    def check_frames(self, frame_interval_fs: float, stage: str) -> None:
        """Refuse a run that is too short for what is made of it.

        :param stage: ``equilibration`` or ``production``.
        :raises ValueError: with the values and the remedy.
        """
        run = getattr(self, stage)
        left = int((run.duration_ps - run.discard_ps) * FEMTOSECONDS_OF_PS / frame_interval_fs + 1e-9) + 1
        # The first lag of a fit is a frame at least, and a run holds two windows up to ``window_factor`` times that.
        window = math.ceil(2.0 * self.analysis.window_factor) + 1
        fewest = max(FEWEST_FRAMES, window) if stage == 'production' else FEWEST_OF_A_MEAN
        if left < fewest:
            raise ValueError(
                f'settings.{stage}.duration_ps = {run.duration_ps:g} is shorter than the window of its analysis: '
                f'{left} frames are left after {run.discard_ps:g} ps, one every {frame_interval_fs:g} fs, and '
                f'{fewest} are needed; run longer, or write frames more often'
            )


def name_of(temperature_k: float, repeat: int | None = None) -> str:
    """Return the name of a temperature, or of one of the runs at it, counted from 1: ``T600_r1``."""
    name = 'T' + f'{temperature_k:.6g}'.replace('+', '').replace('.', 'p')
    return name if repeat is None else f'{name}_r{repeat}'


def equilibration_replicas(settings: ConductivitySettings, structure: str) -> dict[str, dict[str, object]]:
    """Return the replicas at constant pressure, all of the same structure, the repeats of each temperature."""
    duration, pressure = settings.equilibration.duration_ps * FEMTOSECONDS_OF_PS, settings.equilibration.pressure_gpa
    replicas = {}
    for temperature in settings.temperatures_k:
        segment = {'duration_fs': duration, 'temperature_k': temperature, 'pressure_gpa': pressure}
        for repeat in range(1, settings.repeats + 1):
            name = name_of(temperature, repeat)
            seed = _seed(settings, f'equilibration:{name}')
            replicas[name] = {'structure': structure, 'seed': seed, 'schedule': [segment]}
    return replicas


def production_replica(settings: ConductivitySettings, temperature_k: float, repeat: int) -> dict[str, object]:
    """Return a repeat in the mean cell of a temperature; its start has its name."""
    segment = {'duration_fs': settings.production.duration_ps * FEMTOSECONDS_OF_PS, 'temperature_k': temperature_k}
    name = name_of(temperature_k, repeat)
    return {'structure': name, 'seed': _seed(settings, name), 'schedule': [segment]}


def production_replicas(settings: ConductivitySettings, structure: str) -> dict[str, dict[str, object]]:
    """Return all repeats at all temperatures as they would be in one structure: to be judged before there is any."""
    each = [
        (temperature, repeat) for temperature in settings.temperatures_k for repeat in range(1, settings.repeats + 1)
    ]
    return {name_of(*one): {**production_replica(settings, *one), 'structure': structure} for one in each}


def _seed(settings: ConductivitySettings, name: str) -> int:
    """Return the seed of a replica, which further temperatures or repeats beside it do not change."""
    return int.from_bytes(hashlib.blake2b(f'{settings.seed}:{name}'.encode(), digest_size=6).digest(), 'big')


@dataclass(frozen=True)
class Measured:
    """What the runs say.

    :ivar together: from all repeats of each temperature.
    :ivar repeats: from each repeat alone, by its number; empty if there is but one.
    """

    together: Conductivity
    repeats: dict[int, Conductivity]


def measure(
    runs: Mapping[float, Mapping[int, Run]],
    mobile: Indices | Sequence[int],
    masses: Array,
    settings: ConductivitySettings,
) -> Measured:
    """Return the conductivity from runs by temperature in K and number of the repeat.

    :param mobile: indices of the mobile ions.
    :param masses: (n,) of the atoms.
    :raises ValueError: as ``measure_transport`` does.
    """

    def conductivity(chosen: Mapping[float, Sequence[Run]]) -> Conductivity:
        return analyse_conductivity(
            [
                measure_transport(some, mobile, temperature, settings.charge, masses, settings.transport)
                for temperature, some in chosen.items()
                if some
            ]
        )

    together = conductivity({temperature: list(some.values()) for temperature, some in runs.items()})
    numbers = sorted({number for some in runs.values() for number in some})
    if len(numbers) < 2:
        return Measured(together, {})
    alone = {
        number: {temperature: [some[number]] for temperature, some in runs.items() if number in some}
        for number in numbers
    }
    return Measured(together, {number: conductivity(chosen) for number, chosen in alone.items()})
