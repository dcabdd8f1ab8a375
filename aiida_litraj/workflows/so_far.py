"""What jobs have done of paths so far, whether the chain that asked for them goes on or was killed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.orm import AbstractCode, CalcJobNode, Dict, WorkChainNode

from ..calculations.functions.merge_parts import merged
from ..calculations.neb import NebCalculation
from ..calculations.validation import node_hash
from ..data.path import PathData
from ..data.potential import PotentialData
from .earlier import finished_items, outputs_of
from .neb import NebPackedWorkChain
from .packing import read_packing


def finished_so_far(
    code: AbstractCode,
    potential: PotentialData,
    parameters: Dict,
    paths: Mapping[str, PathData],
    packed: WorkChainNode | None = None,
) -> tuple[dict[str, PathData], dict[str, Any] | None]:
    """Return the paths that jobs which have ended have finished, and one account; that has all others as unfinished.

    Jobs of any chain count, as they do where a chain begins. ``None`` for the account if there is no such job.

    :param packed: the chain that has them done; if it takes nothing of before, its own jobs alone count.
    """
    wanted = {name: {f'paths__{name}': node_hash(path)} for name, path in paths.items()}
    given = {'code': code, 'potential': potential, 'parameters': parameters}
    among = None if packed is None or reuses(packed) else {job.pk for job in _jobs_below(packed)}
    found = finished_items(NebCalculation, given, wanted, among)
    if not found:
        return {}, None
    made = outputs_of({name: one.job.uuid for name, one in found.items()}, 'paths')
    jobs = {one.job.uuid: one.job for one in found.values()}
    labels = {uuid: f'job_{number:04d}' for number, uuid in enumerate(sorted(jobs))}
    take: dict[str, list[str]] = {label: [] for label in labels.values()}
    for name, one in sorted(found.items()):
        take[labels[one.job.uuid]].append(name)
    about = {'take': take, 'earlier': list(take), 'missing': sorted(set(paths) - set(found))}
    accounts = {label: jobs[uuid].outputs.results.get_dict() for uuid, label in labels.items()}
    return {name: made[name] for name in sorted(made)}, merged(about, accounts)


def reuses(packed: WorkChainNode) -> bool:
    """Return whether a packed chain of paths takes what jobs of before have done: neither packing nor job says no."""
    packing = packed.inputs.packing.get_dict() if 'packing' in packed.inputs else {}
    said = (packed.get_metadata_inputs() or {}).get(NebPackedWorkChain.task(), {}).get('metadata', {})
    return read_packing(packing).reuse and not said.get('disable_cache', False)


def _jobs_below(packed: WorkChainNode) -> list[CalcJobNode]:
    return [node for node in packed.called_descendants if isinstance(node, CalcJobNode)]
