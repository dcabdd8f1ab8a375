"""Job and result of the ``train`` task: potentials fitted to labelled configurations by the trainers of their families.

An item is one training: the configurations it learns from, those that tell which epoch was best, and a seed. All items
of a job have the parameters in common. A job without a potential trains from scratch; with one it goes on from it.

Arrays of a job, in ``arrays.npz``: for each set of configurations ``<set>``, which any number of items may share, the
arrays of ``contract.frames``: ``<set>/offsets`` (F + 1,), ``<set>/numbers`` (N,), ``<set>/positions`` (N, 3) in Ang,
``<set>/cells`` (F, 3, 3) in Ang, ``<set>/pbc`` (F, 3) bool, ``<set>/energies`` (F,) in eV, ``<set>/forces`` (N, 3) in
eV/Ang, and where stresses are learnt ``<set>/stresses`` (F, 6) in eV/Ang^3, xx yy zz yz xz xy, positive under tension.
A set is called ``train.<name>`` or ``valid.<name>`` by the names in the items, or ``replay.<name>`` by that in the
parameters.

A training has the files ``items/<id>.best`` and ``items/<id>.last``, potentials that the engine loads, where it got as
far as that, and ``items/<id>.log``, the end of what its trainer has printed. Arrays of a result, in ``result.npz``, per
item: ``<id>/curve`` (epochs, len(CURVE)), a row for each epoch in the columns of ``CURVE``, NaN where the trainer does
not say.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from .base import Model
from .job import ITEM_ID, Item, Job, Parameters
from .potential import PotentialSpec
from .result import ItemResult, JobResult

CURVE = (
    'epoch',
    'learning_rate',
    'train_loss',
    'valid_loss',
    'train_energy_mev_per_atom',
    'valid_energy_mev_per_atom',
    'train_force_mev_per_ang',
    'valid_force_mev_per_ang',
    'train_stress_gpa',
    'valid_stress_gpa',
    'seconds',
)
"""Columns of a learning curve; errors are root mean squares."""
BEST, LAST = '.best', '.last'
"""Suffixes of the files of a training's potentials."""
LOG = '.log'
"""Suffix of the file with the end of what its trainer has printed."""


class Architecture(Model):
    """Of a potential that is trained from scratch; one that goes on from another has that one's."""

    model: str | None
    """Where a trainer knows several: graph-pes ``MACE``, ``NequIP``, ``PaiNN``, ...; ``None`` elsewhere."""
    cutoff_ang: PositiveFloat
    channels: PositiveInt
    lmax: NonNegativeInt
    """Highest degree of the messages between atoms."""
    layers: PositiveInt


class Loss(Model):
    """What is minimised: weights of the errors of energies in eV/atom, of forces in eV/Ang, of stresses in eV/Ang^3.

    A trainer that counts in other units is given the weights that amount to the same for ``mse``.
    """

    kind: Literal['mse', 'huber']
    huber_delta: PositiveFloat | None
    energy_weight: NonNegativeFloat
    force_weight: NonNegativeFloat
    stress_weight: NonNegativeFloat
    """Zero: stresses are not learnt, and need not be known."""

    @model_validator(mode='after')
    def _consistent(self) -> Loss:
        if (self.kind == 'huber') != (self.huber_delta is not None):
            raise ValueError(f'huber_delta = {self.huber_delta} with kind {self.kind}: it goes with huber, and only so')
        if not self.energy_weight and not self.force_weight:
            raise ValueError('energy_weight and force_weight are both zero: nothing would be learnt')
        return self


class Schedule(Model):
    """How the learning rate changes.

    ``exponential``: by ``factor`` an epoch; ``plateau``: by ``factor`` when the validation loss has not fallen for
    ``patience_epochs``; ``constant``.
    """

    kind: Literal['constant', 'exponential', 'plateau']
    factor: float | None = Field(gt=0.0, lt=1.0)
    patience_epochs: NonNegativeInt | None

    @model_validator(mode='after')
    def _consistent(self) -> Schedule:
        needs = {'constant': (False, False), 'exponential': (True, False), 'plateau': (True, True)}[self.kind]
        for name, needed in zip(('factor', 'patience_epochs'), needs):
            if needed != (getattr(self, name) is not None):
                raise ValueError(f'{name} = {getattr(self, name)} does not go with the schedule {self.kind}')
        return self


class Replay(Model):
    """Multi-head fine-tuning: configurations that the parent knew are learnt beside, so that it forgets less."""

    set: str = Field(pattern=ITEM_ID)
    """Name of a set ``replay.<set>`` of the job."""
    weight: PositiveFloat
    """Of each of them in the loss, beside 1 of what is learnt."""


class TrainingParameters(Parameters):
    """Every number of the science, without defaults: a protocol fills them. ``dtype`` is that of the training."""

    trainer: str = Field(pattern=r'^[a-z][a-z0-9_]*$')
    """By its name in the engine: ``sevennet``, ``mace``, ``graph_pes``, or of a plugin."""
    architecture: Architecture | None
    """``None`` where a training goes on from a potential."""
    epochs: PositiveInt
    batch_size: PositiveInt
    """Configurations a step."""
    optimizer: Literal['adam', 'adamw']
    learning_rate: PositiveFloat
    weight_decay: NonNegativeFloat
    schedule: Schedule
    loss: Loss
    ema_decay: float | None = Field(gt=0.0, lt=1.0)
    """Of an exponential moving average of the weights; ``None`` without."""
    early_stop_epochs: PositiveInt | None
    """A training ends when the validation loss has not fallen for so many epochs; ``None``: it does not."""
    energy_references: Literal['least_squares', 'parent', 'given']
    """Energies of the elements that the potential counts from: fitted to the energies of the training set, those of
    the potential it goes on from, or ``energy_references_ev``."""
    energy_references_ev: dict[str, float] | None
    max_loss_ratio: float = Field(gt=1.0)
    """A training whose loss rises above this many times that of its first epoch has diverged."""
    replay: Replay | None
    native: dict[str, JsonValue]
    """Options of the trainer by its own names, beside what is made of the others; what those say is refused here."""

    @model_validator(mode='after')
    def _consistent(self) -> TrainingParameters:
        given = self.energy_references_ev is not None
        if (self.energy_references == 'given') != given:
            raise ValueError(
                f'energy_references is {self.energy_references}, energy_references_ev '
                f'{"are" if given else "are not"} given: they go with given, and only so'
            )
        return self


class TrainItem(Item):
    """One training of a job."""

    train: str = Field(pattern=ITEM_ID)
    """Name of the set it learns from: ``train.<train>`` in the arrays."""
    valid: str = Field(pattern=ITEM_ID)
    """Name of the set that tells the best epoch: ``valid.<valid>``."""
    seed: NonNegativeInt


class TrainJob(Job[TrainingParameters, TrainItem]):
    """Content of ``job.json`` of a ``train`` job."""

    task: Literal['train'] = 'train'
    # The only task that can do without.
    potential: PotentialSpec | None = None  # type: ignore[assignment]


class TrainItemResult(ItemResult):
    """How a training ended: ``converged`` if it came to its last epoch, or to an early stop."""

    n_epochs: NonNegativeInt = 0
    best_epoch: NonNegativeInt | None = None
    stopped_early: bool = False
    valid_force_mev_per_ang: NonNegativeFloat | None = None
    """Of the best epoch, by the trainer; ``checked`` the same as the engine finds it with the potential loaded anew."""
    checked_force_mev_per_ang: NonNegativeFloat | None = None
    best_sha256: str | None = None
    last_sha256: str | None = None
    elements: list[str] | None = None
    cutoff_ang: PositiveFloat | None = None
    n_parameters: NonNegativeInt | None = None
    n_train: NonNegativeInt = 0
    n_valid: NonNegativeInt = 0
    seconds_per_epoch: NonNegativeFloat | None = None
    native_input: str | None = None
    """What the trainer was given, in its own language."""


class TrainResult(JobResult[TrainItemResult]):
    """Content of ``result.json`` of a ``train`` job."""

    task: Literal['train'] = 'train'
