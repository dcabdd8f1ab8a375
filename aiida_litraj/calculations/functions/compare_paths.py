"""From two optimised paths of one hop to how far one lies from the other."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida.engine import calcfunction
from aiida.orm import Dict

from ...analysis.path_error import compare_paths as compare
from ...data.path import PathData


@calcfunction
def compare_paths(path: PathData, reference: PathData, barrier: Dict, reference_barrier: Dict) -> Dict:
    """Return path error and differences of barriers and energies, of a potential's path against a reference.

    :param path: optimised with the potential; ``reference`` with density functional theory, say, from the same hop.
    :param barrier: the output of ``litraj.extract_barrier`` for each.
    """
    return Dict(describe_difference(path, reference, barrier.get_dict(), reference_barrier.get_dict()))


def describe_difference(
    path: PathData, reference: PathData, barrier: dict[str, Any], reference_barrier: dict[str, Any]
) -> dict[str, Any]:
    """Return the content of the output ``comparison``; energies in eV, lengths in Ang.

    Differences are of the potential minus the reference. ``range_ev`` is LiTraj's barrier, highest minus lowest image;
    ``barrier_ev`` the highest minus the first; ``path_error_ang`` LiTraj's PA_MAE.

    :raises ValueError: if a path has no energies, or they do not have the same images and atoms.
    """
    energies, others = path.energies, reference.energies
    if energies is None or others is None:
        raise ValueError('a path has no energies: it has not been optimised')
    found = compare(
        path.get_positions(), energies, reference.get_positions(), others, reference.cell, reference.pbc, path.mobile
    )
    mobile = found.mobile_errors_ang
    names = ('potential_family', 'potential_name', 'potential_sha256')
    return {
        **{name: barrier.get(name) for name in names},
        **{f'reference_{name}': reference_barrier.get(name) for name in names},
        'converged': barrier['converged'],
        'reference_converged': reference_barrier['converged'],
        'barrier_ev': barrier['barrier_ev'],
        'reference_barrier_ev': reference_barrier['barrier_ev'],
        'barrier_difference_ev': found.barrier_difference_ev,
        'range_ev': barrier['range_ev'],
        'reference_range_ev': reference_barrier['range_ev'],
        'range_difference_ev': found.range_difference_ev,
        'path_error_ang': found.path_error_ang,
        'image_errors_ang': found.image_errors_ang.tolist(),
        'largest_displacement_ang': found.largest_ang,
        'mobile_error_ang': None if mobile is None else float(np.mean(mobile)),
        'mobile_errors_ang': None if mobile is None else mobile.tolist(),
        'energy_differences_ev': found.energy_differences_ev.tolist(),
        'warnings': [
            f'{what} did not converge: the difference is of two unfinished things'
            for what, one in (('the path', barrier), ('the reference', reference_barrier))
            if not one['converged']
        ],
    }
