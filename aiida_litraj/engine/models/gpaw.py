"""GPAW as a potential: density functional theory in plane waves, by one process or by a group of MPI ranks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from ...contract.gpaw import FAMILY as NAME
from ...contract.gpaw import GpawOptions, Option
from ...contract.potential import PotentialReport, PotentialSpec
from .interface import Configuration, Evaluation, Evaluator, Family, LoadRequest
from .mpi_group import GroupCrashed, MpiGroup
from .refusal import not_loaded, resolve_dtype, resolve_kernels

_GROUP = f'{__package__}.gpaw_group'


def read_options(spec: PotentialSpec) -> GpawOptions:
    """Return the options of a potential.

    :raises LitrajError: ``ERROR_POTENTIAL_NOT_LOADED`` naming the options that are missing, not known or out of range.
    """
    try:
        return GpawOptions.from_options(spec.options)
    except ValidationError as error:
        faults = [f'{".".join(map(str, fault["loc"]))}: {fault["msg"]}' for fault in error.errors()]
        raise not_loaded(spec, f'options: {"; ".join(faults)}') from error
    except ValueError as error:
        raise not_loaded(spec, f'options: {error}') from error


class GpawEvaluator:
    """GPAW in this process. Its energy is the free energy, whose negative gradient the forces are."""

    device = 'cpu'
    dtype = 'float64'

    def __init__(self, options: GpawOptions) -> None:
        # Open MPI starts a daemon for a program that no launcher has started, unless it is told that it stays alone.
        os.environ.setdefault('OMPI_MCA_ess_singleton_isolated', '1')
        from .gpaw_solver import Solver

        self._solver = Solver(options)
        self.report = _report(self._solver.identity(), self._solver.fingerprints())

    def evaluate(self, configurations: Sequence[Configuration]) -> list[Evaluation]:
        """Return an evaluation for each configuration.

        :raises LitrajError: ``ERROR_SETUP_MISSING``, ``ERROR_SCF_NOT_CONVERGED``.
        """
        return [self._solver.evaluate(configuration) for configuration in configurations]


class GpawGroupEvaluator:
    """The same by a group of MPI ranks. One that was killed stays dead; one that has crashed is started again."""

    device = 'cpu'
    dtype = 'float64'

    def __init__(self, options: GpawOptions) -> None:
        self._options: dict[str, Option] = options.to_options()
        self._ranks = options.ranks
        self._group: MpiGroup | None = self._started()
        self.report = _report(str(self._group.ready['identity']), self._group.ready['pseudopotentials'])

    def _started(self) -> MpiGroup:
        return MpiGroup(_GROUP, self._ranks, self._options)

    def evaluate(self, configurations: Sequence[Configuration]) -> list[Evaluation]:
        """Return an evaluation for each configuration.

        :raises LitrajError: ``ERROR_SETUP_MISSING``, ``ERROR_SCF_NOT_CONVERGED``, ``ERROR_MPI``.
        :raises RuntimeError: if the group has crashed on one, or was killed, saying how.
        """
        if self._group is not None:
            self._group.check()
        return [self._evaluate_one(configuration) for configuration in configurations]

    def _evaluate_one(self, configuration: Configuration) -> Evaluation:
        if self._group is None:
            self._group = self._started()
        arrays: dict[str, Any] = {
            'numbers': configuration.numbers,
            'positions': configuration.positions,
            'cell': configuration.cell,
            'pbc': configuration.pbc,
        }
        try:
            answer, found = self._group.ask({'stress': configuration.stress}, arrays)
        except GroupCrashed:
            self._group = None
            raise
        return Evaluation(float(answer['energy']), found['forces'], found.get('stress'))  # type: ignore[arg-type]


def _report(identity: str, setups: dict[str, str]) -> PotentialReport:
    # Which elements have a set-up is asked when there is an atom: what is missing can be installed, and says so.
    known = {'sha256': identity, 'elements': None, 'pseudopotentials': setups}
    return PotentialReport(family=NAME, name=NAME, dtypes=['float64'], **known)


def load(request: LoadRequest) -> Evaluator:
    """Return GPAW with the options of a potential.

    :raises LitrajError: see :func:`aiida_litraj.engine.models.load`; ``ERROR_SETUP_MISSING`` and ``ERROR_MPI``.
    """
    spec = request.spec
    if spec.name != NAME:
        raise not_loaded(spec, f'the family {NAME} has one potential, {NAME}; what it computes with are its options')
    resolve_dtype(request, ('float64',))
    resolve_kernels(request, ('plain',))
    options = read_options(spec)
    return GpawEvaluator(options) if options.ranks == 1 else GpawGroupEvaluator(options)


def cores(spec: PotentialSpec) -> int:
    """Return how many cores one evaluation keeps busy: one for each rank."""
    return read_options(spec).ranks


FAMILY = Family(name=NAME, package='gpaw', load=load, names=lambda: [NAME], devices=('cpu',), cores=cores, ranked=True)
