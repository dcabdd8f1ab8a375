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
from ..held_out import chemical_systems
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
    """Return the unstored subsets; those of a repeat are nested, in the order of the configurations.

    Where the smallest would lack elements those configurations come first that bring them, so that all sizes learn, and
    are judged by, the same.
    """
    made: dict[str, FramesData] = {}
    elements = [set(system.split('-')) for system in chemical_systems(frames.shared_frames)]
    for name, seed in seeds.items():
        order = drawn(elements, min(sizes), seed)
        for size in sizes:
            made[subset_name(name, size)] = part_of(frames, sorted(order[:size]))
    return made


def drawn(elements: Sequence[set[str]], least: int, seed: int) -> list[int]:
    """Return configurations in random order, the first ``least`` of them with as many of the elements as there can be.

    :param elements: of each configuration.
    """
    order = [int(one) for one in np.random.default_rng(seed).permutation(len(elements))]
    every = set().union(*elements)
    if set().union(*(elements[one] for one in order[:least])) == every:
        return order
    seen: set[str] = set()
    first = []
    for one in order:
        if elements[one] - seen:
            first.append(one)
            seen |= elements[one]
    chosen = set(first)
    return first + [one for one in order if one not in chosen]


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
