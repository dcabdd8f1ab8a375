"""Refusing bad input before anything is queued: plain functions that raise, and their use as validators of ports."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import numpy as np
from aiida.common.constants import elements
from aiida.common.links import LinkType
from ase.data import atomic_numbers
from pydantic import BaseModel, ValidationError

from ..analysis.crystals import closest_pair
from ..analysis.hops import MIN_IMAGES
from ..contract.gpaw import FAMILY as GPAW
from ..contract.gpaw import RANKS, GpawOptions
from ..contract.job import Parameters
from ..contract.level import Level
from ..contract.neb import check_frozen
from ..contract.potential import ProbeReport
from ..contract.result import ITEMS

if TYPE_CHECKING:
    from aiida.orm import AbstractCode, CalcJobNode, RemoteData, StructureData

    from ..data.path import PathData
    from ..data.potential import PotentialData

Validator = Callable[[Any, Any], str | None]
DFT_EXTRA = 'litraj_dft'
"""Extra of a code: what the run of a DFT program has found with which it was set up."""
PROBE_EXTRA = 'litraj_probe'
"""Extra of a code with what ``litraj-engine probe`` found in its environment."""
ITEM_LABEL = re.compile(r'[A-Za-z0-9]+(_[A-Za-z0-9]+)*')
_ALIKE = 0.7
_LONGEST_VALUE = 60
OF_ITEMS = ('structures', 'velocities', 'train_sets', 'valid_sets', 'replay_sets')
"""Further namespaces of inputs that items of a task refer to."""
MASS_TOLERANCE_U = 0.05
"""Between tables of standard masses; isotopes differ by 1."""
OVERLAP_ANG = 0.3
"""No two nuclei of a condensed phase come this close (H2: 0.74 Ang): two atoms of a path that do are on one place."""


def refuse(check: Callable[[Any], Any], before: Validator | None = None) -> Validator:
    """Return ``check``, which raises ``ValueError``, as a validator of a port; one ``before`` it is asked first."""

    @functools.wraps(check)
    def validator(value: Any, port: Any) -> str | None:
        message = before(value, port) if before else None
        if message:
            return message
        try:
            check(value)
        except ValueError as error:
            return str(error)
        return None

    return validator


def explain(error: ValidationError, name: str, model: type[BaseModel] | None = None) -> str:
    """Return in one line what a model refused: path of each field below ``name``, value if short, reason.

    With ``model`` a field that is not known gets the nearest ones that are.
    """
    lines = []
    for problem in error.errors():
        place = '.'.join([name, *(str(part) for part in problem['loc'])])
        value = '' if problem['type'] == 'missing' else _shown(problem['input'])
        reason = _reason(problem['type'], problem.get('ctx') or {})
        if problem['type'] == 'extra_forbidden' and model is not None:
            reason += _near(model, problem['loc'])
        said = problem['msg'].removeprefix('Value error, ').replace('Input should', 'it should')
        lines.append(f'{place}{value} {reason}' if reason else f'{place}{value}: {said}')
    return '; '.join(lines)


def _reason(problem: str, facts: Mapping[str, Any]) -> str:
    """Return what is wrong, to be said after the field and its value; nothing where pydantic's own sentence will do."""
    field = str(facts.get('discriminator', '')).strip("'")
    if problem == 'union_tag_not_found':
        return f'has no {field}, which says what it is: give one, or leave the rest of it out'
    if problem == 'union_tag_invalid':
        return f'is of no known {field}: there are {facts["expected_tags"]}'
    if problem == 'too_short' and facts['actual_length'] == 0:
        return 'is empty; give at least one'
    return {'missing': 'is missing', 'extra_forbidden': 'is not known'}.get(problem, '')


def _shown(value: Any) -> str:
    """Return a refused value as it is said; of a long collection nothing, as it would bury the reason."""
    said = f' = {value!r}'
    return '' if isinstance(value, (Mapping, list, tuple, BaseModel)) and len(said) > _LONGEST_VALUE else said


def _near(model: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """Return which fields a model has that may be meant by the unknown one at ``location``."""
    for part in location[:-1]:
        if isinstance(part, int):  # of a list of models, which is what ``model`` is already
            continue
        field = model.model_fields.get(str(part))
        inner = () if field is None else (field.annotation, *get_args(field.annotation))
        found = next((kind for kind in inner if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if found is None:
            return ''
        model = found
    names, wanted = list(model.model_fields), str(location[-1])
    likeness = {known: difflib.SequenceMatcher(None, wanted, known[: len(wanted)]).ratio() for known in names}
    likeness |= dict.fromkeys(difflib.get_close_matches(wanted, names, cutoff=0.75), 1.0)
    near = [known for known in names if likeness[known] >= _ALIKE and likeness[known] == max(likeness.values())]
    return f', but {" or ".join(near)} is' if near else f'; there are: {", ".join(names)}'


ModelT = TypeVar('ModelT', bound=BaseModel)
ParametersT = TypeVar('ParametersT', bound=Parameters)


def validated(values: Mapping[str, Any], model: type[ModelT], name: str, remedy: str = '') -> ModelT:
    """Return values as a model.

    :param name: what the values are to the one who gave them, like ``grid``.
    :param remedy: where fields are missing, what would give them.
    :raises ValueError: naming each field that is missing, not known or out of range.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        lacking = any(problem['type'] == 'missing' for problem in error.errors())
        raise ValueError(f'{explain(error, name, model)}{remedy if lacking else ""}') from error


def check_parameters(values: Mapping[str, Any], model: type[ParametersT]) -> ParametersT:
    """Return the parameters of a job, as the ``model`` of its task.

    :raises ValueError: naming each field that is missing, not known or out of range.
    """
    return validated(values, model, 'parameters', '; get_builder_from_protocol gives a full set')


def check_path(path: PathData, name: str) -> None:
    """Refuse a path that cannot be optimised.

    :raises ValueError: if it has fewer than three images, an unknown element, a frozen atom that moves, or two atoms on
        one place.
    """
    if path.n_images < MIN_IMAGES:
        raise ValueError(f'{name}: {path.n_images} images; a path needs at least {MIN_IMAGES}, both ends included')
    unknown = sorted({symbol for symbol, number in zip(path.symbols, path.numbers) if number < 1})
    if unknown:
        raise ValueError(f'{name}: {", ".join(unknown)} is no element; replace or remove it')
    pbc = np.array(path.pbc)
    if pbc.any() and abs(np.linalg.det(path.cell)) < 1e-6:
        raise ValueError(f'{name}: the cell has no volume; give the direction without periodicity a vector too')
    if path.fixed is not None:
        try:
            check_frozen(path.get_positions(), path.fixed)
        except ValueError as error:
            raise ValueError(f'{name}: {error}') from error
    for image in (0, -1):
        pair = closest_pair(path.get_positions()[image], path.cell, pbc, below=OVERLAP_ANG)
        if pair:
            raise ValueError(
                f'{name}: in the {"last" if image else "first"} image atoms {pair[0]} and {pair[1]} are on one place '
                f'({pair[2]:.3f} Ang apart); remove one of them'
            )


def check_paths(paths: Mapping[str, PathData]) -> None:
    """Refuse paths that cannot be optimised, or whose name cannot be that of a node's link.

    :raises ValueError: naming the first that is at fault.
    """
    check_names(paths, 'paths', 'PathData')
    for name, path in paths.items():
        check_path(path, f'paths.{name}')


def check_names(items: Mapping[str, Any], namespace: str, kind: str) -> None:
    """Refuse a namespace without items, or with names that cannot be those of links.

    :raises ValueError: naming the first that is at fault.
    """
    if not items:
        raise ValueError(f'{namespace}: none given; give at least one {kind} under a name')
    for name in items:
        if not ITEM_LABEL.fullmatch(name):
            raise ValueError(f'{namespace}.{name}: the name may have letters, digits and single underscores between')


def check_structure(structure: StructureData, name: str) -> None:
    """Refuse a structure that no potential can evaluate.

    :raises ValueError: if a site is empty or shared, an element is none, the cell has no volume, or two atoms are on
        one place.
    """
    if not structure.sites:
        raise ValueError(f'{name}: it has no atoms')
    if structure.is_alloy or structure.has_vacancies:
        raise ValueError(f'{name}: sites that are shared or partly empty; give an ordered model of it')
    symbols = {kind.symbol for kind in structure.kinds}
    unknown = sorted(symbol for symbol in symbols if symbol not in atomic_numbers or not atomic_numbers[symbol])
    if unknown:
        raise ValueError(f'{name}: {", ".join(unknown)} is no element; replace or remove it')
    cell, pbc = np.array(structure.cell), np.array(structure.pbc)
    if pbc.any() and abs(np.linalg.det(cell)) < 1e-6:
        raise ValueError(f'{name}: the cell has no volume; give the direction without periodicity a vector too')
    positions = np.array([site.position for site in structure.sites])
    pair = closest_pair(positions, cell, pbc, below=OVERLAP_ANG)
    if pair:
        raise ValueError(
            f'{name}: atoms {pair[0]} and {pair[1]} are on one place ({pair[2]:.3f} Ang apart); remove one of them'
        )


def check_masses(structure: StructureData, name: str) -> None:
    """Refuse isotopes: dynamics are run with the standard masses of the elements.

    :raises ValueError: naming the kind of atom that has another.
    """
    for kind in structure.kinds:
        standard = elements[atomic_numbers[kind.symbol]]['mass']
        if abs(kind.mass - standard) > MASS_TOLERANCE_U:
            raise ValueError(
                f'{name}: the kind {kind.name} has a mass of {kind.mass:g} u, {kind.symbol} has {standard:g}: isotopes '
                'are not followed; give the kind the standard mass'
            )


def check_elements(potential: PotentialData, symbols: Iterable[str]) -> None:
    """Refuse a potential that does not cover the elements.

    :raises ValueError: naming those it lacks.
    """
    lacking = potential.covers(list(symbols))
    if lacking:
        raise ValueError(
            f'potential {potential.label!r} does not cover {", ".join(lacking)}, only '
            f'{", ".join(potential.elements or [])}; choose another potential'
        )


def check_gpaw(potential: PotentialData, name: str = 'potential') -> None:
    """Refuse options that GPAW cannot be given; other families judge their own.

    :param name: of the input that the potential is.
    :raises ValueError: naming each that is missing, not known or out of range.
    """
    if potential.family != GPAW:
        return
    if 'ranks' in potential.options:
        raise ValueError(f'{name}.options.ranks: they change no number, so they are of the job: metadata.{RANKS}')
    try:
        GpawOptions.from_options(potential.options)
    except ValidationError as error:
        raise ValueError(explain(error, f'{name}.options', Level)) from error
    except ValueError as error:
        raise ValueError(f'{name}.options: {error}') from error


def check_family(code: AbstractCode, potential: PotentialData) -> None:
    """Refuse a code whose environment lacks the potential's family, as far as it has been probed.

    :raises ValueError: saying which package to install.
    """
    check_has_family(code, potential.family)


def check_has_family(code: AbstractCode, family: str) -> None:
    """Refuse a code whose environment lacks a family, as far as it has been probed.

    :raises ValueError: saying which package to install.
    """
    stored = code.base.extras.get(PROBE_EXTRA, None)
    if stored is None:
        return
    try:
        report = ProbeReport.model_validate(stored)
    except ValidationError:  # of another version of the engine: the job itself will tell
        return
    found = {entry.family: entry for entry in report.families}
    wanted = found.get(family)
    if wanted is not None and wanted.available:
        return
    able = ', '.join(name for name, entry in found.items() if entry.available) or 'none'
    remedy = f'pip install {wanted.package} there' if wanted is not None else 'install a package that offers it there'
    raise ValueError(
        f'code {code.label!r}: its environment ({report.python}) lacks the potential family {family!r} '
        f'(it has: {able}); {remedy} and run aiida-litraj setup again, or use another code'
    )


def check_parent(parent: RemoteData, inputs: Mapping[str, Any], task: str) -> None:
    """Refuse to resume a job that computed something else, or whose checkpoint cannot be had.

    :raises ValueError: naming the input that differs, or if the folder is that of no job of the task, was cleaned, or
        is on another computer.
    """
    creator = parent.creator
    if creator is None or creator.process_type != f'aiida.calculations:litraj.{task}':
        raise ValueError(
            f'parent_folder: node {parent.pk} is not the folder of a litraj.{task} job; give outputs.remote_folder of '
            'one'
        )
    if parent.is_cleaned:
        raise ValueError(f'parent_folder: the folder of job {creator.pk} has been cleaned; leave it out to start anew')
    code = inputs.get('code', None)
    computer = (inputs.get('metadata', None) or {}).get('computer', None) or (None if code is None else code.computer)
    if computer is not None and computer.uuid != parent.computer.uuid:
        raise ValueError(
            f'parent_folder: job {creator.pk} ran on {parent.computer.label}, this one is to run on {computer.label}: '
            'resume on the same computer, or leave it out to start anew'
        )
    check_same(creator, inputs, task)


def check_same(job: CalcJobNode, inputs: Mapping[str, Any], task: str) -> None:
    """Refuse to go on from a job that computed something else; items that only one of both has do not matter.

    :raises ValueError: naming the input that differs.
    """
    before = job.base.links.get_incoming(link_type=LinkType.INPUT_CALC).nested()
    for name in ('potential', 'parameters'):
        if name in inputs and (name not in before or node_hash(before[name]) != node_hash(inputs[name])):
            raise ValueError(f'parent_folder: job {job.pk} had other {name}; resume with the same, or leave it out')
    for items in dict.fromkeys((ITEMS[task], *OF_ITEMS)):
        for name, item in (inputs.get(items, None) or {}).items():
            if name in before.get(items, {}) and node_hash(before[items][name]) != node_hash(item):
                raise ValueError(
                    f'parent_folder: job {job.pk} had another {name} among its {items}; rename it, or leave it out'
                )


def node_hash(node: Any) -> str | None:
    """Return the hash of the content of a node, stored or not; a stored one has it among its extras too."""
    return node.base.caching._compute_hash()


def check_together(inputs: Mapping[str, Any], task: str, symbols: Iterable[str]) -> None:
    """Refuse inputs of a job that do not go together; those that are not there are not judged.

    :param symbols: the elements of the job's items.
    :raises ValueError: naming input and remedy.
    """
    potential = inputs.get('potential', None)
    if potential is not None:
        check_gpaw(potential)
        check_elements(potential, symbols)
    if potential is not None and inputs.get('code', None) is not None:
        check_family(inputs['code'], potential)
    if inputs.get('parent_folder', None) is not None:
        check_parent(inputs['parent_folder'], inputs, task)
