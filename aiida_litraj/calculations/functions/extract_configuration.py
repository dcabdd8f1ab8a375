"""From configurations to one of them as a structure, as the codes of others take it."""

from __future__ import annotations

from aiida.engine import calcfunction
from aiida.orm import Int, StructureData
from ase import Atoms

from ...contract.frames import Frames
from ...data.frames import FramesData


@calcfunction
def extract_configuration(frames: FramesData, index: Int) -> StructureData:
    """Return one configuration as a structure: atoms in their order, positions not wrapped.

    AiiDA keeps 14 digits of the numbers of a structure, so that an atom at 10 Ang may be 5e-13 Ang off its place.

    :param index: its number from 0.
    :raises IndexError: if there is no such configuration.
    """
    return structure_of(frames.shared_frames[index.value])


def structure_of(frame: Frames) -> StructureData:
    """Return a single configuration as an unstored structure."""
    return StructureData(ase=Atoms(frame.numbers, positions=frame.positions, cell=frame.cells[0], pbc=frame.pbc[0]))
