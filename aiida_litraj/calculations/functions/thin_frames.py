"""From many configurations to some of them, evenly spaced: as many as one can afford to label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.engine import calcfunction
from aiida.orm import Dict
from pydantic import PositiveInt

from ...contract.base import Model
from ...data.frames import FramesData
from ..validation import validated
from .split_frames import part_of


class Sample(Model):
    """How many configurations at most are labelled; ``None``: all of them."""

    max_frames: PositiveInt | None


@calcfunction
def thin_frames(frames: FramesData, sample: Dict) -> FramesData:
    """Return evenly spaced configurations in their order, the last one among them, each with its ``origins``.

    :param sample: the fields of :class:`Sample`.
    """
    return part_of(frames, chosen_frames(frames.n_frames, read_sample(sample.get_dict())))


def chosen_frames(n_frames: int, sample: Sample) -> list[int]:
    """Return which of ``n_frames`` are taken: the last of each of as many equal parts as are wanted."""
    wanted = n_frames if sample.max_frames is None else min(sample.max_frames, n_frames)
    return [-(-(part + 1) * n_frames // wanted) - 1 for part in range(wanted)]


def read_sample(values: Mapping[str, Any]) -> Sample:
    """Return a sample from its fields.

    :raises ValueError: naming each field that is missing, not known or out of range.
    """
    return validated(values, Sample, 'sample')
