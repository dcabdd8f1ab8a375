"""From configurations to learn to nested subsets of them, for how much it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from aiida.engine import calcfunction
from aiida.orm import Dict
from pydantic import Field, PositiveInt

from ...contract.base import Model
from ...data.frames import FramesData
from ..validation import validated
from .split_frames import part_of


class Sizes(Model):
    """How many configurations are learnt, each larger set with all of the smaller."""

    sizes: list[PositiveInt] = Field(min_length=1)


@calcfunction
def draw_subsets(frames: FramesData, settings: Dict, **trainings: Dict) -> dict[str, FramesData]:
    """Return ``<training>_n<size>``: of each repeat its own subsets, drawn with its seed, each with its ``origins``.

    :param settings: the fields of :class:`Sizes`.
    :param trainings: repeats, with a ``seed`` each.
    """
    sizes = read_sizes(settings.get_dict()).sizes
    return subsets_of(frames, sizes, {name: int(one['seed']) for name, one in trainings.items()})


def subsets_of(frames: FramesData, sizes: Sequence[int], seeds: Mapping[str, int]) -> dict[str, FramesData]:
    """Return the unstored subsets; those of a repeat are nested, in the order of the configurations."""
    made: dict[str, FramesData] = {}
    for name, seed in seeds.items():
        order = np.random.default_rng(seed).permutation(frames.n_frames)
        for size in sizes:
            made[subset_name(name, size)] = part_of(frames, sorted(int(one) for one in order[:size]))
    return made


def subset_name(training: str, size: int) -> str:
    """Return what the subset of a repeat is called, and the training on it."""
    return f'{training}_n{size}'


def read_sizes(values: Mapping[str, Any]) -> Sizes:
    """Return the sizes.

    :raises ValueError: naming what is missing, not known or out of range, or a size that is given twice.
    """
    found = validated(values, Sizes, 'settings')
    if len(set(found.sizes)) < len(found.sizes):
        raise ValueError(f'settings.sizes = {found.sizes}: each size once')
    return found
