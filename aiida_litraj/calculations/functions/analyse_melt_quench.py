"""From the trajectory of a melt-quench to the structure of each of its stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from aiida.engine import ExitCode, calcfunction
from aiida.orm import ArrayData, Dict
from ase.data import atomic_numbers
from pydantic import Field, PositiveFloat, field_validator

from ...analysis.melt_quench import Stage, analyse_stage, density
from ...analysis.motifs import Motifs
from ...analysis.rdf import RadialDistribution
from ...contract.arrays import Array
from ...contract.base import Model
from ...contract.errors import BY_LABEL
from ...contract.units import FEMTOSECONDS_OF_PS
from ...data.trajectory import MdTrajectoryData
from ..validation import validated
from .plan_melt_quench import MeltQuench, Span, read_melt_quench

COUNTS = ('ps4', 'p2s7', 'p2s6', 'other', 'free_sulfur')
"""Rows of the array ``motifs_<stage>``: for each frame numbers of anions, of P in others, of S without P."""
TEMPERATURE_MISS = 0.2
"""Share of the target by which the mean temperature of a stage may miss it: the fluctuations of even ten atoms in one
instant are of this size, so that a mean that is further off was not held."""


class AnalysisRequest(Model):
    """How structures are analysed: radial distributions up to a distance, in shells, and cutoffs of neighbours.

    ``averaged_share``: everything is averaged over the last part of each stage, of this share of its time, so that a
    melt is not averaged with its melting. ``cutoffs_ang``: of pairs of elements such as ``Li-S`` (S around Li).
    """

    averaged_share: float = Field(gt=0.0, le=1.0)
    max_distance_ang: PositiveFloat
    shell_ang: PositiveFloat
    cutoffs_ang: dict[str, PositiveFloat]

    @field_validator('cutoffs_ang')
    @classmethod
    def _pairs(cls, values: dict[str, float]) -> dict[str, float]:
        for name in values:
            pair = name.split('-')
            if len(pair) != 2 or any(atomic_numbers.get(symbol, 0) < 1 for symbol in pair):
                raise ValueError(f'{name!r} is not a pair of elements such as P-S')
        return values


@calcfunction
def analyse_melt_quench(trajectory: MdTrajectoryData, schedule: Dict, analysis: Dict) -> dict[str, Any] | ExitCode:
    """Return ``stages``, means and shares of each stage with warnings, and ``distributions``, its arrays.

    Arrays: ``edges_ang`` (n + 1,); for each stage and pair of elements ``g_<stage>_<A>_<B>`` and
    ``neighbours_<stage>_<A>_<B>`` (n,); ``motifs_<stage>`` (5, frames), rows as in ``COUNTS``. A stage whose last part,
    which is averaged over, a replica that died did not reach is missing.

    :param schedule: the fields of ``MeltQuench``.
    :param analysis: the fields of :class:`AnalysisRequest`.
    """
    plan, asked = read_melt_quench(schedule.get_dict()), read_analysis(analysis.get_dict())
    try:
        stages = stages_of(trajectory, plan, asked)
    except ValueError as error:  # a cell that has collapsed; trajectory and snapshots are still worth having
        return ExitCode(BY_LABEL['ERROR_UNSTABLE'].status, f'the stages cannot be analysed: {error}')
    arrays = ArrayData()
    for stage in stages:
        for name, values in _arrays(stage).items():
            arrays.set_array(name, values)
    parts = {span.name: span.last(asked.averaged_share) for span in plan.spans()}
    described = [_describe(stage, trajectory, parts[stage.name]) for stage in stages]
    facts = {'stages': described, 'formula': trajectory.base.attributes.get('formula'), 'n_atoms': trajectory.n_atoms}
    warnings = [warning for stage in described if (warning := _missed(stage))]
    chosen = {'cutoffs_ang': asked.cutoffs_ang, 'averaged_share': asked.averaged_share}
    return {'stages': Dict({**facts, **chosen, 'warnings': warnings}), 'distributions': arrays}


def stages_of(trajectory: MdTrajectoryData, plan: MeltQuench, asked: AnalysisRequest) -> list[Stage]:
    """Return the structure of the stages that have frames in their last part; the start belongs to none."""
    times, positions, cells = trajectory.times_ps, trajectory.positions, trajectory.cells
    found = []
    for span in plan.spans():
        of_stage = np.flatnonzero(_inside(times, span.last(asked.averaged_share)))
        if not len(of_stage):
            continue
        frames = positions[of_stage].astype(float)
        chosen = (asked.max_distance_ang, asked.shell_ang, asked.cutoffs_ang)
        found.append(
            analyse_stage(
                span.name, trajectory.symbols, times[of_stage], frames, cells[of_stage], trajectory.pbc, *chosen
            )
        )
    return found


def _arrays(stage: Stage) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    for (one, other), found in stage.distributions.items():
        arrays['edges_ang'] = found.edges_ang
        arrays[f'g_{stage.name}_{one}_{other}'] = found.g
        arrays[f'neighbours_{stage.name}_{one}_{other}'] = found.neighbours
    if stage.motifs is not None:
        arrays[f'motifs_{stage.name}'] = np.array([getattr(stage.motifs, name) for name in COUNTS])
    return arrays


def _describe(stage: Stage, trajectory: MdTrajectoryData, part: Span) -> dict[str, Any]:
    """Return a stage in numbers: means over the thermodynamic records of a part of it, coordination, anions."""
    series = trajectory.thermo[_inside(trajectory.thermo['time_fs'] / FEMTOSECONDS_OF_PS, part)]
    motifs = stage.motifs
    return {
        'name': stage.name,
        'start_ps': stage.start_ps,
        'stop_ps': stage.stop_ps,
        'n_frames': stage.n_frames,
        'temperature_k': _mean(series['temperature_k']),
        'target_temperature_k': _mean(series['target_temperature_k']),
        'pressure_gpa': _mean(series['pressure_gpa']),
        'density_g_per_cm3': _mean(density(trajectory.symbols, series['volume_ang3'])),
        'coordination': {
            pair: {'mean': sum(number * share for number, share in shares.items()), 'shares': _texts(shares)}
            for pair, shares in stage.coordination.items()
        },
        'n_phosphorus': None if motifs is None else motifs.n_phosphorus,
        'motifs': None if motifs is None else {name: float(getattr(motifs, name).mean()) for name in COUNTS},
        'motif_shares': None if motifs is None else motifs.shares(),
    }


def _missed(stage: Mapping[str, Any]) -> str | None:
    """Return a warning if the mean temperature of a stage is not what was asked for."""
    mean, target = stage['temperature_k'], stage['target_temperature_k']
    if mean is None or target is None or abs(mean - target) <= TEMPERATURE_MISS * target:
        return None
    return (
        f'{stage["name"]}: the mean temperature is {mean:.0f} K, {target:.0f} K was asked for: the start was far from '
        'equilibrium, or the thermostat too slow for the stage; take longer stages, or relax the start first'
    )


def _texts(shares: Mapping[int, float]) -> dict[str, float]:
    return {str(number): share for number, share in shares.items()}


def _inside(times_ps: Array, span: Span) -> npt.NDArray[np.bool_]:
    """Return which times are in a part of the schedule: its end is, its start belongs to what was before."""
    return np.asarray((times_ps > span.start_ps * (1.0 + 1e-9)) & (times_ps <= span.stop_ps * (1.0 + 1e-9)))


def _mean(values: Any) -> float | None:
    return float(np.mean(values)) if len(values) and np.isfinite(values).all() else None


def stages_from(content: Mapping[str, Any], distributions: ArrayData) -> list[Stage]:
    """Return the stages that stored outputs describe, to be drawn."""
    names = distributions.get_arraynames()
    return [_stage_from(entry, distributions, names) for entry in content['stages']]


def _stage_from(entry: Mapping[str, Any], distributions: ArrayData, names: list[str]) -> Stage:
    name, edges, found = entry['name'], distributions.get_array('edges_ang'), {}
    for array in names:
        if array.startswith(f'g_{name}_'):
            one, other = array.removeprefix(f'g_{name}_').split('_')
            neighbours = distributions.get_array(f'neighbours_{name}_{one}_{other}')
            g = distributions.get_array(array)
            found[one, other] = RadialDistribution(one, other, edges, g, neighbours)
    motifs = None
    if entry['motifs'] is not None:
        motifs = Motifs(*distributions.get_array(f'motifs_{name}'), n_phosphorus=entry['n_phosphorus'])
    return Stage(
        name=name,
        start_ps=entry['start_ps'],
        stop_ps=entry['stop_ps'],
        n_frames=entry['n_frames'],
        distributions=found,
        coordination={
            pair: {int(number): share for number, share in one['shares'].items()}
            for pair, one in entry['coordination'].items()
        },
        motifs=motifs,
    )


def read_analysis(values: Mapping[str, Any]) -> AnalysisRequest:
    """Return how structures are analysed.

    :raises ValueError: naming each field that is missing, not known or out of range.
    """
    return validated(values, AnalysisRequest, 'analysis')
