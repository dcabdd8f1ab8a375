"""Inputs of the benchmark of barriers: which hops a potential can be asked about, and what is refused."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
from aiida.orm import CalcJobNode, Dict, QueryBuilder
from ase.formula import Formula

from ..analysis.selection import stratified
from ..calculations.functions.compare_benchmark import read_settings
from ..calculations.neb import NebCalculation
from ..calculations.validation import check_elements, check_parameters
from ..contract.neb import NebParameters
from ..data.path import CELL_TOLERANCE_ANG, PathData
from ..data.potential import PotentialData
from ..groups.hops import BATCH
from ..groups.query import card_of
from .children import check_child
from .neb import NebBaseWorkChain
from .potentials import check_jobs, check_potentials, job_inputs

DFT = 'gpaw'


def materials_of(inputs: Mapping[str, Any]) -> dict[str, str]:
    """Return the material of each hop: what is said, else that of the entry, else the formula of the crystal.

    A vacancy is filled again for it: its hops have an ion less than the crystal.
    """
    given = inputs.get('materials', None)
    said = {} if given is None else given.get_dict()
    return {
        name: str(said.get(name) or material_of(path, inputs['references'][name]))
        for name, path in inputs['paths'].items()
    }


def material_of(path: PathData, reference: PathData) -> str:
    """Return the material of a hop, as far as its paths know."""
    for one in (reference, path):
        known = one.base.attributes.get('material_id', None) or one.labels.get('material_id')
        if known:
            return str(known)
    symbols = list(path.symbols)
    if path.labels.get('mechanism') == 'vacancy' and path.mobile is not None:
        symbols.append(symbols[path.mobile])
    reduced, _ = Formula.from_list(symbols).reduce()
    return str(reduced.format('hill'))


def tight_sample(materials: Mapping[str, str], number: int, seed: int) -> list[str]:
    """Return the hops that are converged tightly as well, spread over the materials; all if there are no more."""
    names = sorted(materials)
    chosen = stratified(names, [materials[name] for name in names], min(number, len(names)), seed)
    return sorted(names[index] for index in chosen)


def covered(paths: Mapping[str, PathData], potential: PotentialData) -> tuple[list[str], dict[str, list[str]]]:
    """Return the hops that a potential can be asked about, and by hop the elements that it lacks for the others."""
    lacking = {name: potential.covers(sorted(set(path.symbols))) for name, path in paths.items()}
    return [name for name, missing in lacking.items() if not missing], {k: v for k, v in lacking.items() if v}


def about_benchmark(
    inputs: Mapping[str, Any], materials: Mapping[str, str], reference: Mapping[str, Any], potential: PotentialData
) -> dict[str, Any]:
    """Return what is said of a comparison beside its paths: the argument ``about`` of ``compare_benchmark``.

    :param reference: of :func:`reference_of`.
    """
    return {
        'materials': dict(materials),
        'settings': inputs['analysis'].get_dict(),
        'reference': dict(reference),
        'protocol': inputs['parameters'].label or None,
        'parameters': inputs['parameters'].get_dict(),
        'not_covered': covered(inputs['paths'], potential)[1],
    }


def reference_of(references: Collection[PathData]) -> dict[str, Any]:
    """Return what reference paths are: ``kind`` (data set, dft, potential, paths or several) and ``label``.

    Of several, ``parts`` has them all, each with its ``n_paths``, and the label says of potentials that they are.
    """
    sets = {path.uuid: path.base.attributes.get('dataset', None) for path in references}
    jobs = _jobs_of([uuid for uuid, dataset in sets.items() if dataset is None])
    of_sets = {dataset: _of_set(dataset) for dataset in set(sets.values()) - {None}}
    of_jobs = {pk: _of_job(*made) for pk, made in _made_by(set(jobs.values())).items()}
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for uuid, dataset in sets.items():
        one = of_jobs.get(jobs.get(uuid, 0), _GIVEN) if dataset is None else of_sets[dataset]
        key = (one['kind'], one.get('uuid') or one['label'], one.get('protocol'))
        found.setdefault(key, {**one, 'n_paths': 0})['n_paths'] += 1
    parts = sorted(found.values(), key=lambda part: -part['n_paths'])
    if len(parts) == 1:
        return {name: value for name, value in parts[0].items() if name != 'n_paths'}
    return {'kind': 'several', 'label': ', '.join(map(_part_text, parts)), 'parts': parts}


_GIVEN: dict[str, Any] = {'kind': 'paths', 'label': 'paths that were given'}


def _part_text(part: Mapping[str, Any]) -> str:
    more = [f'protocol {part["protocol"]}'] if part.get('protocol') else []
    more += ['a potential and no DFT'] if part['kind'] == 'potential' else []
    return f'{part["n_paths"]} of {part["label"]}' + (f' ({", ".join(more)})' if more else '')


def _jobs_of(uuids: Collection[str]) -> dict[str, int]:
    """Return the pk of the job that has optimised a path, by the uuid of the path; others are not among them."""
    job = {'process_type': NebCalculation.build_process_type()}
    found: dict[str, int] = {}
    for some in _batches(uuids):
        query = QueryBuilder().append(PathData, filters={'uuid': {'in': some}}, tag='path', project='uuid')
        query.append(CalcJobNode, with_outgoing='path', filters=job, project='id')
        found |= dict(query.all())
    return found


def _made_by(jobs: Collection[int]) -> dict[int, tuple[PotentialData, str]]:
    """Return the potential of jobs and the label of their parameters, by pk."""
    found = {}
    for some in _batches(jobs):
        query = QueryBuilder().append(CalcJobNode, filters={'id': {'in': some}}, tag='job', project='id')
        query.append(PotentialData, with_outgoing='job', edge_filters={'label': 'potential'}, project='*')
        query.append(Dict, with_outgoing='job', edge_filters={'label': 'parameters'}, project='label')
        found |= {pk: (potential, label) for pk, potential, label in query.all()}
    return found


def _batches(some: Collection[Any]) -> Iterator[list[Any]]:
    ordered = sorted(some)
    yield from (ordered[begin : begin + BATCH] for begin in range(0, len(ordered), BATCH))


def _of_set(dataset: str) -> dict[str, Any]:
    try:
        level = card_of(dataset).get('level_of_theory')
    except ValueError:  # the set may have another name by now
        level = None
    return {'kind': 'data set', 'label': dataset, 'level_of_theory': level}


def _of_job(potential: PotentialData, protocol: str) -> dict[str, Any]:
    return {
        'kind': 'dft' if potential.family == DFT else 'potential',
        'label': potential.label or potential.family,
        'family': potential.family,
        'uuid': potential.uuid,
        'protocol': protocol or None,
    }


def check_benchmark_inputs(inputs: Mapping[str, Any]) -> None:
    """Refuse inputs that cannot give a benchmark; those that are not there are not judged.

    :raises ValueError: naming the input, its value and the remedy.
    """
    potentials, jobs = inputs.get('potentials', None) or {}, inputs.get('jobs', None) or {}
    check_potentials(potentials)
    check_jobs(jobs, potentials, (NebCalculation,), packable=True)
    if inputs.get('analysis', None) is not None:
        read_settings(inputs['analysis'].get_dict())
    paths, references = inputs.get('paths', None) or {}, inputs.get('references', None) or {}
    check_pairs(paths, references)
    materials = inputs.get('materials', None)
    unknown = sorted(set(materials.get_dict()) - set(paths)) if materials is not None else []
    if unknown:
        raise ValueError(f'materials.{unknown[0]}: no hop of that name is among the paths')
    for name in ('parameters', 'tight_parameters'):
        if inputs.get(name, None) is not None:
            check_parameters(inputs[name].get_dict(), NebParameters)
    if inputs.get('parameters', None) is None:
        return
    able = {key: covered(paths, chosen['potential'])[0] for key, chosen in potentials.items()}
    if not any(able.values()):
        first = next(iter(potentials.values()))['potential']
        check_elements(first, {symbol for path in paths.values() for symbol in path.symbols})
    for key, names in able.items():
        if names:
            given = {'parameters': inputs['parameters'], 'paths': {name: paths[name] for name in names}}
            check_child(NebBaseWorkChain, job_inputs(potentials[key], jobs.get(key, {}), given), f'potentials.{key}')


def check_pairs(paths: Mapping[str, PathData], references: Mapping[str, PathData]) -> None:
    """Refuse hops without a reference, or with one that cannot be compared.

    :raises ValueError: naming the first that is at fault.
    """
    NebCalculation.check_items(paths)
    for name in sorted(set(paths) ^ set(references)):
        given, lacking = ('paths', 'references') if name in paths else ('references', 'paths')
        raise ValueError(f'{given}.{name} is given, but no {lacking}.{name}: each hop needs both')
    for name, path in paths.items():
        reference = references[name]
        where = f'references.{name}'
        if reference.energies is None:
            raise ValueError(f'{where}: the path has no energies, so no barrier; give one that was optimised')
        if reference.n_images != path.n_images:
            raise ValueError(
                f'{where} has {reference.n_images} images, paths.{name} has {path.n_images}: path errors are image by '
                'image; start from as many'
            )
        if list(reference.symbols) != list(path.symbols):
            raise ValueError(f'{where} has other atoms than paths.{name}, or in another order')
        if not np.allclose(reference.cell, path.cell, atol=CELL_TOLERANCE_ANG):
            raise ValueError(f'{where} has another cell than paths.{name}')
