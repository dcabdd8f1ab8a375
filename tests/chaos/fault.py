"""What a fault is, and a job that one can hit."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import psutil

from tests.chaos.bench import Bench, command_of

ENGINE = 'aiida_litraj.engine.cli'
ALL = ('neb', 'md', 'train', 'label')
OF_THE_ENGINE = ('neb', 'md', 'train')
LABEL_CODES = frozenset({110, 120, 140, 342, 501})
"""As what a labelling ends of which some or all jobs were lost: the finished labels are its outputs."""


@dataclass(frozen=True)
class Target:
    """A job that runs: its folder, its number in Slurm, its processes, and which kind of chain it is of."""

    kind: str
    folder: Path
    job_id: str
    processes: tuple[psutil.Process, ...]

    @property
    def main(self) -> list[psutil.Process]:
        """The engine or GPAW, without what they have started."""
        if self.kind == 'label':
            return [each for each in self.processes if 'aiida_script.py' in ' '.join(command_of(each))]
        return [each for each in self.processes if ENGINE in command_of(each)]

    @property
    def helpers(self) -> list[psutil.Process]:
        """Worker processes of an engine, or its trainer."""
        of_shell = ('sh', 'bash', 'slurmstepd', 'slurm_script')
        with_names = [(each, name_of(each)) for each in self.processes if each not in self.main]
        return [each for each, name in with_names if name not in of_shell and not name.startswith('slurm')]


def name_of(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return 'sh'


class Fault(ABC):
    """Something that goes wrong.

    :cvar name: as in the table of docs/source/topics/faults.md.
    :cvar of_job: whether it hits one job, which has to run, or all.
    :cvar kinds: of chain that it can hit.
    :cvar holds: for how many seconds it lasts, at least and at most.
    :cvar costs: how many interruptions of each chain it may cause.
    :cvar codes: as what a chain of the engine may end, to be launched again; ``label_codes`` of a labelling.
    :cvar excepts: whether a chain may end with an exception of AiiDA's, to be launched again too.
    """

    name: ClassVar[str]
    of_job: ClassVar[bool] = False
    kinds: ClassVar[tuple[str, ...]] = ALL
    holds: ClassVar[tuple[float, float]] = (0.0, 0.0)
    costs: ClassVar[int] = 1
    codes: ClassVar[frozenset[int]] = frozenset()
    excepts: ClassVar[bool] = False
    label_codes: ClassVar[frozenset[int]] = LABEL_CODES

    def missing(self, bench: Bench) -> str | None:
        """Return why it cannot be had here, if it cannot."""
        return None

    @abstractmethod
    def inject(self, bench: Bench, target: Target | None, chance: random.Random) -> str | None:
        """Let it happen; return what was done in words, ``None`` if there was nothing left to be hit."""

    def heal(self, bench: Bench) -> None:  # noqa: B027  most need nothing
        """Put right what a person or a machine puts right."""

    def ends_as(self, kind: str) -> frozenset[int]:
        """Return the exit codes beside 0 that a chain may end with, to be launched again."""
        return self.label_codes if kind == 'label' else self.codes


class OfJob(Fault):
    of_job = True

    @abstractmethod
    def strike(self, bench: Bench, target: Target, chance: random.Random) -> str | None:
        """Let it happen to a job."""

    def inject(self, bench: Bench, target: Target | None, chance: random.Random) -> str | None:
        assert target is not None
        return self.strike(bench, target, chance)
