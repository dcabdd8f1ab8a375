"""Where a potential survives: anneals on a grid of temperatures and pressures, of one potential or several."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from aiida.engine import ExitCode, ToContext, WorkChain
from aiida.orm import Computer, Dict, StructureData, WorkChainNode, to_aiida_type

from ..calculations.base import register_exit_codes
from ..calculations.functions.analyse_robustness import analyse_robustness
from ..calculations.functions.plan_robustness import START, plan_robustness, read_grid, replicas_of
from ..calculations.functions.random_hard_spheres import packed, random_hard_spheres
from ..calculations.md import MdCalculation, check_in_ensemble, check_velocities_made
from ..calculations.relax import RelaxCalculation
from ..calculations.validation import (
    check_elements,
    check_masses,
    check_parameters,
    check_structure,
    refuse,
)
from ..contract.errors import FIRST_VERDICT
from ..contract.md import MdParameters, Segment, check_segment
from ..contract.relax import RelaxationParameters
from ..data.potential import PotentialData
from .children import check_child, ending_of, nested, resolved
from .md import MONITOR, MdBaseWorkChain, MdPackedWorkChain
from .potentials import check_jobs, check_potentials, define_potentials, job_inputs, jobs_of, packed_or_not
from .protocols import ProtocolMixin
from .relax import RelaxBaseWorkChain
from .submission import submitted_before


class RobustnessWorkChain(ProtocolMixin, WorkChain):
    """Relaxes a start with each potential, anneals it at each temperature and pressure, and says who survived.

    The start is given, or packed at random. All replicas of a potential are one job, unless ``jobs`` has a ``packing``
    for it, by which they are shared out among several. A replica that dies is a result;
    the chain fails only where a potential could not be asked, and then still has the grids of the others.
    """

    protocol_file = 'robustness.yaml'

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outline and outputs."""
        super().define(spec)
        spec.input('structure', valid_type=StructureData, required=False, help='The start, instead of ``packing``.')
        for name, required, text in (
            ('packing', False, 'The start: atoms at random, ``PackingRequest``; a protocol gives it.'),
            ('grid', True, 'Temperatures, pressures, repeats, duration and seed: ``Grid``; a protocol gives them.'),
            ('relaxation', True, 'Parameters of the relaxation of the start, as ``litraj.relax`` has them.'),
            ('dynamics', True, 'Parameters of the anneals, as ``litraj.md`` has them.'),
        ):
            spec.input(name, valid_type=Dict, required=required, serializer=to_aiida_type, help=text)
        define_potentials(spec)
        spec.input_namespace(
            'monitors', valid_type=Dict, dynamic=True, required=False, help='Of the jobs of molecular dynamics.'
        )
        spec.inputs.validator = refuse(check_robustness_inputs)
        spec.outline(cls.prepare, cls.relax, cls.anneal, cls.analyse)
        spec.output('start', valid_type=StructureData, required=False, help='The packing, if the start was packed.')
        spec.output_namespace('relaxed', valid_type=StructureData, dynamic=True, help='The start of each potential.')
        spec.output_namespace('grids', valid_type=Dict, dynamic=True, help='Cells and replicas of each potential.')
        spec.output_namespace('results', valid_type=Dict, dynamic=True, help='How the replicas ended, with the audit.')
        register_exit_codes(spec, beside=MdBaseWorkChain.exit_codes)

    @classmethod
    def get_builder_from_protocol(
        cls,
        potentials: Mapping[str, Mapping[str, Any]],
        structure: StructureData | None = None,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | Path | str | None = None,
        options: Mapping[str, Any] | None = None,
        computer: Computer | None = None,
        jobs: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Any:
        """Return a builder with every number of a protocol filled in.

        :param potentials: by name, each ``{'code': ..., 'potential': ...}``.
        :param structure: where to start, instead of the packing of the protocol.
        :param overrides: what to change, like ``{'grid': {'repeats': 1}}``, or a YAML file.
        :param options: ``metadata.options`` of all jobs.
        :param computer: where to run codes that are not bound to a computer.
        :param jobs: computer (its label) and options of some potentials, by name, instead of those for all.
        :raises ValueError: if protocol, override or an input cannot be used, naming value and remedy.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        name = protocol or cls.get_default_protocol()
        relaxation = resolved(RelaxBaseWorkChain, inputs['relaxation'], RelaxationParameters)
        dynamics = resolved(MdBaseWorkChain, inputs['dynamics'], MdParameters)
        given: dict[str, Any] = {
            'potentials': {key: dict(value) for key, value in potentials.items()},
            'grid': Dict(read_grid(inputs['grid']).model_dump(mode='json'), label=name),
            'relaxation': Dict(relaxation, label=name),
            'dynamics': Dict(dynamics, label=name),
        }
        given |= {'packing': Dict(inputs['packing'], label=name)} if structure is None else {'structure': structure}
        given['jobs'] = jobs_of(potentials, options, computer, jobs)
        check_robustness_inputs(given)
        builder = cls.get_builder()
        for key, value in given.items():
            builder[key] = value
        builder.monitors = {'hopeless': Dict(MONITOR)}
        return builder

    def prepare(self) -> None:
        """Pack the start, if it is not given, and plan the replicas."""
        if 'structure' in self.inputs:
            self.ctx.start = self.inputs.structure
        else:
            self.ctx.start = random_hard_spheres(
                self.inputs.packing, metadata={'call_link_label': 'random_hard_spheres'}
            )
            self.out('start', self.ctx.start)
        planned = plan_robustness(self.inputs.grid, metadata={'call_link_label': 'plan_robustness'})
        self.ctx.replicas = dict(planned['replicas'])

    def relax(self) -> Any:
        """Relax the start with each potential."""
        started = {}
        for name in self.inputs.potentials:
            structures = {START: self.ctx.start}
            given = {'parameters': self.inputs.relaxation, 'structures': structures}
            started[f'relax_{name}'] = self._start(RelaxBaseWorkChain, 'relax', name, given)
        return ToContext(**started)

    def anneal(self) -> Any:
        """Anneal what each potential has made of it; one that has made nothing of it, or nonsense, has no grid."""
        started, self.ctx.refused = {}, {}
        for name in self.inputs.potentials:
            chain = self.ctx[f'relax_{name}']
            relaxed = nested(chain, 'structures').get(START)
            if relaxed is None:
                self.report(f'{name}: {chain.process_label}<{chain.pk}> left no structure: {chain.exit_message}')
                continue
            self.out(f'relaxed.{name}', relaxed)
            given = {
                'parameters': self.inputs.dynamics,
                'structures': {START: relaxed},
                'replicas': self.ctx.replicas,
            }
            if 'monitors' in self.inputs:
                given['monitors'] = dict(self.inputs.monitors)
            try:
                started[f'md_{name}'] = self._start(MdBaseWorkChain, 'md', name, given)
            except ValueError as error:  # atoms on one place, a cell gone thin: of this potential, not of the others
                self.ctx.refused[name] = f'{name}: {error}'
                self.report(f'{name}: the relaxed start is refused: {error}')
        return ToContext(**started)

    def analyse(self) -> ExitCode | None:
        """Make the grid of each potential; end with the first code of one that could not be asked."""
        ended = None
        for name in self.inputs.potentials:
            chain = self.ctx[f'md_{name}'] if f'md_{name}' in self.ctx else self.ctx[f'relax_{name}']
            if f'md_{name}' in self.ctx and 'results' in chain.outputs:
                self.out(f'results.{name}', chain.outputs.results)
                grid = analyse_robustness(
                    grid=self.inputs.grid,
                    dynamics=self.inputs.dynamics,
                    results=chain.outputs.results,
                    **nested(chain, 'trajectories'),
                    metadata={'call_link_label': f'analyse_robustness_{name}'},
                )
                self.out(f'grids.{name}', grid)
                if (chain.exit_status or 0) >= FIRST_VERDICT or chain.is_finished_ok:
                    continue
            refused = self.ctx.refused.get(name)
            unusable = self.exit_codes.ERROR_RELAXED_UNUSABLE
            ended = ended or (unusable.format(reason=refused) if refused else ending_of(self, chain, name))
        return ended

    def _start(self, chain: Any, task: str, name: str, given: dict[str, Any]) -> WorkChainNode:
        """Submit a chain of one potential, or find the one that a killed worker has submitted."""
        label = f'{task}_{name}'
        earlier = submitted_before(self, label)
        if earlier is not None:
            return earlier
        job, beside = self.inputs.jobs.get(name, {}), {}
        if chain is MdBaseWorkChain:
            chain, beside = packed_or_not(MdPackedWorkChain, job)
        inputs = job_inputs(self.inputs.potentials[name], job, given)
        return self.submit(chain, **{task: inputs, **beside, 'metadata': {'call_link_label': label}})


def check_robustness_inputs(inputs: Mapping[str, Any]) -> None:
    """Refuse inputs that cannot give a grid; those that are not there are not judged.

    The start is packed for the sake of its checks and thrown away.

    :raises ValueError: naming the input, its value and the remedy.
    """
    structure, packing = inputs.get('structure', None), inputs.get('packing', None)
    if (structure is None) == (packing is None):
        given = 'both are' if packing is not None else 'none is'
        raise ValueError(f'structure and packing: {given} given; the start is one or the other')
    check_potentials(inputs.get('potentials', None) or {})
    jobs = inputs.get('jobs', None) or {}
    check_jobs(jobs, inputs['potentials'], (RelaxCalculation, MdCalculation), packable=True)
    if inputs.get('grid', None) is None or inputs.get('dynamics', None) is None:
        return
    grid, name = read_grid(inputs['grid'].get_dict()), 'structure' if packing is None else 'packing'
    parameters = check_parameters(inputs['dynamics'].get_dict(), MdParameters)
    check_npt(parameters)
    check_velocities_made(parameters, 'dynamics')
    if inputs.get('relaxation', None) is not None:
        check_parameters(inputs['relaxation'].get_dict(), RelaxationParameters)
    segment = next(iter(replicas_of(grid).values()))['schedule'][0]
    try:
        check_segment(Segment.model_validate(segment), parameters, 'grid')
    except ValueError as error:
        raise ValueError(f'{error} (grid.duration_ps = {grid.duration_ps:g})') from error
    start = packed(packing.get_dict()) if structure is None else structure
    check_structure(start, name)
    check_masses(start, name)
    for key, chosen in inputs['potentials'].items():
        potential = chosen['potential']
        check_elements(potential, {kind.symbol for kind in start.kinds})
        check_in_ensemble(start, name, parameters, potential)
        check_images(start, name, potential)
        shared = {'structures': {START: start}}
        if inputs.get('relaxation', None) is not None:
            relaxed = {**shared, 'parameters': inputs['relaxation']}
            check_child(RelaxBaseWorkChain, job_inputs(chosen, jobs.get(key, {}), relaxed), f'potentials.{key}')
        replicas = {name: Dict(replica) for name, replica in replicas_of(grid).items()}
        annealed = {**shared, 'parameters': inputs['dynamics'], 'replicas': replicas}
        annealed |= {'monitors': dict(inputs.get('monitors', None) or {})}
        check_child(MdBaseWorkChain, job_inputs(chosen, jobs.get(key, {}), annealed), f'potentials.{key}')


def check_npt(parameters: MdParameters) -> None:
    """Refuse another ensemble than that of a pressure.

    :raises ValueError: naming it.
    """
    if parameters.ensemble != 'npt':
        raise ValueError(
            f'dynamics.ensemble = {parameters.ensemble!r}: anneals at a pressure need npt; take a protocol of '
            'litraj.md with it, such as npt-isotropic'
        )


def check_images(structure: StructureData, name: str, potential: PotentialData) -> None:
    """Refuse a cell in which an atom feels its own image.

    :raises ValueError: if the potential's cutoff is known and longer than the cell is thin.
    """
    cell = np.array(structure.cell)
    thinnest = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0).max()
    if potential.cutoff_ang is not None and thinnest < potential.cutoff_ang:
        remedy = 'take more atoms' if name == 'packing' else 'give a supercell'
        raise ValueError(
            f'{name}: the cell is {thinnest:.2f} Ang thin, less than the cutoff of the potential '
            f'({potential.cutoff_ang:g} Ang): each atom would feel its own image; {remedy}'
        )
