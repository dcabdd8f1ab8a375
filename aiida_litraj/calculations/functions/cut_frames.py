"""From a large block of configurations to pieces for jobs beside each other, and from their answers to one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from aiida.engine import calcfunction
from aiida.orm import Dict

from ...contract.frames import Frames
from ...data.frames import FramesData
from ...parsers.evaluate import FAILED, attributes

MISSING = 'its piece of the block was not evaluated'


@calcfunction
def cut_frames(frames: FramesData, settings: Dict) -> dict[str, FramesData]:
    """Return the pieces of a block, ``piece_00000`` and so on, its configurations in their order.

    :param settings: ``piece_atoms``, how many atoms a piece has at most, unless one configuration has more.
    """
    content = frames.frames
    edges = edges_of(content.offsets, settings['piece_atoms'])
    return {
        f'piece_{number:05d}': FramesData.from_frames(part(content, first, last))
        for number, (first, last) in enumerate(pairwise(edges))
    }


def edges_of(offsets: npt.NDArray[np.int64], piece_atoms: int) -> list[int]:
    """Return where a block is cut, as numbers of configurations, both ends included.

    Only the sizes of the configurations matter, so that a block is cut alike by every launch.
    """
    n_frames, edges = len(offsets) - 1, [0]
    while edges[-1] < n_frames:
        last = int(np.searchsorted(offsets, offsets[edges[-1]] + piece_atoms, side='right')) - 1
        edges.append(min(max(last, edges[-1] + 1), n_frames))
    return edges


def part(frames: Frames, first: int, last: int) -> Frames:
    """Return the configurations from ``first`` to before ``last`` as they are, without what is known of them."""
    start, end = int(frames.offsets[first]), int(frames.offsets[last])
    return Frames(
        offsets=frames.offsets[first : last + 1] - start,
        numbers=frames.numbers[start:end],
        positions=frames.positions[start:end],
        cells=frames.cells[first:last],
        pbc=frames.pbc[first:last],
        info=[{}] * (last - first),
    )


@calcfunction
def join_predictions(frames: FramesData, about: Dict, **pieces: FramesData) -> FramesData:
    """Return the predictions of a block from those of its pieces, NaN with a reason where one is missing.

    :param frames: the block.
    :param about: ``pieces``, a list with ``name`` and ``n_frames`` of each, in their order.
    """
    return FramesData.from_frames(joined(frames.frames, about['pieces'], pieces), attributes(frames))


def joined(given: Frames, order: Sequence[Mapping[str, Any]], pieces: Mapping[str, FramesData]) -> Frames:
    """Return the configurations of a block with what is predicted of them, in their order."""
    energies, forces = np.full(len(given), np.nan), np.full(given.positions.shape, np.nan)
    stresses, info = np.full((len(given), 6), np.nan), [{FAILED: MISSING} for _ in range(len(given))]
    first = 0
    for piece in order:
        last = first + piece['n_frames']
        if piece['name'] in pieces:
            said = pieces[piece['name']].frames
            energies[first:last] = said.energies
            forces[given.offsets[first] : given.offsets[last]] = said.forces
            if said.stresses is not None:
                stresses[first:last] = said.stresses
            info[first:last] = said.info
        first = last
    return Frames(
        offsets=given.offsets,
        numbers=given.numbers,
        positions=given.positions,
        cells=given.cells,
        pbc=given.pbc,
        energies=energies,
        forces=forces,
        stresses=stresses if np.isfinite(stresses).any() else None,
        info=info,
    )
