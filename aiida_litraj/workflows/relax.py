"""Restarting chain of relaxations: brings every structure to its end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida.orm import AbstractCode, Computer, Dict, StructureData

from ..calculations.relax import RelaxCalculation
from ..calculations.validation import check_parameters
from ..contract.relax import RelaxationParameters
from ..data.potential import PotentialData
from .base import EngineBaseWorkChain
from .packed import PackedWorkChain


class RelaxBaseWorkChain(EngineBaseWorkChain):
    """Relaxes structures; resubmits those that were cut off, from their checkpoint, and gathers what is finished."""

    _process_class = RelaxCalculation
    outputs_name = 'structures'
    protocol_file = 'relax.yaml'

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: AbstractCode,
        structures: Mapping[str, StructureData],
        potential: PotentialData,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | Path | str | None = None,
        options: Mapping[str, Any] | None = None,
        computer: Computer | None = None,
    ) -> Any:
        """Return a builder with every number of a protocol filled in.

        :param structures: what to relax, by name.
        :param overrides: what to change, like ``{'parameters': {'pressure_gpa': 1.0}}``, or a YAML file.
        :param options: ``metadata.options`` of the jobs.
        :param computer: where to run a code that is not bound to a computer.
        :raises ValueError: if protocol, override or an input cannot be used, naming it.
        """
        values = cls.get_protocol_inputs(protocol, overrides)['parameters']
        parameters = Dict(
            check_parameters(values, RelaxationParameters).model_dump(mode='json'),
            label=protocol or cls.get_default_protocol(),
        )
        RelaxCalculation.check_items(structures)
        given = {'code': code, 'potential': potential, 'structures': dict(structures), 'parameters': parameters}
        RelaxCalculation.check_together(given)
        return cls.filled_builder(given, options, computer)

    def largest(self) -> int:
        """Return the number of atoms of the largest structure of the next job."""
        return max(len(structure.sites) for structure in self.ctx.inputs.structures.values())


class RelaxPackedWorkChain(PackedWorkChain):
    """Relaxes any number of structures in several jobs beside each other."""

    _base = RelaxBaseWorkChain

    @classmethod
    def costs(cls, inputs: Mapping[str, Any]) -> dict[str, float]:
        """Return what each structure costs: its atoms, to which a step is proportional."""
        return {name: float(len(structure.sites)) for name, structure in inputs['structures'].items()}
