"""From a crystal to its ionic conductivity at room temperature."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from aiida.common import AttributeDict
from aiida.engine import ExitCode, ToContext, WorkChain
from aiida.orm import AbstractCode, Computer, Dict, StructureData, WorkChainNode, to_aiida_type

from ..analysis.conductivity import ConductivitySettings, equilibration_replicas, production_replicas
from ..analysis.crystals import shortest_translation
from ..calculations.base import register_exit_codes
from ..calculations.functions.analyse_conductivity import analyse_conductivity
from ..calculations.functions.mean_cells import CELL, REPLICA, REPORT, mean_cells
from ..calculations.functions.plan_equilibration import SUPERCELL, plan_equilibration, read_settings, supercell
from ..calculations.md import MdCalculation, check_in_ensemble, check_velocities_made
from ..calculations.validation import (
    check_elements,
    check_family,
    check_masses,
    check_parameters,
    check_structure,
    refuse,
)
from ..contract.errors import BY_LABEL, FIRST_VERDICT
from ..contract.md import MdParameters, steps_in
from ..data.potential import PotentialData
from ..data.trajectory import MdTrajectoryData
from .children import check_child, check_options, ending_of
from .md import MONITOR, MdBaseWorkChain, MdPackedWorkChain
from .potentials import check_packing
from .protocols import ProtocolMixin
from .submission import submitted_before

STAGES = {'npt': 'equilibration', 'nvt': 'production'}
"""Namespace of inputs, which is also the ensemble and the label of the call, and the name of the stage in settings."""
NOTHING_LEFT = ExitCode(BY_LABEL['ERROR_RESULT_MISSING'].status, 'the runs left no trajectories')


class ConductivityWorkChain(ProtocolMixin, WorkChain):
    """Brings a crystal to several temperatures, follows its ions in the mean cells, and measures how fast they go.

    Every repeat has its own run at constant pressure, and starts where that ended; the cell is the mean of all repeats
    at its temperature. A replica that dies is left out, with a warning; so is a temperature at which all did.
    """

    protocol_file = 'conductivity.yaml'

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outline and outputs."""
        super().define(spec)
        spec.input('structure', valid_type=StructureData, help='The crystal, fully occupied.')
        spec.input(
            'settings',
            valid_type=Dict,
            serializer=to_aiida_type,
            help='Temperatures, repeats, durations and the choices of the analysis: '
            '``analysis.conductivity.ConductivitySettings``; a protocol gives them.',
        )
        spec.input('potential', valid_type=PotentialData, help='The interatomic potential.')
        for name in STAGES:
            exclude = ('md.structures', 'md.replicas', 'md.potential', 'md.velocities')
            spec.expose_inputs(MdBaseWorkChain, namespace=name, exclude=exclude)
        spec.input(
            'packing',
            valid_type=Dict,
            required=False,
            serializer=to_aiida_type,
            help='How the runs of a stage are shared out among jobs, ``workflows.packing.Packing``; by default all are '
            'one job.',
        )
        spec.inputs.validator = refuse(check_conductivity_inputs)
        spec.outline(cls.plan, cls.equilibrate, cls.take_cells, cls.follow, cls.analyse)
        spec.output('conductivity', valid_type=Dict, required=False, help='What was found, with its warnings.')
        spec.output('supercell', valid_type=StructureData, help='Where all runs start.')
        spec.output_namespace(
            'cells', valid_type=StructureData, dynamic=True, required=False, help='Starts in the mean cells, by run.'
        )
        spec.output_namespace(
            'trajectories', valid_type=MdTrajectoryData, dynamic=True, required=False, help='In the mean cells, by run.'
        )
        spec.output('results', valid_type=Dict, required=False, help='How the runs in the mean cells ended.')
        spec.default_output_node = 'conductivity'
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
        packing: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return a builder with every number of a protocol filled in.

        :param overrides: what to change, like ``{'settings': {'temperatures_k': [600.0, 800.0]}}`` or
            ``{'nvt': {'parameters': {'timestep_fs': 1.0}}}``, or a YAML file.
        :param options: ``metadata.options`` of the jobs.
        :param computer: where to run a code that is not bound to a computer.
        :param packing: how the runs of a stage are shared out among jobs, such as ``{'max_jobs': 4}``.
        :raises ValueError: if protocol, override or an input cannot be used, naming value and remedy.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        label = protocol or cls.get_default_protocol()
        parameters = {name: Dict(resolve(inputs[name], name), label=inputs[name]['protocol']) for name in STAGES}
        given = {
            'structure': structure,
            'settings': Dict(read_settings(inputs['settings']).model_dump(mode='json'), label=label),
            'potential': potential,
        }
        given |= {} if packing is None else {'packing': Dict(dict(packing))}
        check_options(options or {}, MdCalculation, 'options')
        metadata = {'options': dict(options or {})} | ({} if computer is None else {'computer': computer})
        stages = {name: {'md': {'code': code, 'parameters': parameters[name], 'metadata': metadata}} for name in STAGES}
        check_conductivity_inputs({**given, **stages})
        builder = cls.get_builder()
        for key, value in given.items():
            setattr(builder, key, value)
        for name in STAGES:
            job = builder[name].md
            job.code, job.parameters = code, parameters[name]
            job.monitors = {'hopeless': Dict(MONITOR)}
            job.metadata.options = dict(options or {})
            if computer is not None:
                job.metadata.computer = computer
        return builder

    def plan(self) -> None:
        """Build the supercell and say what is to be run at constant pressure."""
        planned = plan_equilibration(
            self.inputs.structure, self.inputs.settings, metadata={'call_link_label': 'plan_equilibration'}
        )
        self.ctx.supercell = planned.pop(SUPERCELL)
        self.ctx.npt_replicas = planned
        self.out('supercell', self.ctx.supercell)

    def equilibrate(self) -> Any:
        """Bring the supercell to each temperature at constant pressure."""
        return self._submit('npt', {SUPERCELL: self.ctx.supercell}, self.ctx.npt_replicas)

    def take_cells(self) -> ExitCode | None:
        """Take the mean cells, and the starts in them of the runs that came to their end."""
        chain = self.ctx.npt
        if 'results' not in chain.outputs or not trajectories_of(chain):
            return ending_of(self, chain) or NOTHING_LEFT
        items = chain.outputs.results['items']
        # A part that was killed may have left no account of its runs at all.
        status = {name: items.get(name, {}).get('status', 'unfinished') for name in self.ctx.npt_replicas}
        if cut_off := [name for name, one in status.items() if one == 'unfinished']:
            # With them the mean cells would be others, and what was followed in these would be lost.
            self.report(f'cut off at constant pressure: {", ".join(sorted(cut_off))}; launched again, it goes on there')
            return ending_of(self, chain) or NOTHING_LEFT
        made, node = mean_cells.run_get_node(
            settings=self.inputs.settings,
            results=chain.outputs.results,
            **trajectories_of(chain),
            metadata={'call_link_label': 'mean_cells'},
        )
        if not node.is_finished_ok:
            return ending_of(self, chain) or ExitCode(node.exit_status, node.exit_message)
        self.ctx.report = made[REPORT]
        self.ctx.cells = {name.removeprefix(CELL): one for name, one in made.items() if name.startswith(CELL)}
        self.ctx.replicas = {name.removeprefix(REPLICA): one for name, one in made.items() if name.startswith(REPLICA)}
        self.out('cells', self.ctx.cells)
        return None

    def follow(self) -> Any:
        """Follow the ions at constant volume, all temperatures and repeats in one job."""
        return self._submit('nvt', self.ctx.cells, self.ctx.replicas)

    def analyse(self) -> ExitCode | None:
        """Measure what the runs that came to their end show; end as the jobs did if they were cut off."""
        chain = self.ctx.nvt
        trajectories = trajectories_of(chain)
        if 'results' in chain.outputs:
            self.out('results', chain.outputs.results)
        if trajectories:
            self.out('trajectories', trajectories)
        if 'results' not in chain.outputs or not trajectories:
            return ending_of(self, chain) or NOTHING_LEFT
        found, node = analyse_conductivity.run_get_node(
            settings=self.inputs.settings,
            results=chain.outputs.results,
            cells=self.ctx.report,
            **trajectories,
            metadata={'call_link_label': 'analyse_conductivity'},
        )
        if not node.is_finished_ok:
            return ending_of(self, chain) or ExitCode(node.exit_status, node.exit_message)
        self.out('conductivity', found)
        for one in (self.ctx.npt, chain):
            if not one.is_finished_ok and (one.exit_status or 0) < FIRST_VERDICT:
                return ending_of(self, one)
        return None

    def _submit(self, stage: str, structures: Mapping[str, Any], replicas: Mapping[str, Any]) -> Any:
        """Submit the replicas of a stage, or go on with what a lost worker has submitted."""
        earlier = submitted_before(self, stage)
        if earlier is not None:
            return ToContext(**{stage: earlier})
        inputs = AttributeDict(self.exposed_inputs(MdBaseWorkChain, stage))
        inputs.md.structures, inputs.md.replicas = dict(structures), dict(replicas)
        inputs.md.potential = self.inputs.potential
        inputs.metadata.call_link_label = stage
        if 'packing' in self.inputs:
            return ToContext(**{stage: self.submit(MdPackedWorkChain, **inputs, packing=self.inputs.packing)})
        return ToContext(**{stage: self.submit(MdBaseWorkChain, **inputs)})


def trajectories_of(chain: WorkChainNode) -> dict[str, MdTrajectoryData]:
    """Return the trajectories of a chain by the name of the run, none if it has none."""
    return dict(chain.outputs.trajectories) if 'trajectories' in chain.outputs else {}


def resolve(section: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the parameters of a stage as they are stored: those of a protocol of ``md.yaml``, changed.

    :param section: ``protocol`` and ``parameters``, as in ``conductivity.yaml``.
    :raises ValueError: naming each that is not known or out of range.
    """
    unknown = sorted(set(section) - {'protocol', 'parameters'})
    if unknown:
        raise ValueError(f'override {name}.{unknown[0]} is not known; there are: protocol, parameters')
    values = MdBaseWorkChain.get_protocol_inputs(section['protocol'], {'parameters': section['parameters']})
    if values['parameters'].get('ensemble') != name:  # before its couplings, which those of this stage were mixed with
        raise ValueError(
            f'{name}.parameters.ensemble = {values["parameters"].get("ensemble")!r}: this stage needs {name}'
        )
    try:
        return check_parameters(values['parameters'], MdParameters).model_dump(mode='json')
    except ValueError as error:
        raise ValueError(f'{name}.{error}') from error


def check_conductivity_inputs(inputs: Mapping[str, Any]) -> None:
    """Refuse inputs that cannot give a conductivity; those that are not there are not judged.

    :raises ValueError: naming the input, its value and the remedy.
    """
    structure, given = inputs.get('structure'), inputs.get('settings')
    if structure is None or given is None:
        return
    settings = read_settings(given.get_dict())
    check_structure(structure, 'structure')
    check_masses(structure, 'structure')
    large = supercell(structure, settings)
    potential = inputs.get('potential')
    if potential is not None:
        check_elements(potential, {kind.symbol for kind in structure.kinds})
        _check_size(large, potential, settings.min_image_distance_ang)
    for name in STAGES:
        job = inputs.get(name, {}).get('md', {})
        _check_stage(name, job, settings, large, potential)
        if inputs.get('packing') is not None:
            packing = {'packing': inputs['packing'].get_dict(), 'options': (job.get('metadata') or {}).get('options')}
            check_packing(packing, MdCalculation, name)


def _check_stage(
    name: str,
    job: Mapping[str, Any],
    settings: ConductivitySettings,
    large: StructureData,
    potential: PotentialData | None,
) -> None:
    """Refuse a stage that cannot be run, or that its restarting chain would refuse when it is submitted."""
    if potential is not None and job.get('code') is not None:
        check_family(job['code'], potential)
    if job.get('parameters') is None:
        return
    parameters = check_parameters(job['parameters'].get_dict(), MdParameters)
    if parameters.ensemble != name:
        raise ValueError(f'{name}.parameters.ensemble = {parameters.ensemble!r}: this stage needs {name}')
    check_velocities_made(parameters, f'{name}.parameters')
    duration = getattr(settings, STAGES[name]).duration_ps
    steps_in(1000.0 * duration, parameters.timestep_fs, f'settings.{STAGES[name]}.duration_ps, {duration:g} ps,')
    settings.check_frames(parameters.frame_interval_fs, STAGES[name])
    check_in_ensemble(large, 'supercell', parameters, potential)
    code = job.get('code')
    if potential is None or code is None or (code.computer is None and not job.get('metadata', {}).get('computer')):
        return  # a builder may be given the computer later
    # Where the second stage starts is not known yet: the supercell stands for it.
    replicas = equilibration_replicas if name == 'npt' else production_replicas
    planned = {key: Dict(one) for key, one in replicas(settings, SUPERCELL).items()}
    full = {**job, 'potential': potential, 'structures': {SUPERCELL: large}, 'replicas': planned}
    check_child(MdBaseWorkChain, full, f'{name}.md')


def _check_size(structure: StructureData, potential: PotentialData, asked: float) -> None:
    """Refuse a supercell in which an atom feels its own image directly: it would go with itself."""
    shortest = shortest_translation(np.array(structure.cell), np.array(structure.pbc))
    cutoff = potential.cutoff_ang
    if cutoff is not None and shortest < cutoff:
        raise ValueError(
            f'settings.min_image_distance_ang = {asked:g}: the supercell repeats after {shortest:.2f} Ang, within the '
            f'cutoff of the potential ({cutoff:g} Ang), so that ions would feel their own images; give at least '
            f'{cutoff:g}, better twice that'
        )
