"""From a structure to its melt and its glass, with snapshots on the way."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from aiida.common import AttributeDict
from aiida.engine import ExitCode, ToContext, WorkChain
from aiida.orm import AbstractCode, ArrayData, Computer, Dict, StructureData, to_aiida_type

from ..analysis.contacts import reach_of
from ..analysis.melt_quench import CUTOFFS_ANG
from ..calculations.base import register_exit_codes
from ..calculations.functions.analyse_melt_quench import (
    AnalysisRequest,
    analyse_melt_quench,
    read_analysis,
)
from ..calculations.functions.extract_snapshots import extract_snapshots
from ..calculations.functions.plan_melt_quench import (
    REPLICA,
    STRUCTURE,
    MeltQuench,
    plan_melt_quench,
    read_melt_quench,
    replica_of,
)
from ..calculations.md import check_in_ensemble, check_velocities_made
from ..calculations.validation import (
    check_elements,
    check_family,
    check_masses,
    check_parameters,
    check_structure,
    refuse,
)
from ..contract.md import MdParameters, Segment, check_segment
from ..contract.units import FEMTOSECONDS_OF_PS
from ..data.frames import FramesData
from ..data.potential import PotentialData
from ..data.trajectory import MdTrajectoryData
from .children import check_child, ending_of, nested, resolved
from .md import MONITOR, MdBaseWorkChain
from .protocols import ProtocolMixin
from .robustness import check_images, check_npt
from .submission import submitted_before

MD_LABEL = 'md'


class MeltQuenchWorkChain(ProtocolMixin, WorkChain):
    """Melts a structure at a pressure, quenches it, and says what the structure is in each stage.

    Of a replica that dies on the way the stages and snapshots that it reached are kept.
    """

    protocol_file = 'melt_quench.yaml'

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outline and outputs."""
        super().define(spec)
        spec.input('structure', valid_type=StructureData, help='What is melted.')
        for name, text in (
            ('schedule', 'Temperatures, times, pressure, seed, snapshots: ``MeltQuench``; a protocol gives them.'),
            ('analysis', 'How structures are analysed: ``AnalysisRequest``; a protocol gives it.'),
        ):
            spec.input(name, valid_type=Dict, serializer=to_aiida_type, help=text)
        spec.expose_inputs(MdBaseWorkChain, namespace='md', exclude=('md.structures', 'md.replicas', 'md.velocities'))
        spec.inputs.validator = refuse(check_melt_quench_inputs)
        spec.outline(cls.prepare, cls.run_md, cls.inspect)
        spec.output('stages', valid_type=Dict, required=False, help='Density, coordination and anions of each stage.')
        spec.output('distributions', valid_type=ArrayData, required=False, help='Arrays of the stages.')
        spec.output('snapshots', valid_type=FramesData, required=False, help='Evenly spaced configurations.')
        spec.output('trajectory', valid_type=MdTrajectoryData, required=False, help='The whole way.')
        spec.output('results', valid_type=Dict, required=False, help='How the replica ended, with the audit.')
        spec.default_output_node = 'stages'
        register_exit_codes(spec, beside=MdBaseWorkChain.exit_codes)

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: AbstractCode,
        potential: PotentialData,
        structure: StructureData,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | Path | str | None = None,
        options: Mapping[str, Any] | None = None,
        computer: Computer | None = None,
    ) -> Any:
        """Return a builder with every number of a protocol filled in.

        :param overrides: what to change, like ``{'schedule': {'melt_temperature_k': 1200.0}}``, or a YAML file.
        :param options: ``metadata.options`` of the jobs.
        :param computer: where to run a code that is not bound to a computer.
        :raises ValueError: if protocol, override or an input cannot be used, naming value and remedy.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        name = protocol or cls.get_default_protocol()
        given = {
            'structure': structure,
            'schedule': Dict(read_melt_quench(inputs['schedule']).model_dump(mode='json'), label=name),
            'analysis': Dict(read_analysis(inputs['analysis']).model_dump(mode='json'), label=name),
        }
        parameters = Dict(resolved(MdBaseWorkChain, inputs['dynamics'], MdParameters), label=name)
        metadata = {'options': dict(options or {}), **({} if computer is None else {'computer': computer})}
        job = {'code': code, 'potential': potential, 'parameters': parameters, 'metadata': metadata}
        check_melt_quench_inputs({**given, 'md': {'md': job}})
        builder = cls.get_builder()
        for key, value in given.items():
            builder[key] = value
        builder.md.md.code = code
        builder.md.md.potential = potential
        builder.md.md.parameters = parameters
        builder.md.md.monitors = {'hopeless': Dict(MONITOR)}
        builder.md.md.metadata = metadata
        return builder

    def prepare(self) -> None:
        """Plan the replica."""
        self.ctx.replica = plan_melt_quench(self.inputs.schedule, metadata={'call_link_label': 'plan_melt_quench'})

    def run_md(self) -> Any:
        """Send it through the schedule."""
        earlier = submitted_before(self, MD_LABEL)
        if earlier is not None:
            return ToContext(md=earlier)
        inputs = AttributeDict(self.exposed_inputs(MdBaseWorkChain, 'md'))
        inputs.md.structures = {STRUCTURE: self.inputs.structure}
        inputs.md.replicas = {REPLICA: self.ctx.replica}
        inputs.metadata.call_link_label = MD_LABEL
        return ToContext(md=self.submit(MdBaseWorkChain, **inputs))

    def inspect(self) -> ExitCode | None:
        """Analyse what was reached, and end as the replica did."""
        chain = self.ctx.md
        if 'results' in chain.outputs:
            self.out('results', chain.outputs.results)
        trajectories = nested(chain, 'trajectories')
        failed = self._analyse(trajectories[REPLICA]) if REPLICA in trajectories else None
        return ending_of(self, chain) or failed

    def _analyse(self, trajectory: MdTrajectoryData) -> ExitCode | None:
        """Make stages and snapshots of a trajectory; return why there are no stages, if they cannot be analysed."""
        self.out('trajectory', trajectory)
        plan = read_melt_quench(self.inputs.schedule.get_dict())
        made, node = analyse_melt_quench.run_get_node(
            trajectory, self.inputs.schedule, self.inputs.analysis, metadata={'call_link_label': 'analyse_melt_quench'}
        )
        if node.is_finished_ok:
            self.out('stages', made['stages'])
            if made['stages']['stages']:
                self.out('distributions', made['distributions'])
        first = plan.spans()[-1].stop_ps / plan.n_snapshots
        if trajectory.times_ps[-1] >= first * (1.0 - 1e-9):
            snapshots = extract_snapshots(
                trajectory, self.inputs.schedule, metadata={'call_link_label': 'extract_snapshots'}
            )
            self.out('snapshots', snapshots)
        return None if node.is_finished_ok else ExitCode(node.exit_status, node.exit_message)


def check_melt_quench_inputs(inputs: Mapping[str, Any]) -> None:
    """Refuse inputs that cannot give a melt and a glass; those that are not there are not judged.

    :raises ValueError: naming the input, its value and the remedy.
    """
    asked = None if inputs.get('analysis', None) is None else read_analysis(inputs['analysis'].get_dict())
    md = (inputs.get('md', None) or {}).get('md', None) or {}
    if inputs.get('schedule', None) is None or md.get('parameters', None) is None:
        return
    plan = read_melt_quench(inputs['schedule'].get_dict())
    parameters = check_parameters(md['parameters'].get_dict(), MdParameters)
    check_npt(parameters)
    check_velocities_made(parameters, 'dynamics')
    for k, segment in enumerate(replica_of(plan)['schedule']):
        check_segment(Segment.model_validate(segment), parameters, f'schedule[{k}]')
    if asked is not None:
        check_frames(plan, parameters, asked.averaged_share)
    structure, potential = inputs.get('structure', None), md.get('potential', None)
    if structure is None:
        return
    check_structure(structure, 'structure')
    check_masses(structure, 'structure')
    check_in_ensemble(structure, 'structure', parameters, potential)
    if asked is not None:
        check_analysis(structure, asked)
    if potential is not None:
        check_elements(potential, {kind.symbol for kind in structure.kinds})
        check_images(structure, 'structure', potential)
        if md.get('code', None) is not None:
            check_family(md['code'], potential)
            replicas = {REPLICA: Dict(replica_of(plan))}
            check_child(MdBaseWorkChain, {**md, 'structures': {STRUCTURE: structure}, 'replicas': replicas}, 'md.md')


def check_analysis(structure: StructureData, asked: AnalysisRequest) -> None:
    """Refuse neighbours of elements that are not there, and distances over too many images of the cell.

    The pairs of the Li-P-S system, which the protocols have, are left out where they are not there.

    :raises ValueError: naming the field and its value.
    """
    there = {kind.symbol for kind in structure.kinds}
    for pair, cutoff in asked.cutoffs_ang.items():
        if pair not in CUTOFFS_ANG and not set(pair.split('-')) <= there:
            raise ValueError(
                f'analysis.cutoffs_ang.{pair} = {cutoff:g}: the structure is made of {", ".join(sorted(there))}; leave '
                'it out'
            )
    reach = max(asked.max_distance_ang, *asked.cutoffs_ang.values(), 0.0)
    name = 'max_distance_ang' if reach == asked.max_distance_ang else 'cutoffs_ang'
    try:
        reach_of(len(structure.sites), np.array(structure.cell), np.array(structure.pbc), reach)
    except ValueError as error:
        raise ValueError(f'analysis.{name} = {reach:g}: {error}; take a shorter distance') from error


def check_frames(plan: MeltQuench, parameters: MdParameters, averaged_share: float) -> None:
    """Refuse a schedule with a stage without frames to average over, or with fewer frames than snapshots.

    :raises ValueError: naming it.
    """
    interval = parameters.frame_interval_fs
    for span in plan.spans():
        duration = (span.stop_ps - span.start_ps) * FEMTOSECONDS_OF_PS
        if averaged_share * duration < interval * (1.0 - 1e-9):
            raise ValueError(
                f'schedule: the stage {span.name} takes {duration:g} fs, and the last {averaged_share * duration:g} of '
                f'them (analysis.averaged_share = {averaged_share:g}) are less than dynamics.frame_interval_fs = '
                f'{interval:g}: there might be no frame to average over; take frames more often'
            )
    frames = int(plan.spans()[-1].stop_ps * FEMTOSECONDS_OF_PS / interval * (1.0 + 1e-9))
    if plan.n_snapshots > frames:
        raise ValueError(
            f'schedule.n_snapshots = {plan.n_snapshots} of {frames} frames: take fewer, or frames more often '
            f'(dynamics.frame_interval_fs = {interval:g})'
        )
