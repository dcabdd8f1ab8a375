"""Restarting chain of NEB jobs: brings every path to its end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from aiida.orm import AbstractCode, CalcJobNode, Computer, Data, Dict, Str, to_aiida_type

from ..analysis.packing import end_key
from ..calculations.neb import NebCalculation
from ..calculations.validation import check_parameters, refuse
from ..contract.neb import CONFIGURATIONS, NebParameters
from ..data.path import PathData
from ..data.potential import PotentialData
from ..groups.configurations import check_path_name, join_block
from ..groups.labelled import check_joinable
from ..parsers.neb import hop_of, level_of
from .base import EngineBaseWorkChain
from .packed import PackedWorkChain


class NebBaseWorkChain(EngineBaseWorkChain):
    """Optimises paths; resubmits those that were cut off, from their checkpoint, and gathers what is finished."""

    _process_class = NebCalculation
    outputs_name = 'paths'
    further_outputs = (CONFIGURATIONS,)
    protocol_file = 'neb.yaml'

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outline and outputs."""
        super().define(spec)
        spec.input(
            'dataset',
            valid_type=Str,
            required=False,
            serializer=to_aiida_type,
            help='Data set that the configurations join, with ``keep_configurations``: each path once, by its name.',
        )
        spec.inputs.validator = refuse(check_dataset, before=spec.inputs.validator)

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: AbstractCode,
        paths: Mapping[str, PathData],
        potential: PotentialData,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | Path | str | None = None,
        options: Mapping[str, Any] | None = None,
        computer: Computer | None = None,
        verify_saddle: bool = False,
    ) -> Any:
        """Return a builder with every number of a protocol filled in.

        :param paths: initial paths by name.
        :param overrides: what to change, like ``{'parameters': {'band': {'max_steps': 50}}}``, or a YAML file.
        :param options: ``metadata.options`` of the jobs.
        :param computer: where to run a code that is not bound to a computer.
        :param verify_saddle: compute the lowest curvature modes of the highest image.
        :raises ValueError: if protocol, override or an input cannot be used, naming it.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        parameters = resolve_parameters(inputs, verify_saddle)
        NebCalculation.check_items(paths)
        given = {'code': code, 'potential': potential, 'paths': dict(paths)}
        NebCalculation.check_together(given)
        given['parameters'] = Dict(parameters, label=protocol or cls.get_default_protocol())
        return cls.filled_builder(given, options, computer)

    def get_outputs(self, node: CalcJobNode) -> Mapping[str, Any]:
        """Return all finished paths, and one account; their configurations join the data set, if there is one."""
        made = super().get_outputs(node)
        join_dataset(self, made)
        return made

    def largest(self) -> int:
        """Return the number of atoms of the largest path of the next job."""
        return max(path.natoms for path in self.ctx.inputs.paths.values())


class NebPackedWorkChain(PackedWorkChain):
    """Optimises any number of paths in several jobs beside each other; paths with an end in common share a job."""

    _base = NebBaseWorkChain

    @classmethod
    def costs(cls, inputs: Mapping[str, Any]) -> dict[str, float]:
        """Return what each path costs: images times atoms, to which a step of its band is proportional."""
        return {name: float(path.n_images * path.natoms) for name, path in inputs['paths'].items()}

    @classmethod
    def shared(cls, items: Mapping[str, PathData]) -> dict[str, list[str]]:
        """Return the ends of each path: a job relaxes one that several have once."""
        keys = {}
        for name, path in items.items():
            positions, cell, pbc = path.get_positions(), path.cell, np.array(path.pbc, dtype=bool)
            keys[name] = [end_key(path.numbers, positions[end], cell, pbc) for end in (0, -1)]
        return keys

    @classmethod
    def beside(cls, inputs: Mapping[str, Any], item: PathData) -> dict[str, Data]:
        """Return that the configurations are kept: a job that did not keep them cannot give them."""
        keep = inputs.get('keep_configurations', None)
        return {'keep_configurations': keep} if keep is not None and keep.value else {}

    def put_together(self, made: dict[str, dict[str, Data]]) -> None:
        """Let configurations that jobs of before have kept join the data set, if there is one, like all others."""
        join_dataset(self, made)


def join_dataset(chain: Any, made: Mapping[str, Any]) -> None:
    """Let the configurations among the outputs of a chain join its data set, if it has one."""
    if 'dataset' not in chain.inputs:
        return
    for configurations in made.get(CONFIGURATIONS, {}).values():
        if (told := join_block(chain.inputs.dataset.value, configurations)) is not None:
            chain.report(told)


def check_dataset(inputs: Mapping[str, Any]) -> None:
    """Refuse a data set that the configurations of a job cannot join.

    :raises ValueError: if they are not kept, or those of the set were computed with something else, or the set has a
        path of that name which is of another hop.
    """
    job = inputs.get('neb', None) or {}
    if inputs.get('dataset', None) is None or job.get('potential', None) is None:
        return
    keep, name = job.get('keep_configurations', None), inputs['dataset'].value
    if keep is None or not keep.value:
        raise ValueError(f'dataset = {name!r}: the configurations are not kept; set neb.keep_configurations to true')
    check_joinable(name, level_of(job['potential']))
    for path_name, path in (job.get('paths', None) or {}).items():
        check_path_name(name, path_name, path, hop_of(path))


def resolve_parameters(inputs: Mapping[str, Any], verify_saddle: bool) -> dict[str, Any]:
    """Return the parameters of a protocol as they are stored: every field, validated.

    :raises ValueError: naming each override that is not known or out of range.
    """
    values = dict(inputs['parameters'])
    if verify_saddle and values.get('verify_saddle') is None:
        values['verify_saddle'] = inputs['saddle']
    return check_parameters(values, NebParameters).model_dump(mode='json')
