"""From labelled configurations to all of them in one node, and what became of each that was asked for.

Of a large batch this is made in two tiers, of blocks and of the blocks together: thousands of nodes are too many for
one calculation function, and a block can be put together while others are computed.
"""

from __future__ import annotations

from typing import Any

from aiida.engine import calcfunction
from aiida.orm import Data, Dict

from ...analysis.label_warnings import pressure_warning
from ...contract.frames import Frames
from ...data.frames import FramesData


@calcfunction
def gather_labels(about: Dict, **labels: FramesData) -> dict[str, Any]:
    """Return ``frames``, the labelled configurations in the order of their names, and ``report``.

    Without any label there is a report alone.

    :param about: what the report says: ``items`` by name, ``level``, ``backend``, ``settings``.
    """
    said = about.get_dict()
    said |= {'n_total': len(said['items']), 'n_labelled': len(labels)}
    made: dict[str, Any] = {}
    if labels:
        ordered = [labels[name] for name in sorted(labels)]
        facts = columns([node.base.attributes.all for node in ordered])
        stacked = Frames.stack([node.frames for node in ordered])
        made['frames'] = FramesData.from_frames(stacked, facts)
        said['warnings'] = with_pressures(said, stacked, facts)
    made['report'] = Dict(said)
    return made


def with_pressures(said: dict[str, Any], frames: Frames, facts: dict[str, Any]) -> list[str]:
    """Return the warnings of a report with that of pressures that no crystal has."""
    told = pressure_warning(frames, facts['entry_ids'])
    return [*said.get('warnings', []), *([] if told is None else [told])]


@calcfunction
def join_labels(about: Dict, **blocks: Data) -> dict[str, Any]:
    """Return ``frames`` and ``report`` of several blocks, as :func:`gather_labels` returns them of all their labels.

    :param about: what the report says of all: ``level``, ``backend``, ``settings``, ``warnings``.
    :param blocks: ``frames_N`` and ``report_N`` of each; the names are in the order of the blocks.
    """
    items: dict[str, Any] = {}
    for name in sorted(name for name in blocks if name.startswith('report_')):
        items |= blocks[name]['items']
    parts = [blocks[name] for name in sorted(blocks) if name.startswith('frames_')]
    said = {**about.get_dict(), 'items': items, 'n_total': len(items), 'n_labelled': sum(one.n_frames for one in parts)}
    made: dict[str, Any] = {}
    if parts:
        facts = columns([one for part in parts for one in rows(part)])
        stacked = Frames.stack([part.frames for part in parts])
        made['frames'] = FramesData.from_frames(stacked, facts)
        said['warnings'] = with_pressures(said, stacked, facts)
    made['report'] = Dict(said)
    return made


def rows(node: FramesData) -> list[dict[str, Any]]:
    """Return of a node what single ones would say of each of its configurations: the inverse of :func:`columns`."""
    facts = node.base.attributes.all
    splits = facts.get('splits') or [facts.get('split')] * node.n_frames
    trajectories = facts.get('trajectory_ids') or [None] * node.n_frames
    every = zip(
        facts['entry_ids'], facts['material_ids'], facts['indices'], facts['kpoint_meshes'], splits, trajectories,
        strict=True,
    )  # fmt: skip
    return [
        {
            'entry_id': entry_id, 'material_id': material_id, 'indices': [index],
            'level': {**facts['level'], 'kpoint_mesh': mesh}, 'split': split, 'dataset': facts.get('dataset'),
            'trajectory_id': trajectory,
        }
        for entry_id, material_id, index, mesh, split, trajectory in every
    ]  # fmt: skip


def columns(facts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what single nodes say of their configurations, in lists, and once what holds for all.

    :param facts: attributes of each.
    """
    meshes = [one['level']['kpoint_mesh'] for one in facts]
    level = {**facts[0]['level'], 'kpoint_mesh': meshes[0] if all(mesh == meshes[0] for mesh in meshes) else None}
    level['pseudopotentials'] = {
        symbol: name for one in facts for symbol, name in one['level']['pseudopotentials'].items()
    }
    found: dict[str, Any] = {
        'entry_ids': [one['entry_id'] for one in facts],
        'material_ids': [one.get('material_id') for one in facts],
        'indices': [one['indices'][0] for one in facts],
        'kpoint_meshes': meshes,
        'level': level,
    }
    for one_name, name in (('split', 'splits'), ('trajectory_id', 'trajectory_ids')):
        values = [one.get(one_name) for one in facts]
        if any(values):  # of each, as a selection has them
            found[name] = values
    for shared in ('dataset', 'split'):
        different = {one.get(shared) for one in facts}
        if len(different) == 1 and None not in different:
            found[shared] = facts[0][shared]
    return found
