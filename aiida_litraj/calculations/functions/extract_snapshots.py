"""From a trajectory to some of its frames as configurations: what is to be labelled by a better method, or compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from aiida.engine import calcfunction
from aiida.orm import Dict

from ...contract.units import FEMTOSECONDS_OF_PS
from ...data.frames import FramesData
from ...data.trajectory import MdTrajectoryData
from ..validation import node_hash
from .plan_melt_quench import MeltQuench, read_melt_quench


@calcfunction
def extract_snapshots(trajectory: MdTrajectoryData, schedule: Dict) -> FramesData:
    """Return evenly spaced frames after the start, each with the energy and stress of the potential and its stage.

    Of a replica that died fewer: those that it reached, at the same times. All are of one trajectory, which is called
    after its content: the same way, computed again, has the same name.

    :param schedule: the fields of ``MeltQuench``.
    """
    plan = read_melt_quench(schedule.get_dict())
    chosen = choose(trajectory.times_ps, plan)
    frames = trajectory.frames(chosen)
    info = [{**one, 'stage': stage_at(one['time_fs'] / FEMTOSECONDS_OF_PS, plan)} for one in frames.info]
    way = [f'melt-quench {str(node_hash(trajectory))[:12]}'] * len(chosen)
    return FramesData.from_frames(replace(frames, info=info), {'sampled_from': 'melt-quench', 'trajectory_ids': way})


def choose(times_ps: np.ndarray, plan: MeltQuench) -> list[int]:
    """Return which frames, of times (n,), are nearest to evenly spaced times up to the end of the schedule.

    :raises ValueError: if none was reached.
    """
    last = plan.spans()[-1].stop_ps
    wanted = last * np.arange(1, plan.n_snapshots + 1) / plan.n_snapshots
    reached = wanted[wanted <= times_ps[-1] * (1.0 + 1e-9)]
    after = np.flatnonzero(times_ps > 0.0)
    if not len(after) or not len(reached):
        raise ValueError('no snapshot was reached')
    nearest = after[abs(times_ps[after][:, None] - reached).argmin(axis=0)]
    return [int(frame) for frame in np.unique(nearest)]


def stage_at(time_ps: float, plan: MeltQuench) -> str:
    """Return the name of the stage at a time; one that ends there has it."""
    spans = plan.spans()
    return next((span.name for span in spans if time_ps <= span.stop_ps * (1.0 + 1e-9)), spans[-1].name)
