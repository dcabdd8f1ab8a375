"""From labelled configurations to those that are learnt and those that judge, and nothing torn apart between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiida.engine import calcfunction
from aiida.orm import Dict
from pydantic import Field, NonNegativeInt

from ...analysis.selection import part_by_material
from ...contract.base import Model
from ...contract.frames import Frames
from ...data.frames import FramesData
from ..held_out import HELD_OUT, chemical_systems, groups, origins
from ..validation import validated

OF_ALL = ('dataset', 'datasets', 'level', 'sampled_from')
"""Attributes that hold for a part too."""
OF_EACH = ('entry_ids', 'material_ids', 'trajectory_ids', 'splits')
_ONE = {'material_ids': 'material_id', 'trajectory_ids': 'trajectory_id', 'splits': 'split'}
_KINDS = {
    'materials': 'material or chemical system',
    'trajectories': 'trajectory, or material without known ones',
    'frames': 'configuration',
}


class Split(Model):
    """How configurations are parted: ``held_out`` is what is kept whole, as the input of a training."""

    valid_fraction: float = Field(gt=0.0, lt=1.0)
    seed: NonNegativeInt
    held_out: str


@calcfunction
def split_frames(frames: FramesData, settings: Dict) -> dict[str, FramesData]:
    """Return ``train`` and ``valid``, each configuration in one of them, with its ``origins``.

    :param settings: the fields of :class:`Split`.
    :raises ValueError: if there is too little to be parted.
    """
    return parts_of(frames, read_split(settings.get_dict()))


def parts_of(frames: FramesData, split: Split) -> dict[str, FramesData]:
    """Return the unstored parts; where it can be, what is learnt has all the elements.

    :raises ValueError: if there is too little to be parted.
    """
    fractions = {'train': 1.0 - split.valid_fraction, 'valid': split.valid_fraction}
    kept_whole = groups(frames, split.held_out)
    if len(set(kept_whole)) < len(fractions):
        if frames.n_frames == 1:
            raise ValueError('there is one configuration only, and nothing to be held back: give more of them')
        kind, among = _KINDS[split.held_out], f'{frames.n_frames} configurations'
        weaker = ' or '.join(repr(one) for one in HELD_OUT[HELD_OUT.index(split.held_out) + 1 :])
        remedy = 'give more of them' + (f', or say what else may be new: held_out = {weaker}' if weaker else '')
        raise ValueError(f'{among} of one {kind} ({kept_whole[0]}) cannot be parted without tearing it apart: {remedy}')
    elements = [system.split('-') for system in chemical_systems(frames.shared_frames)]
    made = part_by_material(kept_whole, fractions, split.seed, _KINDS[split.held_out], elements)
    return {name: part_of(frames, [int(index) for index in indices]) for name, indices in made.parts.items()}


def read_split(values: Mapping[str, Any]) -> Split:
    """Return how configurations are parted.

    :raises ValueError: naming each field that is missing, not known or out of range.
    """
    split = validated(values, Split, 'split')
    if split.held_out not in HELD_OUT:
        raise ValueError(f'split.held_out = {split.held_out!r} is not known; there are: {", ".join(HELD_OUT)}')
    return split


def part_of(node: FramesData, indices: Sequence[int]) -> FramesData:
    """Return some configurations of a node, unstored, with what is known of each and where it is from."""
    attributes, frames, places = node.base.attributes, node.shared_frames, origins(node)
    labels: dict[str, Any] = {key: attributes.get(key) for key in OF_ALL if attributes.get(key, None) is not None}
    for key in OF_EACH:
        many, one = attributes.get(key, None), attributes.get(_ONE.get(key, ''), None)
        if many is not None and len(many) == frames.n_frames:
            labels[key] = [many[index] for index in indices]
        elif one is not None:
            labels[key] = [one] * len(indices)
    labels['origins'] = [list(places[index]) for index in indices]
    return FramesData.from_frames(Frames.stack([frames[index] for index in indices]), labels)
