"""From a crystal and a hop to its barrier by density functional theory, with potentials beside it on the same hop."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida.common import AttributeDict
from aiida.engine import ExitCode, ToContext, WorkChain
from aiida.orm import AbstractCode, Bool, Computer, Dict, Str, StructureData, WorkChainNode, to_aiida_type

from ..calculations.base import register_exit_codes
from ..calculations.functions.build_hop import read_geometry
from ..calculations.functions.compare_paths import compare_paths
from ..calculations.functions.extract_barrier import extract_barrier
from ..calculations.validation import refuse
from ..contract.neb import CONFIGURATIONS, NebParameters
from ..data.frames import FramesData
from ..data.path import PathData
from ..data.potential import PotentialData
from .barrier import built_path
from .children import ending_of, nested, resolved
from .dft_neb_inputs import REFERENCE, check_dft_neb_inputs, reference_potential, starts_from
from .neb import NebBaseWorkChain
from .potentials import job_inputs, jobs_of
from .protocols import ProtocolMixin
from .submission import submitted_before

NAME = 'hop'
"""Of the path, unless it is given one; always the same, so that an equal hop is recognised by the cache."""


class DftNebWorkChain(ProtocolMixin, WorkChain):
    """Optimises the path of a hop with a reference, GPAW as a rule, and with any potentials, and compares them.

    The hop is given by a crystal and ``hop``, by two structures with the same atoms, or by a path. All start from the
    same straight path; the reference may start from the converged path of a potential instead.
    """

    protocol_file = 'dft_neb.yaml'

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outline and outputs."""
        super().define(spec)
        spec.input('structure', valid_type=StructureData, required=False, help='The crystal, fully occupied.')
        spec.input('initial_structure', valid_type=StructureData, required=False, help='The ion before the hop.')
        spec.input('final_structure', valid_type=StructureData, required=False, help='The ion after the hop.')
        spec.input('path', valid_type=PathData, required=False, help='Where to start, instead of structures.')
        for name, required, text in (
            ('hop', False, 'Source site, target, cell offset, mechanism and mobile element: ``analysis.Hop``.'),
            ('geometry', False, 'Supercell and number of images: ``analysis.Geometry``; a protocol gives them.'),
            ('parameters', True, 'Parameters of the reference, as ``litraj.neb`` has them.'),
            ('potential_parameters', False, 'Parameters of the potentials, likewise; needed if there are any.'),
        ):
            spec.input(name, valid_type=Dict, required=required, serializer=to_aiida_type, help=text)
        spec.input(
            'name', valid_type=Str, required=False, serializer=to_aiida_type, help='Of the path and its entries.'
        )
        spec.input('reference.code', valid_type=AbstractCode, help='Engine with the family of the reference.')
        spec.input('reference.potential', valid_type=PotentialData, help='The reference, of the family gpaw as a rule.')
        spec.input_namespace(
            'potentials',
            valid_type=(PotentialData, AbstractCode),
            dynamic=True,
            required=False,
            help='Beside it, by name: ``potential``, and the ``code`` with its environment.',
        )
        spec.input(
            'start_from', valid_type=Str, required=False, serializer=to_aiida_type,
            help='Name of the potential whose converged path the band of the reference starts from.',
        )  # fmt: skip
        spec.input(
            'keep_configurations', valid_type=Bool, default=lambda: Bool(True), serializer=to_aiida_type,
            help='Whether all configurations that the reference evaluates are kept, as labelled entries.',
        )  # fmt: skip
        spec.input('dataset', valid_type=Str, required=False, serializer=to_aiida_type, help='Data set that they join.')
        spec.input(
            'jobs', valid_type=dict, non_db=True, default=dict,
            help='By name of the potential, or ``reference``: ``computer``, the label of one for a code that is bound '
            'to none, ``options``, which are ``metadata.options`` of the jobs, and ``disable_cache``.',
        )  # fmt: skip
        spec.inputs.validator = refuse(check_dft_neb_inputs)
        spec.outline(cls.build, cls.run_first, cls.run_reference, cls.compare)
        spec.output('initial_path', valid_type=PathData, required=False, help='The straight path, if it was built.')
        spec.output('path', valid_type=PathData, required=False, help='The path of the reference.')
        spec.output('barrier', valid_type=Dict, required=False, help='Its barrier both ways, profile and warnings.')
        spec.output('results', valid_type=Dict, required=False, help='How its optimisation ended, with the audit.')
        spec.output(CONFIGURATIONS, valid_type=FramesData, required=False, help='All that the reference evaluated.')
        spec.output_namespace('paths', valid_type=PathData, dynamic=True, help='The path of each potential.')
        spec.output_namespace('barriers', valid_type=Dict, dynamic=True, help='The barrier of each potential.')
        spec.output_namespace('comparison', valid_type=Dict, dynamic=True, help='Each potential less the reference.')
        spec.default_output_node = 'barrier'
        register_exit_codes(spec, beside=NebBaseWorkChain.exit_codes)

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: AbstractCode,
        potentials: Mapping[str, Mapping[str, Any]] | None = None,
        structure: StructureData | None = None,
        hop: Mapping[str, Any] | None = None,
        initial_structure: StructureData | None = None,
        final_structure: StructureData | None = None,
        path: PathData | None = None,
        reference: PotentialData | None = None,
        start_from: str | None = None,
        dataset: str | None = None,
        name: str | None = None,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | Path | str | None = None,
        options: Mapping[str, Any] | None = None,
        computer: Computer | None = None,
        jobs: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Any:
        """Return a builder with every number of a protocol filled in.

        :param code: engine with the family of the reference, as a rule ``gpaw``.
        :param potentials: to compare with, by name, each ``{'code': ..., 'potential': ...}``.
        :param hop: fields of ``analysis.Hop``, like ``{'source': 0, 'target': 6, 'offset': [0, 0, 0]}``.
        :param reference: instead of GPAW at the level of the protocol.
        :param overrides: what to change, like ``{'level': {'cutoff_ev': 400}}``, or a YAML file.
        :param options: ``metadata.options`` of all jobs.
        :param computer: where to run codes that are not bound to a computer.
        :param jobs: computer (its label) and options by name of the potential, or ``reference``, instead of those.
        :raises ValueError: if protocol, override or an input cannot be used, naming value and remedy.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        label = protocol or cls.get_default_protocol()
        beside = {key: dict(value) for key, value in (potentials or {}).items()}
        parameters = resolved(NebBaseWorkChain, inputs['neb'], NebParameters)
        if start_from is not None and parameters['initial_path'] in ('linear', 'idpp'):
            parameters['initial_path'] = 'shift'  # else the path that it starts from would be drawn anew
        given: dict[str, Any] = {
            'structure': structure,
            'initial_structure': initial_structure,
            'final_structure': final_structure,
            'path': path,
            'hop': None if hop is None else Dict(dict(hop)),
            'parameters': Dict(parameters, label=label),
            'reference': {'code': code, 'potential': reference or reference_potential(inputs)},
            'start_from': None if start_from is None else Str(start_from),
            'dataset': None if dataset is None else Str(dataset),
            'name': None if name is None else Str(name),
        }
        if path is None:
            given['geometry'] = Dict(read_geometry(inputs['geometry']).model_dump(mode='json'), label=label)
        if beside:
            other = resolved(NebBaseWorkChain, inputs['potential_neb'], NebParameters)
            given |= {'potentials': beside, 'potential_parameters': Dict(other, label=label)}
        given['jobs'] = jobs_of((REFERENCE, *beside), options, computer, jobs)
        given = {key: value for key, value in given.items() if value is not None}
        check_dft_neb_inputs(given)
        builder = cls.get_builder()
        for key, value in given.items():
            builder[key] = value
        return builder

    def build(self) -> None:
        """Build the straight path of the hop, unless one is given."""
        if 'path' in self.inputs:
            self.ctx.path = self.inputs.path
            return
        self.ctx.path = built_path(self.inputs)
        self.out('initial_path', self.ctx.path)

    def run_first(self) -> Any:
        """Optimise the path with all potentials, and with the reference if that waits for none of them."""
        started = {name: self._start(name, self.ctx.path) for name in self._beside()}
        if 'start_from' not in self.inputs:
            started[REFERENCE] = self._start(REFERENCE, self.ctx.path)
        return ToContext(**{f'neb_{name}': chain for name, chain in started.items()})

    def run_reference(self) -> Any:
        """Optimise it with the reference, from what a potential has made of it."""
        if 'start_from' not in self.inputs:
            return None
        name = self.inputs.start_from.value
        path = starts_from(self.ctx[f'neb_{name}'], self._name())
        if path is None:
            self.report(f'{name} has no converged path: the reference starts from the straight one')
        return ToContext(**{f'neb_{REFERENCE}': self._start(REFERENCE, path or self.ctx.path)})

    def compare(self) -> ExitCode | None:
        """Measure all barriers, compare, and end as the reference did; if that is well, as the first that is not."""
        chain = self.ctx[f'neb_{REFERENCE}']
        if 'results' in chain.outputs:
            self.out('results', chain.outputs.results)
        kept = nested(chain, CONFIGURATIONS).get(self._name())
        if kept is not None:
            self.out(CONFIGURATIONS, kept)
        path, barrier = self._measured(REFERENCE)
        if path is not None:
            self.out('path', path)
        if barrier is not None:
            self.out('barrier', barrier)
        for name in self._beside():
            other, its_barrier = self._measured(name)
            if other is not None:
                self.out(f'paths.{name}', other)
            if its_barrier is None:
                continue
            self.out(f'barriers.{name}', its_barrier)
            if path is not None and barrier is not None:
                compared = compare_paths(
                    other, path, its_barrier, barrier, metadata={'call_link_label': f'compare_paths_{name}'}
                )
                self.out(f'comparison.{name}', compared)
        ended = (ending_of(self, self.ctx[f'neb_{name}'], name) for name in (REFERENCE, *self._beside()))
        return next((code for code in ended if code is not None), None)

    def _name(self) -> str:
        return str(self.inputs.name.value) if 'name' in self.inputs else NAME

    def _beside(self) -> dict[str, Any]:
        return dict(self.inputs.potentials) if 'potentials' in self.inputs else {}

    def _start(self, name: str, path: PathData) -> WorkChainNode:
        """Submit the optimisation with one potential, or find the one that a killed worker has submitted."""
        label = f'neb_{name}'
        earlier = submitted_before(self, label)
        if earlier is not None:
            return earlier
        of_reference = name == REFERENCE
        chosen = self.inputs.reference if of_reference else self.inputs.potentials[name]
        parameters = self.inputs.parameters if of_reference else self.inputs.potential_parameters
        given: dict[str, Any] = {'parameters': parameters, 'paths': {self._name(): path}}
        beside: dict[str, Any] = {}
        if of_reference and self.inputs.keep_configurations.value:
            given['keep_configurations'] = self.inputs.keep_configurations
            beside = {'dataset': self.inputs.dataset} if 'dataset' in self.inputs else {}
        inputs = AttributeDict({'neb': job_inputs(chosen, self.inputs.jobs.get(name, {}), given), **beside})
        return self.submit(NebBaseWorkChain, **inputs, metadata={'call_link_label': label})

    def _measured(self, name: str) -> tuple[PathData | None, Dict | None]:
        """Return the path that a chain has left, and its barrier, also of one that did not converge."""
        chain = self.ctx[f'neb_{name}']
        path = nested(chain, 'paths').get(self._name())
        if path is None:
            return None, None
        barrier, measured = extract_barrier.run_get_node(
            path, chain.outputs.results, metadata={'call_link_label': f'extract_barrier_{name}'}
        )
        if measured.is_finished_ok:
            return path, barrier
        self.report(f'{name}: {measured.exit_message}')
        return path, None
