"""From the errors of potentials that have learnt more and more to how fast these fall."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida.engine import calcfunction
from aiida.orm import Dict

from ...analysis.power_law import fit_power_law
from ...data.frames import FramesData
from .compare_finetuned import NUMBERS, ZERO_SHOT, spreads
from .draw_subsets import read_sizes

MEV = 1000.0
RMSE = 'rmse_force_mev_per_ang'
N_FRAMES = 'n_frames_force'
INTERVALS = tuple(f'{key}_interval' for key in NUMBERS)


@calcfunction
def compare_sizes(settings: Dict, test: FramesData, **errors: Dict) -> Dict:
    """Return errors by the number of configurations that were learnt, their spread over repeats, and a power law.

    :param settings: sizes, as :class:`Sizes`.
    :param test: what the errors are of.
    :param errors: as ``litraj.evaluate`` has them, by ``<training>_n<size>``, and ``zero_shot`` of a parent.
    """
    found = {name: one.get_dict() for name, one in errors.items()}
    return Dict(describe(read_sizes(settings.get_dict()).sizes, found) | {'rms_force_mev_per_ang': rms_force(test)})


def describe(sizes: list[int], errors: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what is said of each size, in their order, and of all."""
    by_size: dict[int, dict[str, Any]] = {size: {} for size in sorted(sizes)}
    for name, one in errors.items():
        if name != ZERO_SHOT:
            by_size[int(name.rpartition('_n')[2])][name] = numbers(one)
    fewer = judged_on_fewer(errors)
    points = [
        (size, one[RMSE])
        for size, several in by_size.items()
        for name, one in several.items()
        if one[RMSE] and name not in fewer
    ]
    law = fit_power_law([size for size, _ in points], [error for _, error in points])
    lacking = [size for size, several in by_size.items() if not several]
    first = next(iter(errors.values()), None)
    return {
        'sizes': [{'n_train': size, **spreads(list(one.values())), 'trainings': one} for size, one in by_size.items()],
        'zero_shot': numbers(errors[ZERO_SHOT]) if ZERO_SHOT in errors else None,
        'power_law': None if law is None else {
            'prefactor_mev_per_ang': law.prefactor, 'exponent': law.exponent, 'exponent_error': law.exponent_error,
        },
        'n_test': None if first is None else first['n_frames'],
        'unit': None if first is None else first['unit'],
        'warnings': [
            *(f'no training on {size} configurations came to its end' for size in lacking),
            *(f'{name}: {text}, and it is not in the power law' for name, text in fewer.items()),
        ],
    }  # fmt: skip


def numbers(errors: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of a potential that count, with their intervals."""
    return {key: errors.get(key) for key in (*NUMBERS, *INTERVALS, N_FRAMES)}


def judged_on_fewer(errors: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return potentials whose forces are of fewer configurations than those of others, with that in words."""
    counts = {name: int(one[N_FRAMES]) for name, one in errors.items()}
    most = max(counts.values(), default=0)
    return {
        name: f'its force error is of {number} configurations, that of others of {most}: they are not alike'
        for name, number in counts.items()
        if number < most
    }


def rms_force(frames: FramesData) -> float | None:
    """Return the root mean square of the components of the forces: the error of who says that there are none."""
    forces = frames.frames.forces
    known = np.zeros(0) if forces is None else forces[np.isfinite(forces)]
    return float(MEV * np.sqrt(np.square(known).mean())) if len(known) else None
