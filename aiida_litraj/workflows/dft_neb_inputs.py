"""What a band by density functional theory is asked for, and what of it is refused before anything is queued."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.orm import WorkChainNode

from ..calculations.neb import NebCalculation
from ..calculations.validation import ITEM_LABEL, check_elements, check_family, check_gpaw, check_path, validated
from ..contract.gpaw import FAMILY, RANKS, GpawOptions
from ..contract.level import Level
from ..data.path import PathData
from ..data.potential import PotentialData
from ..groups.configurations import check_path_name
from ..groups.labelled import check_joinable
from ..parsers.neb import hop_of, level_of
from .barrier import check_barrier_inputs, straight_path
from .children import check_child
from .label import LabelWorkChain
from .neb import NebBaseWorkChain
from .potentials import check_jobs, check_potentials, job_inputs

REFERENCE = 'reference'
_HOP = ('structure', 'initial_structure', 'final_structure', 'hop')


def reference_potential(inputs: Mapping[str, Any]) -> PotentialData:
    """Return GPAW at the level of a protocol, as an unstored potential.

    :param inputs: of the protocol: ``level``, a protocol of ``litraj.label`` and what differs from it, and ``gpaw``.
    :raises ValueError: naming what is not known or out of range.
    """
    changes = {key: value for key, value in inputs['level'].items() if key != 'protocol'}
    fields = LabelWorkChain.get_protocol_inputs(inputs['level'].get('protocol'), {'level': changes})['level']
    level = validated(fields, Level, 'level')
    if 'ranks' in inputs['gpaw']:
        raise ValueError(f'gpaw.ranks: no number of the physics; give --ranks, or {RANKS} to the jobs of the reference')
    options = validated({**inputs['gpaw'], 'level': level}, GpawOptions, 'gpaw')
    label = f'GPAW {level.functional} {level.cutoff_ev:g} eV'
    return PotentialData.packaged(FAMILY, FAMILY, options=options.to_options(), label=label)


def starts_from(chain: WorkChainNode, name: str) -> PathData | None:
    """Return the converged path that a chain of a potential has left, ``None`` if there is none."""
    if 'paths' not in chain.outputs or name not in chain.outputs.paths:
        return None
    entry = chain.outputs.results['items'].get(name, {})
    return chain.outputs.paths[name] if entry.get('converged') else None


def check_dft_neb_inputs(inputs: Mapping[str, Any]) -> None:
    """Refuse inputs that cannot give a comparison; those that are not there are not judged.

    :raises ValueError: naming the input, its value and the remedy.
    """
    reference = inputs.get(REFERENCE, None) or {}
    potentials = inputs.get('potentials', None) or {}
    if not {'code', 'potential'} <= set(reference):
        return  # the ports say what is missing
    check_family(reference['code'], reference['potential'])
    check_gpaw(reference['potential'], f'{REFERENCE}.potential')
    if potentials:
        check_potentials(potentials)
    if REFERENCE in potentials:
        raise ValueError(f'potentials.{REFERENCE}: the name is that of the reference; take another')
    if potentials and inputs.get('potential_parameters', None) is None:
        raise ValueError('potential_parameters: none given; the potentials need them as parameters are needed')
    name = inputs['name'].value if inputs.get('name', None) is not None else 'hop'
    if not ITEM_LABEL.fullmatch(name):
        raise ValueError(f'name = {name!r}: it may have letters, digits and single underscores between')
    _check_start(inputs, potentials)
    _check_dataset(inputs, reference['potential'])
    jobs = inputs.get('jobs', None) or {}
    check_jobs(jobs, (REFERENCE, *potentials), (NebCalculation,))
    path = _path(inputs)
    if path is None:
        return
    check_path(path, 'path')
    if inputs.get('dataset', None) is not None:
        check_path_name(inputs['dataset'].value, name, path, hop_of(path))
    for key, chosen in {REFERENCE: reference, **potentials}.items():
        where = key if key == REFERENCE else f'potentials.{key}'
        check_elements(chosen['potential'], set(path.symbols))
        parameters = inputs.get('parameters' if key == REFERENCE else 'potential_parameters', None)
        if parameters is not None:
            given = {'parameters': parameters, 'paths': {name: path}}
            check_child(NebBaseWorkChain, job_inputs(chosen, jobs.get(key, {}), given), where)


def _path(inputs: Mapping[str, Any]) -> PathData | None:
    """Return the path that everything starts from.

    :raises ValueError: if it is given in two ways, or in none.
    """
    hop = {key: inputs[key] for key in _HOP if inputs.get(key, None) is not None}
    if inputs.get('path', None) is not None:
        if hop:
            raise ValueError(f'path and {next(iter(hop))}: give the hop in one way only')
        path: PathData = inputs['path']
        return path
    check_barrier_inputs({key: inputs.get(key, None) for key in (*_HOP, 'geometry')})
    if inputs.get('geometry', None) is None:
        raise ValueError('geometry: none given; a protocol gives one')
    return straight_path({key: inputs.get(key, None) for key in (*_HOP, 'geometry')})


def _check_start(inputs: Mapping[str, Any], potentials: Mapping[str, Any]) -> None:
    """Refuse to start from what is not there, or to draw anew what is started from."""
    start = inputs.get('start_from', None)
    if start is None:
        return
    if start.value not in potentials:
        known = ', '.join(potentials) or 'none'
        raise ValueError(f'start_from = {start.value!r}: no potential is called so; there are: {known}')
    kind = inputs['parameters'].get_dict().get('initial_path') if inputs.get('parameters', None) is not None else None
    if kind in ('linear', 'idpp'):
        raise ValueError(
            f'parameters.initial_path = {kind!r} draws the path anew that start_from gives: set it to shift or keep'
        )


def _check_dataset(inputs: Mapping[str, Any], potential: PotentialData) -> None:
    if inputs.get('dataset', None) is None:
        return
    keep = inputs.get('keep_configurations', None)
    if keep is not None and not keep.value:
        raise ValueError(
            f'dataset = {inputs["dataset"].value!r}: the configurations are not kept; set keep_configurations to true'
        )
    check_joinable(inputs['dataset'].value, level_of(potential))
