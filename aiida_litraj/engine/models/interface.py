"""The small interface between the engine and any potential: configurations in, energies and forces out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ...contract.arrays import Array
from ...contract.potential import PotentialReport, PotentialSpec


@dataclass(frozen=True)
class Configuration:
    """Atoms in a cell: ``numbers`` (n,), ``positions`` (n, 3) Ang, ``cell`` (3, 3) Ang, ``pbc`` (3,).

    ``stress``: whether it is asked for; only of what is periodic in all directions.
    """

    numbers: npt.NDArray[np.int64]
    positions: Array
    cell: Array
    pbc: npt.NDArray[np.bool_]
    stress: bool = False

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(frozen=True)
class Evaluation:
    """What a potential says of a configuration: ``energy`` in eV, ``forces`` (n, 3) in eV/Ang, both float64.

    The energy is the one whose negative gradient the forces are. ``stress`` (3, 3) in eV/Ang^3, positive under tension,
    is its derivative by the strain, divided by the volume; ``None`` if it was not asked for, or the potential has none.
    """

    energy: float
    forces: Array
    stress: Array | None = None


class DeviceOutOfMemory(Exception):
    """The device had no room for the batch; a smaller one may fit."""


class Evaluator(Protocol):
    """A loaded potential.

    ``evaluate`` takes configurations of any sizes and returns one evaluation for each in the same order, the same
    numbers (to round-off of the dtype) as one by one. It raises :class:`DeviceOutOfMemory` where the batch is too
    large; an explosion is not an error: non-finite numbers are returned as they come and the engine judges them.
    Whatever else it raises is the end of the path concerned, not of the job.
    """

    report: PotentialReport
    device: str
    dtype: str

    def evaluate(self, configurations: Sequence[Configuration]) -> list[Evaluation]:
        """Return an evaluation for each configuration."""
        ...


@dataclass(frozen=True)
class LoadRequest:
    """What a family gets to load a potential.

    ``path`` is the checkpoint when the potential is a file: a copy whose sha256 the engine has checked, and which goes
    once the potential is loaded. ``device`` is ``cpu`` or ``cuda:N``, never ``auto``. ``dtype`` is ``native``,
    ``float32`` or ``float64``.
    """

    spec: PotentialSpec
    path: Path | None
    device: str
    dtype: str
    kernels: str


@dataclass(frozen=True)
class Family:
    """A potential family: the object behind an entry point of the group ``litraj.potential_families``.

    ``package``: the distribution to install, whose presence means that the family is available.
    ``load``: returns an :class:`Evaluator` for a request, or raises ``LitrajError``.
    ``names``: the packaged potentials that load without a download.
    ``devices``: kinds of device it can evaluate on; ``auto`` never chooses another.
    ``light``: an evaluation costs less than a message to another process, so none are started unless asked for.
    ``cores``: how many cores one evaluation of a potential keeps busy; as many worker processes less are started.
    ``ranked``: its option ``ranks`` says how many MPI ranks share an evaluation, and is set by the run.
    """

    name: str
    package: str
    load: Callable[[LoadRequest], Evaluator]
    names: Callable[[], list[str]]
    devices: tuple[str, ...] = ('cpu', 'cuda')
    light: bool = False
    cores: Callable[[PotentialSpec], int] = lambda _: 1
    ranked: bool = False
