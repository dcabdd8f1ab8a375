"""From a trajectory to one of its structures, to go on from: the graph knows then where it is from."""

from __future__ import annotations

from aiida.engine import calcfunction
from aiida.orm import Int, StructureData

from ...data.trajectory import MdTrajectoryData


@calcfunction
def extract_frame(trajectory: MdTrajectoryData, frame: Int | None = None) -> StructureData:
    """Return a frame as a structure, wrapped into the cell; without ``frame`` the last step.

    The last step is in double precision and has velocities, so it is what a new schedule goes on from. Of numbers in a
    structure AiiDA keeps 14 digits.

    :param frame: its number from 0, or below 0 from the last one, -1.
    :raises IndexError: if there is no such frame.
    :raises ValueError: if the end is asked for of a replica that was cut off.
    """
    return trajectory.end_structure() if frame is None else trajectory.step_structure(frame.value)
