"""From the replicas of a grid to its cells: who survived, who died when, and how often atoms came too close."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.engine import calcfunction
from aiida.orm import Dict

from ...analysis.robustness import Fate, Outcome, RobustnessGrid, build_grid
from ...contract.md import Death
from ...contract.units import FEMTOSECONDS_OF_PS
from ...data.trajectory import MdTrajectoryData
from .plan_robustness import Grid, read_grid

NO_VERDICT: tuple[Death, ...] = ('neighbours', 'evaluation', 'memory', 'wall_time')
"""Ends that say nothing of what the potential is as physics: the replica counts as not finished.

How many neighbours a density makes goes by the cutoff: to count them would judge two potentials of one trajectory
differently. Whether a collapse is one is said by the volume, the same for all.
"""
FATE = tuple(Fate.__dataclass_fields__)


@calcfunction
def analyse_robustness(grid: Dict, dynamics: Dict, results: Dict, **trajectories: MdTrajectoryData) -> Dict:
    """Return fate of every replica and cells of the grid of one potential.

    :param grid: the fields of ``Grid``.
    :param dynamics: parameters of the job, of which the distance of a contact is taken.
    :param results: the output ``results`` of the job or chain.
    :param trajectories: of the replicas, by name; a replica that died before its first evaluation has none.
    """
    asked = read_grid(grid.get_dict())
    distance = float(dynamics['contact_distance_ang'])
    return Dict(describe_grid(asked, results.get_dict(), trajectories, distance))


def describe_grid(
    grid: Grid, results: Mapping[str, Any], trajectories: Mapping[str, MdTrajectoryData], contact_ang: float
) -> dict[str, Any]:
    """Return the content of the output ``grids``, of one potential.

    :raises ValueError: if there is a result of a replica that the grid does not have.
    """
    strange = sorted(set(results['items']) - set(grid.replicas()))
    if strange:
        raise ValueError(f'results of {strange[0]}, which is not among the replicas of the grid')
    replicas, fates = [], []
    for name, (temperature, pressure, repeat) in grid.replicas().items():
        entry = results['items'].get(name)
        outcome, reason = outcome_of(entry)
        frames, contacts = _contacts(trajectories.get(name), contact_ang)
        fate = Fate(
            temperature_k=temperature,
            pressure_pa=pressure,
            repeat=repeat,
            outcome=outcome,
            time_ps=(entry or {}).get('time_fs', 0.0) / FEMTOSECONDS_OF_PS,
            n_frames=frames,
            frames_with_contact=contacts,
            reason=reason,
        )
        fates.append(fate)
        death = None if entry is None else entry.get('death')
        replicas.append({'id': name, **{field: getattr(fate, field) for field in FATE}, 'death': death})
    found = build_grid(fates, grid.repeats)
    audit = results.get('audit') or {}
    potential = audit.get('potential') or {}
    return {
        **summary(found),
        'duration_ps': grid.duration_ps,
        'repeats': grid.repeats,
        'seed': grid.seed,
        'contact_distance_ang': contact_ang,
        'cells': cells_of(found),
        'replicas': replicas,
        'n_atoms': max((entry.get('n_atoms', 0) for entry in results['items'].values()), default=0),
        'model_calls': audit.get('model_calls'),
        'potential_family': potential.get('family'),
        'potential_name': potential.get('name'),
        'potential_sha256': potential.get('sha256'),
        'engine_version': audit.get('engine_version'),
    }


def outcome_of(entry: Mapping[str, Any] | None) -> tuple[Outcome, str]:
    """Return what became of a replica, and why, from its entry in the results.

    Only a death that is a verdict of physics counts, the same for all potentials: what ran out of time or memory, could
    not be evaluated, had more neighbours than are allowed, or was never begun, is unfinished.
    """
    if entry is None:
        return 'unfinished', 'the job did not get to it'
    if entry['converged']:
        return 'survived', ''
    reason = entry.get('reason') or ''
    dead = entry['status'] == 'failed' and entry.get('death') not in (None, *NO_VERDICT)
    return ('died' if dead else 'unfinished'), reason


def _contacts(trajectory: MdTrajectoryData | None, distance_ang: float) -> tuple[int, int]:
    """Return how many frames there are after the start, and in how many of them two atoms are in contact."""
    if trajectory is None:
        return 0, 0
    closest = trajectory.closest[trajectory.steps > 0]
    return len(closest), int((closest <= distance_ang).sum())


def summary(grid: RobustnessGrid) -> dict[str, Any]:
    """Return a grid in a few numbers."""
    return {
        'temperatures_k': list(grid.temperatures_k),
        'pressures_pa': list(grid.pressures_pa),
        'n_green': grid.count('green'),
        'n_pale': grid.count('pale'),
        'n_white': grid.count('white'),
        'n_open': grid.count('open'),
        'n_survived': grid.n_survived,
        'n_replicas': grid.n_replicas,
    }


def cells_of(grid: RobustnessGrid) -> list[dict[str, Any]]:
    """Return the cells of a grid, by temperature and then pressure."""
    fields = (
        'temperature_k', 'pressure_pa', 'colour', 'n_repeats', 'n_survived', 'n_unfinished', 'n_frames',
        'contact_percent',
    )  # fmt: skip
    return [
        {**{field: getattr(cell, field) for field in fields}, 'text': cell.text, 'deaths_ps': list(cell.deaths_ps)}
        for cell in grid.cells.values()
    ]


def grid_from(content: Mapping[str, Any]) -> RobustnessGrid:
    """Return the grid that a stored output describes, to be drawn."""
    fates = [Fate(**{field: replica[field] for field in FATE}) for replica in content['replicas']]
    return build_grid(fates, content['repeats'])
