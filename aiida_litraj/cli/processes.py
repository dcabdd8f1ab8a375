"""Chains, their jobs and their results, found from any node that belongs to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .chains import CHAINS, Chain
from .errors import Refusal

if TYPE_CHECKING:
    from aiida.orm import CalcJobNode, Node, ProcessNode, WorkChainNode

BARRIER = 'litraj.barrier'
KEYS = (
    'uuid', 'converged', 'barrier_ev', 'reverse_barrier_ev', 'reaction_energy_ev', 'range_ev', 'model_calls',
    'n_images', 'profile_ev', 'natoms', 'potential_sha256', 'warnings',
)  # fmt: skip
"""What ``--json`` of a barrier has at least."""
LAUNCH_AGAIN = 'What was computed is kept: the same launch again goes on from there.'


def load_any(text: str) -> Node:
    """Return the node with this pk or uuid.

    :raises Refusal: if there is none, or several uuids begin so.
    """
    from aiida.common.exceptions import MultipleObjectsError, NotExistent
    from aiida.orm import load_node

    try:
        return load_node(text)
    except (NotExistent, MultipleObjectsError, ValueError) as error:
        raise Refusal(
            f'there is no node with the pk or uuid {text!r}', 'List what ran with: verdi process list -a'
        ) from error


def load_process(text: str) -> ProcessNode:
    """Return the process with this pk or uuid, or the one that made that node.

    :raises Refusal: if there is none.
    """
    from aiida.orm import ProcessNode

    node = load_any(text)
    process = node if isinstance(node, ProcessNode) else getattr(node, 'creator', None)
    if process is None:
        raise Refusal(
            f'node {text} is a {type(node).__name__} that no process made', 'Give the pk that a launch printed.'
        )
    return process


def load_chain(text: str) -> WorkChainNode:
    """Return the chain, of a kind that is launched, that the node with this pk or uuid belongs to.

    :raises Refusal: if it belongs to none.
    """
    process = load_process(text)
    chain: Any = process
    while chain is not None and entry_point(chain) not in CHAINS:
        chain = chain.caller
    if chain is None:
        raise Refusal(
            f'process {process.pk} ({entry_point(process) or process.process_label}) does not belong to a '
            f'{" or a ".join(kind.noun for kind in CHAINS.values())}',
            'Give the pk that aiida-litraj launch printed.',
        )
    return chain


def kind_of(chain: ProcessNode) -> Chain:
    """Return what kind of chain a process is, one of those that are launched."""
    return CHAINS[str(entry_point(chain))]


def entry_point(process: ProcessNode) -> str | None:
    """Return the name of the entry point of a process, for example ``litraj.barrier``."""
    kind = process.process_type or ''
    return kind.partition(':')[2] or None


def jobs_of(process: ProcessNode) -> list[CalcJobNode]:
    """Return the calculation jobs of a process, itself included, in the order in which they were made."""
    from aiida.orm import CalcJobNode, ProcessNode, QueryBuilder, WorkflowNode

    # One question for each generation: AiiDA's own ``called_descendants`` asks one for every process.
    found, layer = [], [process]
    while layer:
        found += [node for node in layer if isinstance(node, CalcJobNode)]
        callers = [node.pk for node in layer if isinstance(node, WorkflowNode)]
        query = QueryBuilder().append(WorkflowNode, filters={'id': {'in': callers}}, tag='caller')
        layer = query.append(ProcessNode, with_incoming='caller').all(flat=True) if callers else []
    return sorted(found, key=lambda node: node.pk)


def result_of(chain: WorkChainNode) -> dict[str, Any] | None:
    """Return the result of a chain that is launched as ``--json`` prints it, or ``None`` if it has none."""
    result: dict[str, Any] | None = kind_of(chain).call('result', chain)
    return result


def barrier_of(chain: WorkChainNode) -> dict[str, Any] | None:
    """Return the barrier as ``--json`` prints it, or ``None`` if the chain has none."""
    barrier = getattr(chain.outputs, 'barrier', None) if 'barrier' in chain.outputs else None
    if barrier is None:
        return None
    content = barrier.get_dict()
    ordered = {'uuid': chain.uuid, 'pk': chain.pk, **{key: content.get(key) for key in KEYS[1:]}}
    return {**ordered, **content, **origin_of(chain), 'exit_status': chain.exit_status}


def origin_of(chain: WorkChainNode) -> dict[str, Any]:
    """Return what a barrier is of: crystal, hop, supercell, protocol and potential; empty if the chain has no path."""
    from math import hypot

    from ..report.captions import plain_formula, supercell_text

    if 'initial_path' not in chain.outputs or 'potential' not in chain.inputs:
        return {}
    path, jobs = chain.outputs.initial_path, jobs_of(chain)  # the hop as it was asked for
    crystal = chain.inputs.structure if 'structure' in chain.inputs else chain.inputs.initial_structure
    way, labels = path.hop_displacement, path.labels
    sites = 'source' in labels and 'target' in labels
    return {
        'formula': plain_formula([crystal.get_kind(site.kind_name).symbol for site in crystal.sites]),
        'structure': crystal.label,
        'structure_uuid': crystal.uuid,
        'hop': {key: labels.get(key) for key in ('source', 'target', 'offset')} if sites else None,
        'mobile_element': labels.get('mobile_element'),
        'mechanism': labels.get('mechanism'),
        'hop_distance_ang': None if way is None else hypot(*way),
        'supercell': supercell_text(labels),
        'protocol': chain.inputs.geometry.label or None,
        'potential': chain.inputs.potential.label,
        'from_cache': bool(jobs) and all(job.base.caching.is_created_from_cache for job in jobs),
    }


def failure_of(process: ProcessNode) -> Refusal:
    """Return what to say of a process that ended without a result."""
    reason = process.exit_message or process.exception or f'it was {_state(process)}'
    code = f' [{process.exit_status}]' if process.exit_status else ''
    kind = CHAINS.get(entry_point(process) or '')
    lacking = kind.noun if kind else 'result'
    return Refusal(
        f'process {process.pk} ended without a {lacking}{code}: {str(reason).strip().rstrip(".")}',
        f'Its log: verdi process report {process.pk}',
        pk=process.pk,
        uuid=process.uuid,
        exit_status=process.exit_status,
    )


def _state(process: ProcessNode) -> str:
    return process.process_state.value if process.process_state is not None else 'lost'


def unfinished(process: ProcessNode) -> Refusal:
    """Return what to say of a process whose result is asked for before it has ended."""
    from .left_behind import LEFT_BEHIND, is_left_behind

    if is_left_behind(process):
        return Refusal(f'process {process.pk} {LEFT_BEHIND}', LAUNCH_AGAIN, pk=process.pk, uuid=process.uuid)
    return Refusal(
        f'process {process.pk} has not ended yet, it is {_state(process)}',
        f'Its progress: aiida-litraj status {process.pk}',
        pk=process.pk,
        uuid=process.uuid,
    )


def finished_result(chain: WorkChainNode) -> dict[str, Any]:
    """Return the result of a chain, or what of it there is already.

    :raises Refusal: if it has not ended, or ended without one, and there is nothing of it.
    """
    result = result_of(chain)
    if result is None and kind_of(chain).part is not None:
        result = kind_of(chain).call('part', chain)
    if result is not None:
        return result
    raise failure_of(chain) if chain.is_terminated else unfinished(chain)
