"""From a crystal and a hop to the migration barrier."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida.common import AttributeDict
from aiida.engine import ExitCode, ToContext, WorkChain
from aiida.orm import AbstractCode, Computer, Dict, StructureData, to_aiida_type

from ..calculations.base import register_exit_codes
from ..calculations.functions.build_hop import build_hop, path_of_hop, read_geometry
from ..calculations.functions.build_path import build_path, path_between
from ..calculations.functions.extract_barrier import extract_barrier
from ..calculations.validation import check_elements, check_family, check_path, refuse
from ..data.path import PathData
from ..data.potential import PotentialData
from .children import ending_of
from .neb import NebBaseWorkChain, resolve_parameters
from .protocols import ProtocolMixin
from .submission import submitted_before

NEB_LABEL = 'neb'
ITEM = 'hop'
"""Name of the path in the job; always the same, so that an equal hop is recognised by the cache."""


class BarrierWorkChain(ProtocolMixin, WorkChain):
    """Builds the path of a hop, optimises it and measures its barrier, forward and backward.

    The hop is given by a crystal and ``hop``, or by two structures with the same atoms.
    """

    protocol_file = NebBaseWorkChain.protocol_file

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outline and outputs."""
        super().define(spec)
        spec.input('structure', valid_type=StructureData, required=False, help='The crystal, fully occupied.')
        spec.input('initial_structure', valid_type=StructureData, required=False, help='The ion before the hop.')
        spec.input('final_structure', valid_type=StructureData, required=False, help='The ion after the hop.')
        spec.input(
            'hop',
            valid_type=Dict,
            required=False,
            serializer=to_aiida_type,
            help='Source site, target, cell offset of the target, mechanism and mobile element: ``analysis.Hop``.',
        )
        spec.input(
            'geometry',
            valid_type=Dict,
            serializer=to_aiida_type,
            help='Size of the supercell and number of images: ``analysis.Geometry``; a protocol gives them.',
        )
        spec.input('potential', valid_type=PotentialData, help='The interatomic potential.')
        spec.expose_inputs(NebBaseWorkChain, namespace='neb', exclude=('neb.paths', 'neb.potential'))
        spec.inputs.validator = refuse(check_barrier_inputs)
        spec.outline(cls.build, cls.run_neb, cls.inspect)
        spec.output('barrier', valid_type=Dict, required=False, help='Barrier both ways, profile and warnings.')
        spec.output('path', valid_type=PathData, required=False, help='The optimised path.')
        spec.output('initial_path', valid_type=PathData, help='The straight path between the unrelaxed ends.')
        spec.output('results', valid_type=Dict, required=False, help='How the optimisation ended, with its audit.')
        spec.default_output_node = 'barrier'
        register_exit_codes(spec, beside=NebBaseWorkChain.exit_codes)

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: AbstractCode,
        potential: PotentialData,
        structure: StructureData | None = None,
        hop: Mapping[str, Any] | None = None,
        initial_structure: StructureData | None = None,
        final_structure: StructureData | None = None,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | Path | str | None = None,
        options: Mapping[str, Any] | None = None,
        computer: Computer | None = None,
        verify_saddle: bool = False,
    ) -> Any:
        """Return a builder with every number of a protocol filled in.

        :param hop: fields of ``analysis.Hop``, like ``{'source': 0, 'target': 6, 'offset': [0, 0, 0]}``.
        :param overrides: what to change, like ``{'geometry': {'n_images': 9}}``, or a YAML file.
        :param options: ``metadata.options`` of the jobs.
        :param computer: where to run a code that is not bound to a computer.
        :param verify_saddle: compute the lowest curvature modes of the highest image.
        :raises ValueError: if protocol, override or an input cannot be used, naming value and remedy.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        name = protocol or cls.get_default_protocol()
        crystal = {
            'structure': structure,
            'hop': None if hop is None else Dict(dict(hop)),
            'initial_structure': initial_structure,
            'final_structure': final_structure,
        }
        builder = cls.get_builder()
        given = {
            **{key: value for key, value in crystal.items() if value is not None},
            'geometry': Dict(read_geometry(inputs['geometry']).model_dump(mode='json'), label=name),
            'potential': potential,
        }
        check_barrier_inputs({**given, 'neb': {'neb': {'code': code}}})
        for key, value in given.items():
            setattr(builder, key, value)
        builder.neb.neb.code = code
        builder.neb.neb.parameters = Dict(resolve_parameters(inputs, verify_saddle), label=name)
        builder.neb.neb.metadata.options = dict(options or {})
        if computer is not None:
            builder.neb.neb.metadata.computer = computer
        return builder

    def build(self) -> None:
        """Build the path of the hop."""
        self.ctx.path = built_path(self.inputs)
        self.out('initial_path', self.ctx.path)

    def run_neb(self) -> Any:
        """Optimise it."""
        earlier = submitted_before(self, NEB_LABEL)
        if earlier is not None:
            return ToContext(neb=earlier)
        inputs = AttributeDict(self.exposed_inputs(NebBaseWorkChain, 'neb'))
        inputs.neb.paths = {ITEM: self.ctx.path}
        inputs.neb.potential = self.inputs.potential
        inputs.metadata.call_link_label = NEB_LABEL
        return ToContext(neb=self.submit(NebBaseWorkChain, **inputs))

    def inspect(self) -> ExitCode | None:
        """Measure the barrier, also of a path that did not converge, and end as the optimisation did."""
        chain = self.ctx.neb
        if 'results' in chain.outputs:
            self.out('results', chain.outputs.results)
        path = chain.outputs.paths[ITEM] if 'paths' in chain.outputs and ITEM in chain.outputs.paths else None
        if path is not None:
            self.out('path', path)
            barrier, measured = extract_barrier.run_get_node(
                path, chain.outputs.results, metadata={'call_link_label': 'extract_barrier'}
            )
            if measured.is_finished_ok:
                self.out('barrier', barrier)
            elif chain.is_finished_ok:
                return ExitCode(measured.exit_status, measured.exit_message)
        return ending_of(self, chain)


def built_path(inputs: Mapping[str, Any]) -> PathData:
    """Return the straight path of the hop that a chain has among its inputs, with its provenance."""
    if 'structure' in inputs:
        return build_hop(
            inputs['structure'], inputs['hop'], inputs['geometry'], metadata={'call_link_label': 'build_hop'}
        )
    given = {
        name: inputs[name] for name in ('initial_structure', 'final_structure', 'geometry', 'hop') if name in inputs
    }
    return build_path(**given, metadata={'call_link_label': 'build_path'})


def straight_path(inputs: Mapping[str, Any]) -> PathData:
    """Return the path that a chain with these inputs will build, without provenance.

    :raises ValueError: if structure, hop or geometry cannot be used, naming value and remedy.
    """
    hop, geometry = inputs.get('hop'), inputs['geometry'].get_dict()
    if inputs.get('structure') is not None:
        return path_of_hop(inputs['structure'], hop.get_dict(), geometry)
    given = hop.get_dict() if hop is not None else {}
    return path_between(inputs['initial_structure'], inputs['final_structure'], geometry, given)


def check_barrier_inputs(inputs: Mapping[str, Any]) -> None:
    """Refuse inputs that cannot give a barrier; those that are not there are not judged.

    The path is built for the sake of its checks and thrown away: a hop that does not exist is refused before
    anything is stored or queued.

    :raises ValueError: naming the input, its value and the remedy.
    """
    structure, hop = inputs.get('structure'), inputs.get('hop')
    first, last = inputs.get('initial_structure'), inputs.get('final_structure')
    if structure is None and first is None and last is None:
        raise ValueError('structure: none given; give structure and hop, or initial_structure and final_structure')
    if structure is not None and (first is not None or last is not None):
        raise ValueError('structure and initial_structure or final_structure: give the hop in one way only')
    if structure is not None and hop is None:
        raise ValueError('hop: none given; with structure it names source and target, e.g. {source: 0, target: 6}')
    if structure is None and (first is None or last is None):
        lacking = 'initial_structure' if first is None else 'final_structure'
        raise ValueError(f'{lacking}: none given; a path between two structures needs both')
    geometry = inputs.get('geometry')
    if geometry is None:
        return
    path = straight_path(inputs)
    check_path(path, 'path')
    potential = inputs.get('potential')
    if potential is not None:
        check_elements(potential, set(path.symbols))
        code = inputs.get('neb', {}).get('neb', {}).get('code')
        if code is not None:
            check_family(code, potential)
