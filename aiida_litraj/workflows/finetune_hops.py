"""Hops whose barriers are computed before and after a fine-tuning: what is asked for, refused, and made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiida.common import AttributeDict
from aiida.orm import Dict, Str, to_aiida_type

from ..calculations.functions.compare_hop import compare_hop, describe_reference
from ..calculations.held_out import known, origins
from ..calculations.validation import check_names
from ..contract.neb import NebParameters
from ..data.frames import FramesData
from ..data.path import PathData
from ..data.potential import PotentialData
from .children import check_child, nested, resolved
from .neb import NebBaseWorkChain
from .potentials import job_inputs
from .submission import made_before, submitted_before

if TYPE_CHECKING:
    from aiida.engine import WorkChain
    from aiida.orm import WorkChainNode

HOPS = 'hops'
NEB = 'neb'
_PARTS = ('path', 'reference', 'reference_barrier')


def define_hops(spec: Any) -> None:
    """Give a chain the inputs and outputs that hops have."""
    spec.input_namespace(
        HOPS, valid_type=(PathData, Dict), dynamic=True, required=False,
        help='Hops that are computed before and after, by name: ``path``, where to start; if there is a reference, its '
        '``reference``, the optimised path with energies, or its ``reference_barrier``, the output ``barrier`` of the '
        'chain that computed it or the output ``check`` of ``litraj.barrier_check``; or both.',
    )  # fmt: skip
    spec.input(
        'neb_parameters', valid_type=Dict, required=False, serializer=to_aiida_type,
        help='``NebParameters`` of the hops; needed if there are any.',
    )  # fmt: skip
    for name, kind, text in (
        ('barriers', Dict, 'Of each hop the barrier of each potential, and how far it is from the reference.'),
        ('paths', PathData, 'Of each potential the path of each hop.'),
        ('optimised', Dict, 'How the optimisation of the paths ended for each potential, with the audit.'),
    ):
        spec.output_namespace(name, valid_type=kind, dynamic=True, required=False, help=text)


def hop_inputs(hops: Mapping[str, Mapping[str, Any]] | None, section: Mapping[str, Any], label: str) -> dict[str, Any]:
    """Return the inputs of a chain about hops, none without any.

    :param section: of its protocol: a protocol of ``neb.yaml``, and what differs from it.
    :raises ValueError: naming what of the section is not known or out of range.
    """
    if not hops:
        return {}
    parameters = Dict(resolved(NebBaseWorkChain, section, NebParameters), label=label)
    return {HOPS: {name: dict(one) for name, one in hops.items()}, 'neb_parameters': parameters}


def neb_job(inputs: Mapping[str, Any], potential: PotentialData) -> AttributeDict:
    """Return the inputs of the job of a potential: all hops whose elements it covers."""
    paths = {
        name: one['path'] for name, one in inputs[HOPS].items() if not potential.covers(set(one['path'].symbols))
    }  # fmt: skip
    given = {'parameters': inputs['neb_parameters'], 'paths': paths}
    chosen = {'code': inputs['code'], 'potential': potential}
    return job_inputs(chosen, (inputs.get('jobs', None) or {}).get(NEB, {}), given)


def start_hops(chain: WorkChain, name: str, potential: PotentialData) -> dict[str, WorkChainNode]:
    """Submit the hops of a potential, or find what a killed worker has submitted; nothing if there are no hops."""
    label = f'{NEB}_{name}'
    if HOPS not in chain.inputs:
        return {}
    job, earlier = neb_job(chain.inputs, potential), submitted_before(chain, label)
    if not job.paths:
        return {}
    return {label: earlier or chain.submit(NebBaseWorkChain, neb=job, metadata={'call_link_label': label})}


def compare_hops(chain: WorkChain, potentials: Mapping[str, PotentialData]) -> dict[str, Dict]:
    """Give what the chains of the hops gave, and return the comparison of each hop, by ``hop_`` and its name."""
    compared: dict[str, Dict] = {}
    hops = chain.inputs.get(HOPS, {})
    for name in potentials if hops else ():
        own = chain.ctx.get(f'{NEB}_{name}')
        for hop, path in ({} if own is None else nested(own, 'paths')).items():
            chain.out(f'paths.{name}.{hop}', path)
        if own is not None and 'results' in own.outputs:
            chain.out(f'optimised.{name}', own.outputs.results)
    for hop, one in hops.items():
        label = f'compare_hop_{hop}'
        made = made_before(chain, label) or _compare_hop(chain, hop, one, potentials, label)
        if made is not None:
            chain.out(f'barriers.{hop}', made)
            compared[f'hop_{hop}'] = made
            for warning in made['warnings']:
                chain.report(f'{hop}: {warning}')
    return compared


def _compare_hop(
    chain: WorkChain, hop: str, one: Mapping[str, Any], potentials: Mapping[str, PotentialData], label: str
) -> Dict | None:
    given: dict[str, Any] = {}
    failed = {}
    for name, potential in potentials.items():
        own = chain.ctx.get(f'{NEB}_{name}')
        lacking = potential.covers(set(one['path'].symbols))
        if lacking:
            failed[name] = f'it does not cover {", ".join(lacking)}'
        elif own is None:
            failed[name] = 'its NEB was not begun'
        elif 'results' not in own.outputs:
            failed[name] = own.exit_message or f'it was {own.process_state.value}'
        else:
            given[f'results_{name}'] = own.outputs.results
            given |= {f'path_{name}': path for key, path in nested(own, 'paths').items() if key == hop}
    notes = Dict({'failed': failed, 'warnings': learnt_warnings(chain.inputs, one)})
    found, node = compare_hop.run_get_node(
        hop=Str(hop), notes=notes, **one, **given, metadata={'call_link_label': label}
    )  # fmt: skip
    return found if node.is_finished_ok else None


def learnt_warnings(inputs: Mapping[str, Any], one: Mapping[str, Any]) -> list[str]:
    """Return that a hop is not new to what is trained: its material was learnt, or configurations on its path."""
    reference = one.get('reference', None)
    if reference is None:
        return []
    material, kept, said = reference.base.attributes.get('material_id', None), set(), []
    if reference.creator is not None:
        made = reference.creator.base.links.get_outgoing(node_class=FramesData).all_nodes()
        kept = {node.uuid for node in made}
    for words, node in (('learnt', inputs['train']), ('among what told the best epoch', inputs['valid'])):
        number = sum(uuid in kept for uuid, _ in origins(node))
        if number:
            said.append(f'{number} configurations on the way to the path of the reference were {words}')
        if material is not None and material in known(node).materials.named:
            said.append(f'configurations of its material {material} were {words}')
    return said


def check_hops(inputs: Mapping[str, Any]) -> None:
    """Refuse hops that cannot be computed or compared.

    :raises ValueError: naming the input, its value and the remedy.
    """
    hops = inputs.get(HOPS, None)
    if not hops:
        return
    check_names(hops, HOPS, 'PathData')
    if inputs.get('neb_parameters', None) is None:
        raise ValueError('neb_parameters: none given; hops need them, and a protocol gives them')
    for name, one in hops.items():
        where = f'{HOPS}.{name}'
        if not isinstance(one, Mapping) or not isinstance(one.get('path', None), PathData):
            raise ValueError(f'{where}.path is missing; give {{path: ..., reference: ...}}')
        unknown = sorted(set(one) - set(_PARTS))
        if unknown:
            raise ValueError(f'{where}.{unknown[0]} is not known; there are: {", ".join(_PARTS)}')
        reference, said = one.get('reference', None), one.get('reference_barrier', None)
        for part, node, kind in (('reference', reference, PathData), ('reference_barrier', said, Dict)):
            if node is not None and not isinstance(node, kind):
                raise ValueError(f'{where}.{part} is a {type(node).__name__}, and should be a {kind.__name__}')
        try:
            describe_reference(reference, None if said is None else said.get_dict())
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f'{where}: the reference cannot be compared with: {error}; leave it out') from error
        lacking = inputs['potential'].covers(set(one['path'].symbols))
        if lacking:
            raise ValueError(
                f'{where}: it has {", ".join(lacking)}, which the potential {inputs["potential"].label!r} does not '
                'cover; leave it out'
            )
    check_child(NebBaseWorkChain, neb_job(inputs, inputs['potential']), HOPS)


def hop_chains(chain: WorkChain) -> dict[str, WorkChainNode]:
    """Return the chains of the hops that there are, by potential."""
    return {key.removeprefix(f'{NEB}_'): node for key, node in chain.ctx.items() if key.startswith(f'{NEB}_')}
