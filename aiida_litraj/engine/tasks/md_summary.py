"""What the records of a replica say in a few numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...contract.md import SegmentResult
from ...contract.trajectory import Records
from ...contract.units import FEMTOSECONDS_OF_PS
from ..core.dynamics.schedule import Schedule

_FEWEST_FOR_A_SLOPE = 3


def segment_results(
    thermo: Records, schedule: Schedule, n_steps: int, timestep_fs: float, n_atoms: int
) -> list[SegmentResult]:
    """Return the averages over each segment that was begun, of a replica which has done ``n_steps``."""
    found = []
    starts = [0, *schedule.ends[:-1]]
    for start, end in zip(starts, schedule.ends):
        if start and n_steps <= start:
            break
        within = (thermo['step'] > start) & (thermo['step'] <= end)
        if not start:
            within |= thermo['step'] == 0
        found.append(_averages(thermo[within], (min(n_steps, end) - start) * timestep_fs, n_atoms))
    return found


def _averages(samples: Records, time_fs: float, n_atoms: int) -> SegmentResult:
    values: dict[str, Any] = {}
    for name, unit in (('temperature', 'k'), ('pressure', 'gpa'), ('volume', 'ang3')):
        quantity = samples[f'{name}_{unit}']
        if len(quantity) and np.isfinite(quantity).all():
            values[f'{name}_{unit}'] = float(quantity.mean())
            values[f'{name}_std_{unit}'] = float(quantity.std())
    if len(samples):
        values['energy_ev'] = float(samples['energy_ev'].mean())
        values['drift_ev_per_atom_ps'] = _drift(samples, n_atoms)
    return SegmentResult(time_fs=time_fs, n_samples=len(samples), **values)


def _drift(samples: Records, n_atoms: int) -> float | None:
    """Return the slope of the conserved quantity in eV per atom and ps, ``None`` where there is none to tell."""
    conserved: npt.NDArray[np.float64] = samples['conserved_ev']
    if len(conserved) < _FEWEST_FOR_A_SLOPE or not np.isfinite(conserved).all():
        return None
    return float(np.polyfit(samples['time_fs'] / FEMTOSECONDS_OF_PS, conserved / n_atoms, 1)[0])
