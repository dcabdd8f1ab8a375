"""The small interface between the engine and a trainer: what it is told, how it is watched, what it leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...contract.errors import LitrajError
from ...contract.frames import Frames
from ...contract.potential import PotentialSpec
from ...contract.train import TrainingParameters
from ...contract.trainers import not_offered
from .data import write_set


def check_offered(parameters: TrainingParameters) -> None:
    """Refuse what a trainer of the engine cannot do.

    :raises LitrajError: ``ERROR_JOB_INVALID``, naming the parameters.
    """
    lacking = not_offered(parameters)
    if lacking:
        raise LitrajError(
            'ERROR_JOB_INVALID', reason=f'the trainer {parameters.trainer} does not do that: {"; ".join(lacking)}'
        )


@dataclass(frozen=True)
class Order:
    """What a trainer is asked for: one training, from its first epoch or from where an earlier run came to.

    :ivar work: an empty folder of this run, where the trainer may write what it likes; its current directory.
    :ivar train: file of the configurations to learn from, as ``Trainer.write`` writes them.
    :ivar valid: the same that tell the best epoch.
    :ivar replay: the same that the parent knew, for multi-head fine-tuning.
    :ivar symbols: elements of all sets, sorted by their numbers.
    :ivar references_ev: energy of each element that the potential counts from; ``None``: those of the parent.
    :ivar offsets_ev: what is added for each element to the energies that the parent counts from, where they are
        fitted; ``None``: nothing.
    :ivar parent: what the training goes on from, ``None`` from scratch; ``parent_file`` is its file, ``None`` where
        the family's package knows it by name.
    :ivar epochs_done: whole epochs of earlier runs; ``resume`` is the native checkpoint after the last of them.
    """

    work: Path
    parameters: TrainingParameters
    seed: int
    train: Path
    valid: Path
    replay: Path | None
    symbols: tuple[str, ...]
    references_ev: Mapping[str, float] | None
    offsets_ev: Mapping[str, float] | None
    parent: PotentialSpec | None
    parent_file: Path | None
    device: str
    epochs_done: int = 0
    resume: Path | None = None


@dataclass(frozen=True)
class Start:
    """How to start a trainer: ``command`` in the folder of the order, with ``environment`` beside that of the engine.

    ``native_input`` is what the trainer is given, in its own language, for the record.
    """

    command: list[str]
    native_input: str
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Epoch:
    """A whole epoch: its number from 1, ``values`` by the columns of ``contract.train.CURVE``, its native checkpoint.

    ``valid_loss`` is always among the values: it tells the best epoch, and a divergence. The checkpoint is whole: a
    trainer that writes in place tells of an epoch only when its file can be read. The engine moves it away: each epoch
    has a file of its own, which the trainer does not need again.
    """

    number: int
    values: Mapping[str, float]
    checkpoint: Path


@dataclass(frozen=True)
class Trainer:
    """A trainer: the object behind an entry point of the group ``litraj.trainers``.

    :ivar family: of the potentials it makes, by which the engine loads them.
    :ivar package: distribution that it comes with.
    :ivar start: writes the native input and returns how to start; raises ``LitrajError`` (200) for an order that the
        trainer cannot fulfil, naming the parameter.
    :ivar epochs: whole epochs of this run so far, in their order; called again and again while the trainer runs.
    :ivar export: writes the potential of a native checkpoint to a file that the family's loader takes, the same bytes
        for the same weights.
    :ivar why: reason that the trainer gave for its end, from the folder of the order, for a person.
    :ivar write: writes a set of configurations to a file that the trainer reads.
    """

    name: str
    family: str
    package: str
    start: Callable[[Order], Start]
    epochs: Callable[[Order], list[Epoch]]
    export: Callable[[Order, Path, Path], None]
    why: Callable[[Order], str]
    write: Callable[[Frames, Path], None] = write_set
