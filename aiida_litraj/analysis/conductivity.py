"""From a crystal to its conductivity at room temperature: what is to be run, and what the runs say together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator, model_validator
from scipy.linalg import polar

from ..contract.arrays import AnyArray, Array
from ..contract.base import Model
from .arrhenius import Conductivity, analyse_conductivity
from .diffusion import Indices
from .diffusion_fit import TransportSettings
from .transport import Run, measure_transport

FEWEST_FRAMES = 20
"""Of a run, without what is discarded: with fewer there is no window in which a displacement is measured."""
SETTLED = 0.02
"""Relative difference of the mean volume between the halves of a run below which it has come to rest."""
CLEAR_ANG = 0.35
"""No two nuclei of condensed matter are this close (H2: 0.74 Ang), and below 0.3 Ang a structure is refused: a frame in
which two are is no start."""
PS = 1000.0
"""In fs."""


class Equilibration(Model):
    """Run at constant pressure of which the mean cell is taken, after the first ``discard_ps``."""

    duration_ps: PositiveFloat
    discard_ps: NonNegativeFloat
    pressure_gpa: float


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
        left = int((run.duration_ps - run.discard_ps) * PS / frame_interval_fs + 1e-9) + 1
        fewest = FEWEST_FRAMES if stage == 'production' else 2
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
    """Return the replicas at constant pressure, one for each temperature, all of the same structure."""
    run = settings.equilibration
    replicas = {}
    for temperature in settings.temperatures_k:
        name = name_of(temperature)
        segment = {'duration_fs': run.duration_ps * PS, 'temperature_k': temperature, 'pressure_gpa': run.pressure_gpa}
        replicas[name] = {'structure': structure, 'seed': _seed(settings, name), 'schedule': [segment]}
    return replicas


def production_replicas(settings: ConductivitySettings, temperature_k: float) -> dict[str, dict[str, object]]:
    """Return the repeats in the mean cell of one temperature, whose structure has its name."""
    segment = {'duration_fs': settings.production.duration_ps * PS, 'temperature_k': temperature_k}
    names = [name_of(temperature_k, repeat) for repeat in range(1, settings.repeats + 1)]
    return {
        name: {'structure': name_of(temperature_k), 'seed': _seed(settings, name), 'schedule': [segment]}
        for name in names
    }


def _seed(settings: ConductivitySettings, name: str) -> int:
    """Return the seed of a replica, which further temperatures or repeats beside it do not change."""
    return int.from_bytes(hashlib.blake2b(f'{settings.seed}:{name}'.encode(), digest_size=6).digest(), 'big')


@dataclass(frozen=True)
class MeanCell:
    """Mean of a run at constant pressure.

    :ivar cell: (3, 3) in Ang: the mean strain from the first frame, without rotations, applied to that.
    :ivar positions: (n, 3) in Ang, of the last frame in which no two atoms overlap, brought into the mean cell.
    :ivar volume_ang3: mean volume.
    :ivar drift: relative difference of the mean volume between the second half and the first.
    :ivar fluctuation: relative standard deviation of the volume within the halves.
    """

    cell: Array
    positions: Array
    volume_ang3: float
    drift: float
    fluctuation: float

    @property
    def settled(self) -> bool:
        """Whether the volume has come to rest, as far as its fluctuation lets one see."""
        return abs(self.drift) <= max(SETTLED, 2.0 * self.fluctuation)


def mean_cell(cells: Array, positions: AnyArray, closest: Array) -> MeanCell:
    """Return the mean of cells (F, 3, 3), and positions (F, n, 3) of a frame in it, from F >= 2 frames.

    ``closest`` (F,) are the shortest distances of two atoms in Ang, which say which frames are fit to start from.

    The cell itself must not be averaged: one that turns would shrink. Its stretch (the symmetric factor of its polar
    decomposition) turns with nothing. The volume is set to the mean volume, from which that of the mean stretch may
    differ in second order.

    :raises ValueError: if there are fewer than two frames, one is not finite, or two atoms overlap in each.
    """
    clear = np.flatnonzero(np.asarray(closest) >= CLEAR_ANG)
    if not len(clear):
        raise ValueError(f'there is no frame in which all atoms are {CLEAR_ANG:g} Ang apart or more')
    if len(cells) < 2 or not np.isfinite(cells).all():
        raise ValueError(f'a mean cell needs two frames at least, all finite, not {len(cells)}')
    stretches = [polar(np.linalg.solve(cells[0], cell), side='left')[1] for cell in cells]
    volumes = abs(np.linalg.det(cells))
    middle = cells[0] @ np.mean(stretches, axis=0)
    middle = middle * (volumes.mean() / abs(np.linalg.det(middle))) ** (1.0 / 3.0)
    last = clear[-1]
    fractional = np.linalg.solve(cells[last].T, np.asarray(positions[last], dtype=float).T).T
    halves = volumes[: len(volumes) // 2], volumes[len(volumes) // 2 :]
    drift = float(halves[1].mean() / halves[0].mean() - 1.0)
    within = float(np.sqrt(np.mean([half.var() for half in halves])) / volumes.mean())
    return MeanCell(middle, fractional @ middle, float(volumes.mean()), drift, within)


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
