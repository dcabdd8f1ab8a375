"""Follows replicas through molecular dynamics: one job, any number of replicas of any structures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida.common.datastructures import CalcInfo
from aiida.orm import ArrayData, Dict, StructureData

from ..contract import files
from ..contract.arrays import AnyArray
from ..contract.md import MdItem, MdJob, MdParameters, check_segment, check_start
from ..contract.potential import PotentialSpec
from ..contract.runtime import Runtime
from ..data.potential import PotentialData
from ..data.trajectory import MdTrajectoryData
from .base import LitrajCalcJob
from .relax import structure_arrays
from .validation import check_masses, check_names, check_structure, refuse, validated

KEEP_UNFINISHED = 'keep_unfinished'


class Replica(MdItem):
    """What an input node of a replica holds: ``structure`` is the name of one of the input ``structures``."""

    structure: str


class MdCalculation(LitrajCalcJob):
    """Runs ``litraj-engine`` on replicas: molecular dynamics with a schedule and a seed of its own for each."""

    task = 'md'
    parameters_model = MdParameters
    item_type = Dict
    items_help = (
        'Replicas by name: ``structure`` is the name of one of ``structures``, ``seed`` a number, ``schedule`` a list '
        'of segments with ``duration_fs``, ``temperature_k``, ``temperature_end_k``, ``pressure_gpa``, '
        '``pressure_end_gpa``.'
    )

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, options and outputs."""
        super().define(spec)
        spec.input_namespace(
            'structures',
            valid_type=StructureData,
            dynamic=True,
            validator=refuse(check_structures),
            help='Structures at the start, by name; any number of replicas may share one.',
        )
        spec.input_namespace(
            'velocities',
            valid_type=ArrayData,
            dynamic=True,
            required=False,
            help='With ``initial_velocities: given``, by the name of the structure: a trajectory that has come to its '
            'end, or an array ``velocities`` (n_atoms, 3) in Ang/fs.',
        )
        spec.input(
            f'metadata.options.{KEEP_UNFINISHED}',
            valid_type=bool,
            default=True,
            help='Make a node of the frames of a replica that was cut off too. A restarting chain does without while '
            'it goes on, for the next job has them all.',
        )
        spec.output_namespace(
            'trajectories',
            valid_type=MdTrajectoryData,
            dynamic=True,
            required=False,
            help='Trajectories by replica, also of those that died: their frames until then.',
        )

    @classmethod
    def check_items(cls, items: Mapping[str, Dict]) -> None:
        """Refuse replicas that are malformed.

        :raises ValueError: naming the first that is at fault, with field, value and remedy.
        """
        check_names(items, 'replicas', 'Dict')
        for name, node in items.items():
            read_replica(name, node)

    @classmethod
    def check_together(cls, inputs: Mapping[str, Any]) -> None:
        """Refuse also replicas without a structure, or that cannot follow their schedule in the ensemble.

        :raises ValueError: naming input and remedy.
        """
        super().check_together(inputs)
        structures, given = inputs.get('structures', None) or {}, inputs.get('replicas', None) or {}
        replicas = {name: read_replica(name, node) for name, node in given.items()}
        for name, replica in replicas.items():
            if structures and replica.structure not in structures:
                raise ValueError(
                    f'replicas.{name}.structure = {replica.structure!r} is not among the structures: '
                    f'{", ".join(structures)}'
                )
        if inputs.get('parameters', None) is None:
            return
        parameters = MdParameters.model_validate(inputs['parameters'].get_dict())
        for name, replica in replicas.items():
            for k, segment in enumerate(replica.schedule):
                check_segment(segment, parameters, f'replicas.{name}.schedule[{k}]')
        used = {replica.structure for replica in replicas.values()}
        for name in inputs.get('velocities', None) or {}:
            if used and name not in used:
                raise ValueError(
                    f'velocities.{name}: no replica starts from a structure called {name!r}, only from '
                    f'{", ".join(sorted(used))}; rename it, or leave it out'
                )
        for name in sorted(used & set(structures)):
            check_masses(structures[name], f'structures.{name}')
            check_in_ensemble(structures[name], f'structures.{name}', parameters, inputs.get('potential', None))
            velocities_of(name, structures[name], inputs.get('velocities', None) or {}, parameters)

    @classmethod
    def symbols(cls, inputs: Mapping[str, Any]) -> set[str]:
        """Return the elements that the potential has to cover."""
        structures = inputs.get('structures', None) or {}
        return {kind.symbol for structure in structures.values() for kind in structure.kinds}

    def _setup_metadata(self, metadata: dict[str, Any]) -> None:
        # Neither what watches over a job nor what is made of one that was cut off is part of an answer.
        caching = self.node.base.caching
        monitors = [f'monitors__{name}' for name in self.inputs.get('monitors', {})]
        caching._hash_ignored_inputs = [*caching._hash_ignored_inputs, *monitors]
        options = {name: value for name, value in metadata.get('options', {}).items() if name != KEEP_UNFINISHED}
        super()._setup_metadata({**metadata, 'options': options})

    def job(self, potential: PotentialSpec, parameters: MdParameters, runtime: Runtime, items: dict[str, Any]) -> MdJob:
        """Return the job of these replicas."""
        listed = []
        for name, node in items.items():
            replica = read_replica(name, node)
            listed.append(MdItem(id=name, seed=replica.seed, schedule=replica.schedule))
        return MdJob(potential=potential, parameters=parameters, runtime=runtime, items=listed)

    def item_arrays(self, item: Dict, parameters: MdParameters) -> dict[str, Any]:
        """Return the arrays of a replica as they go into a job."""
        name = item['structure']
        structure = self.inputs.structures[name]
        velocities = velocities_of(name, structure, self.inputs.get('velocities', {}), parameters)
        return structure_arrays(structure) | ({} if velocities is None else {'velocities': velocities})

    def _calc_info(self) -> CalcInfo:
        """Return what AiiDA needs; the arrays of the result go into the trajectories, and are not kept beside them."""
        info = super()._calc_info()
        info.retrieve_list = [name for name in info.retrieve_list if name != files.RESULT_ARRAYS]
        info.retrieve_temporary_list = [*info.retrieve_temporary_list, files.RESULT_ARRAYS]
        return info


def read_replica(name: str, node: Dict) -> Replica:
    """Return a replica.

    :raises ValueError: naming each field that is missing, not known or out of range.
    """
    values = node.get_dict()
    if 'id' in values:
        raise ValueError(f'replicas.{name}.id = {values["id"]!r} is not known; a replica is called by its input name')
    return validated({'id': name, **values}, Replica, f'replicas.{name}')


def check_structures(structures: Mapping[str, StructureData]) -> None:
    """Refuse structures that no potential can evaluate.

    :raises ValueError: naming the first that is at fault.
    """
    check_names(structures, 'structures', 'StructureData')
    for name, structure in structures.items():
        check_structure(structure, f'structures.{name}')


def check_in_ensemble(
    structure: StructureData, name: str, parameters: MdParameters, potential: PotentialData | None
) -> None:
    """Refuse a structure that cannot be run, or that is too dense for the potential from the start.

    :raises ValueError: with value and remedy.
    """
    arrays = structure_arrays(structure)
    try:
        check_start(arrays['positions'], arrays['cell'], arrays['pbc'], parameters)
    except ValueError as error:
        raise ValueError(f'{name}: {error}') from error
    cutoff = None if potential is None else potential.cutoff_ang
    if cutoff is None or not all(structure.pbc):
        return
    density = len(structure.sites) / structure.get_cell_volume()
    neighbours, most = density * 4.0 / 3.0 * math.pi * cutoff**3, parameters.limits.max_neighbours
    if neighbours > most:
        raise ValueError(
            f'{name}: {neighbours:.0f} neighbours per atom within the cutoff of the potential ({cutoff:g} Ang), above '
            f'parameters.limits.max_neighbours = {most:g}: give a larger cell, or raise the limit'
        )


def check_velocities_made(parameters: MdParameters, name: str) -> None:
    """Refuse to wait for velocities that a chain has no input for.

    :param name: of the parameters, to the one who gave them.
    :raises ValueError: with the remedy.
    """
    if parameters.initial_velocities == 'given':
        raise ValueError(
            f"{name}.initial_velocities = 'given', but this chain gives none: take maxwell-boltzmann or zero"
        )


def velocities_of(
    name: str, structure: StructureData, given: Mapping[str, ArrayData], parameters: MdParameters
) -> AnyArray | None:
    """Return the velocities (n_atoms, 3) in Ang/fs at the start of a structure, ``None`` if they are not given.

    :raises ValueError: if they are wanted and not given, or given and not wanted, or do not fit the structure.
    """
    where = f'velocities.{name}'
    if parameters.initial_velocities != 'given':
        if name in given:
            raise ValueError(
                f'{where}: parameters.initial_velocities is {parameters.initial_velocities}; set it to given, or leave '
                'them out'
            )
        return None
    if name not in given:
        raise ValueError(f'{where} is missing, although parameters.initial_velocities is given')
    node, n_atoms = given[name], len(structure.sites)
    if isinstance(node, MdTrajectoryData):
        try:
            velocities = node.end_velocities
        except ValueError as error:
            raise ValueError(f'{where}: {error}') from error
    elif 'velocities' in node.get_arraynames():
        velocities = node.get_array('velocities')
    else:
        raise ValueError(f'{where}: node {node.pk} has no array velocities, only {", ".join(node.get_arraynames())}')
    if velocities.shape != (n_atoms, 3) or not np.isfinite(velocities).all():
        raise ValueError(f'{where} of shape {velocities.shape}; give finite numbers of shape {(n_atoms, 3)}')
    return np.asarray(velocities, dtype=float)


def used_structures(replicas: Mapping[str, Dict], structures: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of some nodes, named after structures, that belong to one of the replicas."""
    wanted = {node['structure'] for node in replicas.values()}
    return {name: node for name, node in structures.items() if name in wanted}
