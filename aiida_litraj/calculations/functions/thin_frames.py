"""From many configurations to some of them, evenly spaced: as many as one can afford to label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.engine import calcfunction
from aiida.orm import Dict
from pydantic import PositiveInt

from ...contract.base import Model
from ...contract.frames import Frames
from ...data.frames import FramesData
from ..validation import validated

KEPT = ('dataset', 'level', 'sampled_from')
"""Attributes of many configurations that hold for some of them too."""


class Sample(Model):
    """How many configurations at most are labelled; ``None``: all of them."""

    max_frames: PositiveInt | None


@calcfunction
def thin_frames(frames: FramesData, sample: Dict) -> FramesData:
    """Return evenly spaced configurations in their order, the last one among them.

    :param sample: the fields of :class:`Sample`.
    """
    chosen = chosen_frames(frames.n_frames, read_sample(sample.get_dict()))
    attributes = frames.base.attributes.all
    labels = {name: attributes[name] for name in KEPT if name in attributes}
    for name in ('entry_ids', 'material_ids'):
        if len(attributes.get(name) or []) == frames.n_frames:
            labels[name] = [attributes[name][index] for index in chosen]
    every = frames.frames
    return FramesData.from_frames(Frames.stack([every[index] for index in chosen]), labels)


def chosen_frames(n_frames: int, sample: Sample) -> list[int]:
    """Return which of ``n_frames`` are taken: the last of each of as many equal parts as are wanted."""
    wanted = n_frames if sample.max_frames is None else min(sample.max_frames, n_frames)
    return [-(-(part + 1) * n_frames // wanted) - 1 for part in range(wanted)]


def read_sample(values: Mapping[str, Any]) -> Sample:
    """Return a sample from its fields.

    :raises ValueError: naming each field that is missing, not known or out of range.
    """
    return validated(values, Sample, 'sample')
