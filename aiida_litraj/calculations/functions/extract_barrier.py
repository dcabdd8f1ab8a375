"""From an optimised path to its barrier."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida.engine import ExitCode, calcfunction
from aiida.orm import Dict, Str

from ...analysis import Barrier, energy_profile, measure_barrier
from ...analysis.hops import LONG_HOP_ANG
from ...contract.arrays import Array
from ...contract.errors import BY_LABEL
from ...data.path import PathData

SPLINE_EXCESS_EV = 0.01
"""A spline that tops the highest image by more says that the saddle lies between the images."""


@calcfunction
def extract_barrier(path: PathData, results: Dict, item: Str | None = None) -> Dict | ExitCode:
    """Return barrier both ways, reaction energy, profile and what is to be said of them.

    A band that has collapsed, two of its images being one, has no profile: then the exit code says so.

    :param path: an optimised path, with energies.
    :param results: the output ``results`` of the job or chain that optimised it.
    :param item: name of the path among ``results``; not needed if there is only one.
    """
    items = results['items']
    name = item.value if item else next(iter(items))
    try:
        return Dict(describe_barrier(path, items[name], results['audit'] or {}))
    except ValueError as error:
        code = BY_LABEL['ERROR_NOT_CONVERGED']
        return ExitCode(code.status, f'the path has no barrier: {error}')


def describe_barrier(path: PathData, entry: dict[str, Any], audit: dict[str, Any]) -> dict[str, Any]:
    """Return the content of the output ``barrier``; energies in eV, lengths in Ang.

    :raises ValueError: if the path has no energies.
    """
    energies, displacement = path.energies, path.hop_displacement
    if energies is None:
        raise ValueError('the path has no energies: it has not been optimised')
    profile = energy_profile(path.get_positions(), energies, path.image_forces)
    barrier = measure_barrier(profile)
    potential = audit.get('potential', {})
    return {
        'converged': entry['converged'],
        'barrier_ev': barrier.barrier_ev,
        'reverse_barrier_ev': barrier.reverse_barrier_ev,
        'reaction_energy_ev': barrier.reaction_energy_ev,
        'range_ev': barrier.range_ev,
        'spline_barrier_ev': barrier.spline_barrier_ev,
        'saddle_image': barrier.saddle_image,
        'profile_ev': profile.energies_ev.tolist(),
        'distance_ang': profile.coordinate_ang.tolist(),
        'hop_displacement_ang': None if displacement is None else displacement.tolist(),
        'n_images': path.n_images,
        'natoms': path.natoms,
        'n_steps': entry['n_steps'],
        'fmax_ev_per_ang': entry['fmax_ev_per_ang'],
        'model_calls': entry['band_calls'] + entry['endpoint_calls'] + entry['saddle_calls'],
        'negative_modes': entry['negative_modes'],
        'potential_family': potential.get('family'),
        'potential_name': potential.get('name'),
        'potential_sha256': potential.get('sha256'),
        'engine_version': audit.get('engine_version'),
        'warnings': [*hop_warnings(displacement), *barrier_warnings(barrier, path.n_images, entry)],
    }


def hop_warnings(displacement: Array | None) -> list[str]:
    """Return what is odd about a hop itself, from its displacement (3,) in Ang."""
    way = 0.0 if displacement is None else float(np.linalg.norm(displacement))
    if way <= LONG_HOP_ANG:
        return []
    return [
        f'the hop is {way:.2f} Ang long, more than the {LONG_HOP_ANG:g} Ang between neighbours: is the offset of the '
        'target meant? "aiida-litraj hops" lists the hops between neighbours'
    ]


def barrier_warnings(barrier: Barrier, n_images: int, entry: dict[str, Any]) -> list[str]:
    """Return what a person should know before using the barrier."""
    warnings = []
    if not entry['converged']:
        warnings.append(f'not converged: {entry["reason"]}')
    if barrier.saddle_image in (0, n_images - 1):
        warnings.append('the highest image is an end of the path: there is no barrier between the ends')
    elif barrier.spline_barrier_ev - barrier.barrier_ev > SPLINE_EXCESS_EV:
        excess = barrier.spline_barrier_ev - barrier.barrier_ev
        warnings.append(f'the profile rises {excess:.3f} eV above the highest image: use more images, or let it climb')
    if barrier.n_minima:
        warnings.append(
            f'the profile has {_minima(barrier.n_minima)} between the ends: the hop goes in several steps, compute '
            'them one by one'
        )
    if entry['converged'] and not entry.get('energy_settled', True):
        warnings.append('the forces converged, the energies may not have: raise max_steps, or compare protocol tight')
    if entry.get('saddle_check_converged') is False:
        warnings.append('the saddle check did not converge: raise parameters.verify_saddle.max_iterations')
    if entry['negative_modes'] not in (None, 1):
        warnings.append(f'the highest image has {_at_least(entry)} negative modes, a saddle has one')
    return warnings


def _minima(count: int) -> str:
    return 'a minimum' if count == 1 else f'{count} minima'


def _at_least(entry: dict[str, Any]) -> str:
    """Return the number of negative modes, as a lower bound where all of those searched for are negative."""
    count = entry['negative_modes']
    return f'at least {count}' if count == len(entry['lowest_curvatures_ev_per_ang2'] or ()) else str(count)
