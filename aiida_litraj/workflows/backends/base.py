"""What a code must be able to do to give labels: one small class per code, found by its entry point."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...calculations.validation import validated
from ...contract.arrays import Array
from ...contract.base import Model
from ...contract.level import Level

if TYPE_CHECKING:
    from aiida.engine import Process
    from aiida.orm import AbstractCode, Computer, Node, ProcessNode, StructureData

GROUP = 'litraj.label_backends'
"""Group of entry points of the back ends, in any installed package."""


@dataclass(frozen=True)
class Label:
    """What a code says of one configuration, to the last digit that it gave.

    :ivar energy: in eV, that of which the forces are the negative gradient: the free energy of smeared occupations.
    :ivar forces: (n_atoms, 3) in eV/Ang, in the order of the atoms of the structure.
    :ivar stress: (6,) in eV/Ang^3, xx yy zz yz xz xy, positive under tension; None if it was not asked for.
    :ivar extrapolated: energy in eV, extrapolated to no smearing; None if the code does not give it.
    :ivar n_scf_steps: steps to self-consistency; None if the code does not tell.
    :ivar version: of the code, as it says itself.
    :ivar pseudopotentials: by element, a fingerprint of what stands for its core.
    """

    energy: float
    forces: Array
    stress: Array | None = None
    extrapolated: float | None = None
    n_scf_steps: int | None = None
    version: str = ''
    pseudopotentials: Mapping[str, str] = field(default_factory=dict)

    def is_finite(self) -> bool:
        """Return whether every number of it is."""
        numbers = [np.array([self.energy]), self.forces]
        numbers += [] if self.stress is None else [self.stress]
        return all(bool(np.isfinite(some).all()) for some in numbers)


@dataclass(frozen=True)
class Outcome:
    """How an attempt at a label ended.

    :ivar label: of the table of errors (``contract.errors``), such as ``ERROR_SCF_NOT_CONVERGED``, or of the exit codes
        that every ``CalcJob`` has, such as ``ERROR_SCHEDULER_OUT_OF_WALLTIME``; None: a good label.
    :ivar reason: the same for a person, with the values.
    :ivar retry: whether safer numerical settings may help.
    :ivar lost: whether the machine is to blame, so that the very same may go well.
    :ivar started: whether the code began to compute. Where it did not, as without one of its libraries, other
        configurations fare no better.
    """

    label: str | None = None
    reason: str = ''
    retry: bool = False
    started: bool = True
    lost: bool = False


class NoSettings(Model):
    """Settings of a back end that has none."""


class LabelBackend(ABC):
    """One electronic-structure code as a giver of labels.

    :cvar name: of its entry point in ``litraj.label_backends``.
    :cvar plugins: entry points of the calculations whose codes it takes, ``default_calc_job_plugin`` of the code.
    :cvar settings_model: of what can be said to this back end alone; ``protocols/label.yaml`` has a section of each.
    :cvar n_attempts: of one label, the first included.
    """

    name: ClassVar[str]
    plugins: ClassVar[tuple[str, ...]]
    settings_model: ClassVar[type[Model]] = NoSettings
    n_attempts: ClassVar[int] = 1

    def settings(self, given: Mapping[str, Any]) -> Any:
        """Return settings as the model of this back end.

        :raises ValueError: naming each field that is missing, not known or out of range.
        """
        return validated(given, self.settings_model, f'settings of {self.name}')

    @abstractmethod
    def check(self, code: AbstractCode, symbols: Iterable[str], level: Level, settings: Mapping[str, Any]) -> None:
        """Refuse what this code cannot do at all, before anything is queued.

        :param symbols: elements that occur in any configuration. One that the code may lack is told by ``lacking``.
        :raises ValueError: naming the input, its value and the remedy.
        """

    def lacking(self, code: AbstractCode, symbols: Iterable[str], settings: Mapping[str, Any]) -> dict[str, Outcome]:
        """Return, by element, why there can be no label of a configuration with it; nothing where all are known of."""
        return {}

    def settled(self, settings: Mapping[str, Any], level: Level, symbols: Iterable[str]) -> dict[str, Any]:
        """Return the settings with what depends on the elements of all configurations together.

        Else configurations of other elements would be computed otherwise, and their energies not be comparable.

        :param symbols: elements that occur in any configuration.
        """
        return dict(settings)

    def beside_level(self, settings: Mapping[str, Any], symbols: Iterable[str]) -> dict[str, Any]:
        """Return what of the settings changes an answer, to be kept with the level of each label.

        Labels of which it differs do not join one set (``groups.labelled.ALSO_SAME``). ``pseudopotentials``, by
        element, are fingerprints as a :class:`Label` has them, where they are known before a calculation.

        :param settings: as :meth:`settled` gives them.
        """
        return {}

    def wanted_cutoffs(self, settings: Mapping[str, Any], symbols: Iterable[str]) -> dict[str, tuple[float, str]]:
        """Return, by element, the cutoff in eV that its core wants, and who says so, like ``GPAW takes by itself``.

        A level may be below it; then a launch and the report of the chain warn. Nothing where none is known.
        """
        return {}

    @abstractmethod
    def process(self) -> type[Process]:
        """Return the calculation or chain that makes one label."""

    @abstractmethod
    def inputs(
        self,
        code: AbstractCode,
        structure: StructureData,
        level: Level,
        settings: Mapping[str, Any],
        options: Mapping[str, Any],
        attempt: int,
        computer: Computer | None = None,
    ) -> dict[str, Any]:
        """Return the inputs of :meth:`process`, without ``metadata.call_link_label``, which is the chain's.

        :param options: ``metadata.options`` of the jobs.
        :param attempt: from 0; later ones have safer settings, and never others that change the answer.
        :param computer: where to run a code that is not bound to one.
        """

    @abstractmethod
    def outcome(self, node: ProcessNode) -> Outcome:
        """Return how an attempt that has ended did: a label that did not converge is none."""

    @abstractmethod
    def outputs(self, node: ProcessNode) -> dict[str, Node]:
        """Return the nodes of a good attempt that :meth:`read` needs; they become inputs of a calcfunction."""

    @abstractmethod
    def read(self, nodes: Mapping[str, Node]) -> Label:
        """Return the label that the nodes of :meth:`outputs` hold, in the units and signs of :class:`Label`.

        :raises ValueError: if they hold none.
        """


def known() -> list[str]:
    """Return the names of the back ends of all installed packages."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


def load(name: str) -> LabelBackend:
    """Return a back end by its name.

    :raises ValueError: if there is none, naming those that are; or if what it needs is not installed.
    """
    found = [entry for entry in entry_points(group=GROUP) if entry.name == name]
    if not found:
        raise ValueError(f'backend = {name!r} is not known; there are: {", ".join(known())}')
    try:
        backend: LabelBackend = found[0].load()()
    except ImportError as error:
        raise ValueError(f'backend = {name!r} needs what is not installed: {error}') from error
    return backend


def of_code(code: AbstractCode) -> str:
    """Return the name of the back end that takes a code, by the code's ``default_calc_job_plugin``.

    :raises ValueError: if there is none.
    """
    plugin = code.default_calc_job_plugin
    takers = [name for name in known() if plugin in load(name).plugins]
    if not takers:
        every = ', '.join(f'{name} ({", ".join(load(name).plugins)})' for name in known())
        raise ValueError(
            f'code {code.full_label} is of the plugin {plugin!r}, which no back end takes; there are: {every}'
        )
    return takers[0]


def check_code(backend: LabelBackend, code: AbstractCode) -> None:
    """Refuse a code that is of another plugin than a back end takes.

    :raises ValueError: naming both.
    """
    if code.default_calc_job_plugin not in backend.plugins:
        raise ValueError(
            f'code {code.full_label} is of the plugin {code.default_calc_job_plugin!r}; the back end {backend.name} '
            f'takes {", ".join(backend.plugins)}'
        )
