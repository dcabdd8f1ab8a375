"""Restarting chain of NEB jobs: brings every path to its end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida.orm import AbstractCode, Computer, Dict

from ..calculations.neb import NebCalculation
from ..calculations.validation import check_parameters
from ..contract.neb import NebParameters
from ..data.path import PathData
from ..data.potential import PotentialData
from .base import EngineBaseWorkChain


class NebBaseWorkChain(EngineBaseWorkChain):
    """Optimises paths; resubmits those that were cut off, from their checkpoint, and gathers what is finished."""

    _process_class = NebCalculation
    outputs_name = 'paths'
    protocol_file = 'neb.yaml'

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
        NebCalculation.check_together({'code': code, 'potential': potential, 'paths': paths})
        builder = cls.get_builder()
        builder.neb.code = code
        builder.neb.paths = dict(paths)
        builder.neb.potential = potential
        builder.neb.parameters = Dict(parameters, label=protocol or cls.get_default_protocol())
        builder.neb.metadata.options = dict(options or {})
        if computer is not None:
            builder.neb.metadata.computer = computer
        return builder

    def largest(self) -> int:
        """Return the number of atoms of the largest path of the next job."""
        return max(path.natoms for path in self.ctx.inputs.paths.values())


def resolve_parameters(inputs: Mapping[str, Any], verify_saddle: bool) -> dict[str, Any]:
    """Return the parameters of a protocol as they are stored: every field, validated.

    :raises ValueError: naming each override that is not known or out of range.
    """
    values = dict(inputs['parameters'])
    if verify_saddle and values.get('verify_saddle') is None:
        values['verify_saddle'] = inputs['saddle']
    return check_parameters(values, NebParameters).model_dump(mode='json')
