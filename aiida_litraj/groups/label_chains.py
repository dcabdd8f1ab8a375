"""Chains that label: what they have made so far, how far they are, and which set they fill."""

from __future__ import annotations

from typing import Any

from aiida.common.links import LinkType
from aiida.orm import QueryBuilder, Str, WorkChainNode

from ..calculations.functions.gather_labels import columns
from ..contract.frames import Frames
from ..data.frames import FramesData

PROCESS_TYPE = 'aiida.workflows:litraj.label'
PROGRESS_EXTRA = 'litraj_labels'
"""Of a chain: how many of how many are labelled, have failed, are under way."""
OUTPUT = 'labels__'
ALIVE = ('created', 'running', 'waiting')


def is_label_chain(node: Any) -> bool:
    """Return whether a node is a chain of labels."""
    return isinstance(node, WorkChainNode) and node.process_type == PROCESS_TYPE


def labels_given(chain: WorkChainNode) -> dict[str, FramesData]:
    """Return the labels that a chain has made so far by their keys, which are in the order of its configurations."""
    links = chain.base.links.get_outgoing(link_type=LinkType.RETURN).all()
    found = {one.link_label: one.node for one in links if one.link_label.startswith(OUTPUT)}
    return {name.removeprefix(OUTPUT): found[name] for name in sorted(found)}


def labels_together(chain: WorkChainNode) -> FramesData | None:
    """Return all labels that a chain has made so far in one node, ``None`` without any; it is stored if it has ended.

    Of a chain that was killed, or goes on, it is made here and is not stored.
    """
    if 'frames' in chain.outputs:
        made: FramesData = chain.outputs.frames
        return made
    labels = list(labels_given(chain).values())
    if not labels:
        return None
    stacked = Frames.stack([node.frames for node in labels])
    return FramesData.from_frames(stacked, columns([node.base.attributes.all for node in labels]))


def progress_text(chain: WorkChainNode) -> str:
    """Return in words how far a chain is, like ``chain 172 is still labelling into my-labels: 7 of 8``."""
    number, total = len(labels_given(chain)), chain.inputs.frames.n_frames
    into = f' into {chain.inputs.dataset.value}' if 'dataset' in chain.inputs else ''
    if not chain.is_terminated:
        return f'chain {chain.pk} is still labelling{into}: {number} of {total}'
    how = 'was killed' if chain.is_killed else 'has ended'
    return f'chain {chain.pk}, labelling{into}, {how}: {number} of {total}'


def chains_filling(name: str) -> list[WorkChainNode]:
    """Return the chains that have not ended and whose labels join the set of this name."""
    filters = {'process_type': PROCESS_TYPE, 'attributes.process_state': {'in': list(ALIVE)}}
    query = QueryBuilder().append(WorkChainNode, filters=filters, tag='chain', project='*')
    query.append(Str, with_outgoing='chain', filters={'attributes.value': name}, edge_filters={'label': 'dataset'})
    return sorted(query.all(flat=True), key=lambda one: one.pk)
