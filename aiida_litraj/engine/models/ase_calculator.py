"""ASE calculators by the names under which the node's administrator registered them.

A job gives a name and nothing else: no class, no module, no argument. The name is looked up

- in a JSON (or, from Python 3.11 on, TOML) file, the one ``LITRAJ_ASE_CALCULATORS`` names or else
  ``~/.config/litraj/ase_calculators.json`` (``.toml``)::

      {"argon": {"calculator": "LennardJones", "elements": ["Ar"],
                 "arguments": {"sigma": 3.4, "epsilon": 0.0104, "rc": 10.0, "smooth": true}}}

- in the entry-point group ``litraj.ase_calculators``, whose objects return a calculator when called without arguments.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from ...contract.potential import PotentialReport
from .elements import check_covered, covered_numbers
from .interface import Configuration, Evaluation, Evaluator, Family, LoadRequest
from .refusal import not_loaded, resolve_dtype, resolve_kernels

FILE_VARIABLE = 'LITRAJ_ASE_CALCULATORS'
ENTRY_POINTS = 'litraj.ase_calculators'

_MODULES = {
    'EMT': 'ase.calculators.emt',
    'EAM': 'ase.calculators.eam',
    'LennardJones': 'ase.calculators.lj',
    'MorsePotential': 'ase.calculators.morse',
}
"""The calculators a registration may name; others come through the entry-point group."""


class Registration(BaseModel):
    """One entry of the administrator's file."""

    model_config = ConfigDict(frozen=True, extra='forbid')

    calculator: Literal['EMT', 'EAM', 'LennardJones', 'MorsePotential']
    arguments: dict[str, Any] = {}
    elements: list[str] | None = None
    """Which elements it is meant for; ``None`` for any, or for those that EMT has parameters of."""


@dataclass(frozen=True)
class _Known:
    """A name with how to make its calculator and ``identity``, which changes when the calculator does."""

    make: Callable[[], Any]
    identity: str
    elements: list[str] | None


def _file() -> Path | None:
    """Return the administrator's file, ``None`` if there is none.

    :raises FileNotFoundError: if the variable names a file that is not there.
    """
    if named := os.environ.get(FILE_VARIABLE):
        path = Path(named).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f'{FILE_VARIABLE} names {path}, which is no file')
        return path
    folder = Path(os.environ.get('XDG_CONFIG_HOME') or Path.home() / '.config') / 'litraj'
    candidates = (folder / f'ase_calculators.{suffix}' for suffix in ('json', 'toml'))
    return next((path for path in candidates if path.is_file()), None)


def _registrations() -> dict[str, Registration]:
    """Return what the administrator's file registers.

    :raises ValueError: if it does not parse or names what is not on the list.
    """
    path = _file()
    if path is None:
        return {}
    adapter = TypeAdapter(dict[str, Registration])
    if path.suffix != '.toml':
        return adapter.validate_json(path.read_bytes())
    try:
        tomllib = importlib.import_module('tomllib')
    except ImportError as error:
        raise ValueError(f'{path} is TOML, which needs Python 3.11 or newer: write it as JSON') from error
    return adapter.validate_python(tomllib.loads(path.read_text(encoding='utf-8')))


def _from_registration(registration: Registration) -> _Known:
    elements = registration.elements
    if elements is None and registration.calculator == 'EMT':
        elements = list(importlib.import_module('ase.calculators.emt').parameters)

    def make() -> Any:
        module = importlib.import_module(_MODULES[registration.calculator])
        return getattr(module, registration.calculator)(**registration.arguments)

    return _Known(make, json.dumps(registration.model_dump(), sort_keys=True), elements)


def _from_entry_point(entry_point: importlib.metadata.EntryPoint) -> _Known:
    package = '' if entry_point.dist is None else f'{entry_point.dist.name} {entry_point.dist.version}'
    return _Known(lambda: entry_point.load()(), f'{entry_point.value} of {package}', None)


def _known() -> dict[str, _Known]:
    """Return all registered calculators; the administrator's file goes before what packages offer."""
    offered = importlib.metadata.entry_points(group=ENTRY_POINTS)
    known = {entry_point.name: _from_entry_point(entry_point) for entry_point in offered}
    known.update({name: _from_registration(entry) for name, entry in _registrations().items()})
    return known


def names() -> list[str]:
    """Return the registered names."""
    return sorted(_known())


class AseEvaluator:
    """A calculator of ASE, one configuration after the other."""

    device = 'cpu'
    dtype = 'float64'

    def __init__(self, calculator: Any, report: PotentialReport) -> None:
        self.report = report
        self._calculator = calculator
        self._covered = covered_numbers(report)

    def _evaluate_one(self, configuration: Configuration) -> Evaluation:
        import numpy as np
        from ase import Atoms

        atoms = Atoms(
            numbers=configuration.numbers,
            positions=configuration.positions,
            cell=configuration.cell,
            pbc=configuration.pbc,
            calculator=self._calculator,
        )
        # Where a calculator smears its occupations the forces belong to the free energy.
        consistent = 'free_energy' in self._calculator.implemented_properties
        energy = atoms.get_potential_energy(force_consistent=consistent)
        # A copy: some calculators hand out the array that they will write the next forces to.
        forces = np.array(atoms.get_forces(), dtype=np.float64)
        known = configuration.stress and 'stress' in self._calculator.implemented_properties
        stress = np.array(atoms.get_stress(voigt=False), dtype=np.float64) if known else None
        return Evaluation(float(energy), forces, stress)

    def evaluate(self, configurations: Sequence[Configuration]) -> list[Evaluation]:
        """Return an evaluation for each configuration.

        :raises LitrajError: ``ERROR_ELEMENTS_NOT_COVERED``.
        """
        for configuration in configurations:
            check_covered(self.report, self._covered, configuration.numbers.tolist())
        return [self._evaluate_one(configuration) for configuration in configurations]


def load(request: LoadRequest) -> Evaluator:
    """Return a registered calculator.

    :raises LitrajError: see :func:`aiida_litraj.engine.models.load`.
    """
    name = request.spec.name
    if name is None:
        raise not_loaded(request.spec, 'the family ase takes the name of a registered calculator, not a file')
    if request.spec.options:
        reason = 'the family ase takes no options: the arguments are in the registration on the node'
        raise not_loaded(request.spec, reason)
    resolve_dtype(request, ('float64',))
    resolve_kernels(request, ('plain',))
    known = _known()
    if name not in known:
        reason = (
            f'no such calculator is registered on this node, but {", ".join(sorted(known)) or "none at all"}; its '
            f'administrator can add it to the file that {FILE_VARIABLE} names, or to ~/.config/litraj/'
            'ase_calculators.json'
        )
        raise not_loaded(request.spec, reason)
    entry = known[name]
    report = PotentialReport(
        family='ase',
        name=name,
        sha256=hashlib.sha256(entry.identity.encode()).hexdigest(),
        elements=entry.elements,
        dtypes=['float64'],
    )
    return AseEvaluator(entry.make(), report)


FAMILY = Family(name='ase', package='ase', load=load, names=names, devices=('cpu',))
