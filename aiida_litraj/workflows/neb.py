"""Restarting chain of NEB jobs: brings every path to its end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida.orm import AbstractCode, CalcJobNode, Computer, Dict, Str, to_aiida_type

from ..calculations.neb import NebCalculation
from ..calculations.validation import check_parameters, refuse
from ..contract.neb import CONFIGURATIONS, NebParameters
from ..data.path import PathData
from ..data.potential import PotentialData
from ..groups.configurations import check_path_name, join_block
from ..groups.labelled import check_joinable
from ..parsers.neb import hop_of, level_of
from .base import EngineBaseWorkChain


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
        if 'dataset' in self.inputs:
            name = self.inputs.dataset.value
            for configurations in made.get(CONFIGURATIONS, {}).values():
                if (told := join_block(name, configurations)) is not None:
                    self.report(told)
        return made

    def largest(self) -> int:
        """Return the number of atoms of the largest path of the next job."""
        return max(path.natoms for path in self.ctx.inputs.paths.values())


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
