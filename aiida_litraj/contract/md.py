"""Job and result of the ``md`` task: molecular dynamics of any number of replicas.

Arrays of a job, in ``arrays.npz``, per item ``<id>``: ``<id>/positions`` (n_atoms, 3) in Ang; ``<id>/cell`` (3, 3) in
Ang; ``<id>/pbc`` (3,) bool; ``<id>/numbers`` (n_atoms,) atomic numbers; with ``initial_velocities: given`` also
``<id>/velocities`` (n_atoms, 3) in Ang/fs.

A replica writes two files of records as it goes, ``items/<id>.frames`` and ``items/<id>.thermo``: see
``contract.trajectory``.

Arrays of a result, in ``result.npz``, per item that has ended: ``<id>/positions``, ``<id>/velocities`` (n_atoms, 3) and
``<id>/cell`` (3, 3) where it stood at the end; of one that died also its last steps, the oldest first:
``<id>/last/steps`` (k,), ``<id>/last/positions``, ``<id>/last/velocities``, ``<id>/last/forces`` (k, n_atoms, 3) in
eV/Ang, ``<id>/last/cells`` (k, 3, 3), ``<id>/last/energies`` (k,) in eV, not a number where there was no evaluation.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from .arrays import Array
from .base import Model, Pressure
from .cells import heights
from .job import Item, Job, Parameters
from .result import ItemResult, JobResult

Ensemble = Literal['nve', 'nvt', 'npt']
Cell = Literal['isotropic', 'full']
LARGEST_SEED = 2**63 - 1
FASTEST_COUPLING_STEPS = 10
"""A thermostat or barostat with a shorter time constant than this many steps is not integrated any more."""
_MULTIPLE = 1e-9


class Langevin(Model):
    """Langevin dynamics, integrated as BAOAB: samples the canonical ensemble, changes how fast atoms diffuse."""

    kind: Literal['langevin'] = 'langevin'
    friction_per_ps: PositiveFloat


class NoseHoover(Model):
    """Chain of Nose-Hoover thermostats: canonical, and gentle on diffusion."""

    kind: Literal['nose-hoover'] = 'nose-hoover'
    tau_fs: PositiveFloat
    chain_length: PositiveInt


class CellRescaling(Model):
    """Stochastic cell rescaling. ``compressibility_per_gpa`` only sets, with ``tau_fs``, how fast the cell follows."""

    kind: Literal['stochastic-cell-rescaling'] = 'stochastic-cell-rescaling'
    tau_fs: PositiveFloat
    compressibility_per_gpa: PositiveFloat
    cell: Cell


class MartynaTobiasKlein(Model):
    """Martyna-Tobias-Klein barostat with a chain of thermostats of its own."""

    kind: Literal['mtk'] = 'mtk'
    tau_fs: PositiveFloat
    chain_length: PositiveInt
    cell: Cell


Thermostat = Annotated[Langevin | NoseHoover, Field(discriminator='kind')]
Barostat = Annotated[CellRescaling | MartynaTobiasKlein, Field(discriminator='kind')]
_GOES_WITH = {'stochastic-cell-rescaling': 'langevin', 'mtk': 'nose-hoover'}
"""The thermostat with which the integrator of each barostat is one whole; other pairs have no sound splitting here."""


class Limits(Model):
    """When a replica counts as dead."""

    temperature_factor: float = Field(gt=1.0)
    """Times the target temperature, or times ``temperature_floor_k`` where the target is lower."""
    temperature_floor_k: PositiveFloat
    energy_change_ev_per_atom: PositiveFloat
    """Of the potential energy, from that of the start, up or down."""
    volume_ratio_min: PositiveFloat = Field(lt=1.0)
    """To the volume of the start."""
    volume_ratio_max: float = Field(gt=1.0)
    max_displacement_ang: PositiveFloat
    """Of an atom in one step."""
    max_neighbours: PositiveFloat
    """Mean number of atoms within the cutoff of the potential; looked at before the potential is asked."""


class MdParameters(Parameters):
    """Every number of the science, without defaults: a protocol fills them.

    ``initial_velocities``: ``maxwell-boltzmann`` at the temperature at which the schedule starts, with the momentum of
    the whole taken out; ``zero``; or ``given`` in the arrays.
    """

    ensemble: Ensemble
    timestep_fs: PositiveFloat
    thermostat: Thermostat | None
    barostat: Barostat | None
    initial_velocities: Literal['maxwell-boltzmann', 'zero', 'given']
    frame_interval_fs: PositiveFloat
    thermo_interval_fs: PositiveFloat
    frame_dtype: Literal['float32', 'float64']
    """Of the positions in the frames: float32 keeps 1e-5 Ang at 100 Ang and halves the file."""
    contact_distance_ang: PositiveFloat
    """Frames with two atoms this close are counted; they do not end a replica."""
    last_frames: PositiveInt
    """How many of its last steps are kept of a replica that dies."""
    limits: Limits

    @model_validator(mode='after')
    def _consistent(self) -> MdParameters:
        needs = {'nve': (False, False), 'nvt': (True, False), 'npt': (True, True)}[self.ensemble]
        for name, needed, given in zip(('thermostat', 'barostat'), needs, (self.thermostat, self.barostat)):
            if needed and given is None:
                raise ValueError(f'ensemble {self.ensemble} needs a {name}: give one, or choose another ensemble')
            if given is not None and not needed:
                better = 'npt' if name == 'barostat' else 'nvt'
                raise ValueError(
                    f'ensemble {self.ensemble} has no {name}, but {name} is {given.kind}: '
                    f'set it to null, or the ensemble to {better}'
                )
        if self.barostat is not None and self.thermostat is not None:
            wanted = _GOES_WITH[self.barostat.kind]
            if self.thermostat.kind != wanted:
                raise ValueError(
                    f'barostat {self.barostat.kind} does not go with thermostat {self.thermostat.kind}: use {wanted}'
                )
        for name, coupling in (('thermostat', self.thermostat), ('barostat', self.barostat)):
            tau = getattr(coupling, 'tau_fs', None)
            if tau is not None and tau < FASTEST_COUPLING_STEPS * self.timestep_fs:
                raise ValueError(
                    f'{name}.tau_fs is {tau:g}, less than {FASTEST_COUPLING_STEPS} steps of {self.timestep_fs:g} fs: '
                    'take a longer time constant or a shorter timestep'
                )
        for name in ('frame_interval_fs', 'thermo_interval_fs'):
            steps_in(getattr(self, name), self.timestep_fs, name)
        return self


def steps_in(duration_fs: float, timestep_fs: float, name: str) -> int:
    """Return how many steps a time has.

    :raises ValueError: naming it, if it is no whole number of steps of at least one.
    """
    steps = round(duration_fs / timestep_fs)
    if steps < 1 or abs(duration_fs / timestep_fs - steps) > _MULTIPLE * steps:
        near = max(1, steps) * timestep_fs
        raise ValueError(
            f'{name} is {duration_fs:g} fs, no multiple of timestep_fs {timestep_fs:g}: take {near:g}, for instance'
        )
    return steps


class Segment(Model):
    """Part of a schedule: a hold, or with an end value a linear ramp of temperature, pressure, or both.

    The value at the last step of a ramp is its end value.
    """

    duration_fs: PositiveFloat
    temperature_k: PositiveFloat
    temperature_end_k: PositiveFloat | None = None
    pressure_gpa: Pressure | None = None
    pressure_end_gpa: Pressure | None = None

    @model_validator(mode='after')
    def _whole(self) -> Segment:
        if self.pressure_gpa is None and self.pressure_end_gpa is not None:
            raise ValueError(f'pressure_end_gpa is {self.pressure_end_gpa:g} without pressure_gpa: give both')
        return self


class MdItem(Item):
    """One replica: a structure (in the arrays), a schedule and a seed. What comes of it depends on nothing else."""

    seed: NonNegativeInt = Field(le=LARGEST_SEED)
    schedule: list[Segment] = Field(min_length=1)


class MdJob(Job[MdParameters, MdItem]):
    """Content of ``job.json`` of an ``md`` job."""

    task: Literal['md'] = 'md'

    @model_validator(mode='after')
    def _schedules_fit(self) -> MdJob:
        for item in self.items:
            for k, segment in enumerate(item.schedule):
                check_segment(segment, self.parameters, f'{item.id}: schedule[{k}]')
        return self


def check_segment(segment: Segment, parameters: MdParameters, where: str) -> None:
    """Refuse a segment that the ensemble cannot follow.

    :raises ValueError: naming the field, the value and the remedy.
    """
    steps_in(segment.duration_fs, parameters.timestep_fs, f'{where}.duration_fs')
    ensemble = parameters.ensemble
    if ensemble == 'npt' and segment.pressure_gpa is None:
        raise ValueError(f'{where}.pressure_gpa is missing: npt needs one in every segment')
    if ensemble != 'npt' and segment.pressure_gpa is not None:
        raise ValueError(
            f'{where}.pressure_gpa is {segment.pressure_gpa:g}, which {ensemble} cannot hold: '
            'leave it out, or set the ensemble to npt'
        )
    if ensemble == 'nve' and segment.temperature_end_k is not None:
        raise ValueError(
            f'{where}.temperature_end_k is {segment.temperature_end_k:g}, but nve has no thermostat to follow a ramp: '
            'leave it out, or set the ensemble to nvt'
        )


def check_start(positions: Array, cell: Array, pbc: npt.NDArray[np.bool_], parameters: MdParameters) -> None:
    """Refuse a structure, ``positions`` (n_atoms, 3) and ``cell`` (3, 3) in Ang, that cannot be run.

    :raises ValueError: with values and remedy: a single atom, a barostat without three periodic directions, a cell
        with less than twice the contact distance between opposite faces.
    """
    if len(positions) < 2:
        raise ValueError('one atom has no temperature once the momentum of the whole is taken out: give at least two')
    if parameters.ensemble == 'npt' and not pbc.all():
        raise ValueError(
            f'npt on a structure with pbc {pbc.tolist()}: a volume needs three periodic directions; use nvt'
        )
    if not pbc.all():
        return
    volume = float(abs(np.linalg.det(cell)))
    if volume < 1e-6:
        raise ValueError(f'the cell has a volume of {volume:g} Ang^3')
    thinnest = float(heights(cell).min())
    if thinnest < 2.0 * parameters.contact_distance_ang:
        raise ValueError(
            f'the cell is {thinnest:.3f} Ang thin, less than twice contact_distance_ang '
            f'({parameters.contact_distance_ang:g}): use a supercell'
        )


Death = Literal[
    'non_finite', 'temperature', 'energy', 'volume', 'atom_lost', 'neighbours', 'evaluation', 'memory', 'wall_time'
]
"""What ended a replica before its schedule did; the last four are no verdict of physics.

``neighbours`` saves the memory of the other replicas, and at one density comes sooner the longer the cutoff."""


class SegmentResult(Model):
    """Averages over the part of a segment that was reached, from the records of ``items/<id>.thermo``.

    Standard deviations are those of the fluctuations, not errors of the means.
    """

    time_fs: NonNegativeFloat
    """How long it was followed."""
    n_samples: NonNegativeInt
    temperature_k: float | None = None
    temperature_std_k: NonNegativeFloat | None = None
    pressure_gpa: float | None = None
    pressure_std_gpa: NonNegativeFloat | None = None
    volume_ang3: NonNegativeFloat | None = None
    volume_std_ang3: NonNegativeFloat | None = None
    energy_ev: float | None = None
    """Mean potential energy."""
    drift_ev_per_atom_ps: float | None = None
    """Slope of the quantity that the integrator conserves; ``None`` for stochastic cell rescaling, which has none."""


class MdItemResult(ItemResult):
    """How one replica ended; ``converged`` if it came to the end of its schedule."""

    death: Death | None = None
    time_fs: NonNegativeFloat = 0.0
    """Time that was reached."""
    duration_fs: NonNegativeFloat = 0.0
    """Time that was asked for."""
    n_atoms: NonNegativeInt = 0
    n_frames: NonNegativeInt = 0
    contact_frames: NonNegativeInt = 0
    """Frames after the start with a distance of at most ``contact_distance_ang``: the start is given, not dynamics."""
    closest_ang: NonNegativeFloat | None = None
    """Smallest distance in these frames; ``None`` if there are none."""
    segments: list[SegmentResult] = []


class MdResult(JobResult[MdItemResult]):
    """Content of ``result.json`` of an ``md`` job."""

    task: Literal['md'] = 'md'
