"""Restarting chain of molecular dynamics: brings every replica to the end of its schedule, or to its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida.common import AttributeDict
from aiida.engine import ToContext
from aiida.orm import AbstractCode, ArrayData, CalcJobNode, Computer, Data, Dict, StructureData

from ..calculations.md import KEEP_UNFINISHED, MdCalculation, check_structures, used_structures
from ..calculations.monitors import HOPELESS
from ..calculations.validation import check_parameters
from ..contract.md import MdParameters
from ..data.potential import PotentialData
from .base import MAX_IDLE_CRASHES, EngineBaseWorkChain
from .packed import PackedWorkChain

MONITOR = {'entry_point': HOPELESS, 'minimum_poll_interval': 60}
"""Ends a job that has evaluated nothing for an hour, which would else sit there to the end of its walltime."""


class MdBaseWorkChain(EngineBaseWorkChain):
    """Follows replicas; resubmits those that were cut off, from their checkpoint, and gathers all trajectories.

    A replica that died is a result, and is not repeated.
    """

    _process_class = MdCalculation
    outputs_name = 'trajectories'
    protocol_file = 'md.yaml'

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: AbstractCode,
        structures: Mapping[str, StructureData],
        replicas: Mapping[str, Mapping[str, Any] | Dict],
        potential: PotentialData,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | Path | str | None = None,
        options: Mapping[str, Any] | None = None,
        computer: Computer | None = None,
        velocities: Mapping[str, ArrayData] | None = None,
    ) -> Any:
        """Return a builder with every number of a protocol filled in.

        :param structures: where replicas start, by name.
        :param replicas: by name, each like ``{'structure': 'Li2S', 'seed': 1, 'schedule': [{'duration_fs': 1000.0,
            'temperature_k': 600.0}]}``; with npt a segment has a ``pressure_gpa`` too.
        :param overrides: what to change, like ``{'parameters': {'timestep_fs': 1.0}}``, or a YAML file.
        :param options: ``metadata.options`` of the jobs.
        :param computer: where to run a code that is not bound to a computer.
        :param velocities: with ``initial_velocities: given``, by the name of the structure.
        :raises ValueError: if protocol, override or an input cannot be used, naming it.
        """
        values = cls.get_protocol_inputs(protocol, overrides)['parameters']
        parameters = Dict(
            check_parameters(values, MdParameters).model_dump(mode='json'),
            label=protocol or cls.get_default_protocol(),
        )
        nodes = {name: given if isinstance(given, Dict) else Dict(dict(given)) for name, given in replicas.items()}
        given = {'code': code, 'structures': dict(structures), 'replicas': nodes}
        given |= {'potential': potential, 'parameters': parameters}
        given |= {'velocities': dict(velocities)} if velocities else {}
        check_structures(structures)
        MdCalculation.check_items(nodes)
        MdCalculation.check_together(given)
        return cls.filled_builder({**given, 'monitors': {'hopeless': Dict(MONITOR)}}, options, computer)

    def largest(self) -> int:
        """Return the number of atoms of the largest structure of the next job."""
        return max(len(structure.sites) for structure in self.ctx.inputs.structures.values())

    def run_process(self) -> ToContext:
        """Submit the next job; if it may be the last, with the frames of what it does not finish."""
        last = self.ctx.iteration + 1 >= self.inputs.max_iterations.value
        may_give_up = self.ctx.idle_jobs + 1 >= MAX_IDLE_CRASHES
        self.ctx.inputs.metadata.options[KEEP_UNFINISHED] = last or may_give_up
        return super().run_process()

    def _prepare(self, node: CalcJobNode) -> None:
        """Let the next job do what is left, with the structures and velocities of that."""
        super()._prepare(node)
        for name in ('structures', 'velocities'):
            if name in self.ctx.inputs:
                self.ctx.inputs[name] = used_structures(self.ctx.inputs.replicas, self.ctx.inputs[name])


class MdPackedWorkChain(PackedWorkChain):
    """Follows any number of replicas in several jobs beside each other.

    A first job would take as long as the others, for replicas are long and few: what earlier jobs of the potential took
    is known, whatever their ensemble, or nothing is.
    """

    _base = MdBaseWorkChain
    sample_items = 2
    any_parameters = True

    @classmethod
    def costs(cls, inputs: Mapping[str, Any]) -> dict[str, float]:
        """Return what each replica costs: its atoms times its steps."""
        timestep = inputs['parameters']['timestep_fs']
        sizes = {name: len(structure.sites) for name, structure in inputs['structures'].items()}
        found = {}
        for name, replica in inputs['replicas'].items():
            values = replica.get_dict()
            found[name] = (
                sizes[values['structure']] * sum(part['duration_fs'] for part in values['schedule']) / timestep
            )
        return found

    @classmethod
    def beside(cls, inputs: Mapping[str, Any], item: Dict) -> dict[str, Data]:
        """Return where a replica starts: its structure, and its velocities if they are given."""
        name = item['structure']
        given = {f'{kind}__{name}': (inputs.get(kind, None) or {}).get(name) for kind in ('structures', 'velocities')}
        return {label: node for label, node in given.items() if node is not None}

    def narrowed(self, job: AttributeDict) -> AttributeDict:
        """Return the inputs of a job with the structures and velocities of its replicas alone."""
        for name in ('structures', 'velocities'):
            if name in job:
                job[name] = used_structures(job.replicas, job[name])
        return job
