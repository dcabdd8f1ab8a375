"""From the paths that several potentials have found of one hop to their barriers, beside that of a reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from aiida.engine import calcfunction
from aiida.orm import Dict, Str

from ...analysis.barriers import energy_profile, measure_barrier
from ...analysis.path_error import path_error
from ...analysis.stage_errors import spread
from ...data.path import PathData
from .extract_barrier import describe_barrier

HEIGHTS = ('barrier_ev', 'reverse_barrier_ev', 'reaction_energy_ev', 'range_ev')
AVERAGED = ('barrier_ev', 'barrier_error_ev', 'path_error_ang')
_PROFILE = ('profile_ev', 'distance_ang')
SINGLE_POINTS = (
    'the reference is single points on the path of another potential, not the barrier of its own path: see '
    'litraj.barrier_check'
)


@calcfunction
def compare_hop(
    path: PathData, hop: Str, notes: Dict, reference: PathData | None = None, reference_barrier: Dict | None = None,
    **found: PathData | Dict,
) -> Dict:  # fmt: skip
    """Return the barrier of one hop by each potential, and how far each is from the reference, if there is one.

    :param path: where all of them started.
    :param hop: what the hop is called in the jobs.
    :param notes: ``failed``, by potential why there is no path, and ``warnings``.
    :param reference: the path of the reference, with energies.
    :param reference_barrier: its output ``barrier``, or the output ``check`` of ``litraj.barrier_check``.
    :param found: ``path_<name>`` and ``results_<name>`` of each potential.
    """
    said = None if reference_barrier is None else reference_barrier.get_dict()
    known = describe_reference(reference, said)
    names = [key.removeprefix('results_') for key in found if key.startswith('results_')]
    blocks = {}
    for name in names:
        results, own = found[f'results_{name}'], found.get(f'path_{name}')
        entry = results['items'].get(hop.value, {})
        blocks[name] = describe_one(own, entry, results['audit'] or {}, reference, known)
    blocks |= {name: _none(reason) for name, reason in notes['failed'].items()}
    labels = path.labels
    return Dict(
        {
            'symbols': list(path.symbols),
            'hop': {key: labels.get(key) for key in ('source', 'target', 'offset')} if 'source' in labels else None,
            'mobile_element': labels.get('mobile_element'),
            'n_images': path.n_images,
            'reference': known,
            'potentials': blocks,
            'warnings': [*notes['warnings'], *_warnings(known, blocks)],
        }
    )


def describe_reference(path: PathData | None, said: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return barrier both ways and profile of a reference, ``None`` if there is none; energies in eV.

    :param said: the output ``barrier`` or ``check`` of the chain that computed it.
    :raises ValueError: if the path has no energies, or too few images have a label.
    """
    if path is None and said is None:
        return None
    if path is None and said is not None and 'potential_crest' in said:
        if said['reference'] is None:
            raise ValueError('it has no barrier on single points: an end or the highest image is not labelled')
        points = [one for one in said['images'] if one['reference_ev'] is not None]
        return {
            'kind': 'single_points',
            **{key: said['reference'][key] for key in HEIGHTS},
            'profile_ev': [one['reference_ev'] for one in points],
            'distance_ang': [one['distance_ang'] for one in points],
            'converged': None,
        }
    if path is None:
        assert said is not None
        heights = {key: said[key] for key in (*HEIGHTS, *_PROFILE)}
    else:
        if path.energies is None:
            raise ValueError('its path has no energies, and no barrier to compare with')
        heights = _heights(path)
    return {'kind': 'path', **heights, 'converged': None if said is None else said.get('converged')}


def _heights(path: PathData) -> dict[str, Any]:
    assert path.energies is not None
    profile = energy_profile(path.get_positions(), path.energies, path.image_forces)
    barrier = measure_barrier(profile)
    return {
        **{key: getattr(barrier, key) for key in HEIGHTS},
        'profile_ev': profile.energies_ev.tolist(),
        'distance_ang': profile.coordinate_ang.tolist(),
    }


def describe_one(
    path: PathData | None, entry: Mapping[str, Any], audit: Mapping[str, Any], reference: PathData | None,
    known: Mapping[str, Any] | None,
) -> dict[str, Any]:  # fmt: skip
    """Return the barrier of one potential; errors are potential minus reference, ``None`` where there is none.

    :param entry: of the path among the ``items`` of the job's results.
    """
    if path is None:
        return _none(entry.get('reason') or f'the path is {entry.get("status", "not there")}')
    try:
        own = describe_barrier(path, dict(entry), dict(audit))
    except ValueError as error:
        return _none(str(error))
    away = None
    if reference is not None and (reference.n_images, reference.natoms) == (path.n_images, path.natoms):
        away = path_error(path.get_positions(), reference.get_positions(), reference.cell, reference.pbc)
    return {
        'converged': own['converged'],
        'reason': None if own['converged'] else entry.get('reason'),
        **{key: own[key] for key in (*HEIGHTS, *_PROFILE)},
        'barrier_error_ev': None if known is None else own['barrier_ev'] - known['barrier_ev'],
        'range_error_ev': None if known is None else own['range_ev'] - known['range_ev'],
        'path_error_ang': away,
        'model_calls': own['model_calls'],
        'warnings': [text for text in own['warnings'] if not text.startswith('not converged')],
    }


def _none(reason: str) -> dict[str, Any]:
    """Return what is said of a potential that has no path."""
    unknown = dict.fromkeys((*HEIGHTS, *_PROFILE, 'barrier_error_ev', 'range_error_ev', 'path_error_ang'))
    return {'converged': False, 'reason': reason, **unknown, 'model_calls': None, 'warnings': []}


def _warnings(known: Mapping[str, Any] | None, blocks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    said = []
    if known is not None and known['kind'] == 'single_points':
        said.append(SINGLE_POINTS)
    if known is not None and known['converged'] is False:
        said.append('the reference did not converge')
    for name, one in blocks.items():
        if not one['converged']:
            what = 'no path' if one['barrier_ev'] is None else 'not converged'
            said.append(f'{name}: {what}: {one["reason"]}')
        said += [f'{name}: {text}' for text in one['warnings']]
    return said


def describe_barriers(hops: Mapping[str, Mapping[str, Any]], before: str) -> dict[str, Any] | None:
    """Return what all hops say together: of each its means over repeats, and errors over those that all have found.

    Errors of barriers are averaged over hops with a reference whose paths of all potentials have converged, so that
    all are averaged over the same.

    :param hops: by name what :func:`compare_hop` returns.
    :param before: name of the parent among the potentials; the others are the repeats.
    """
    if not hops:
        return None
    found = {name: {**one, 'fine_tuned': _of_repeats(one['potentials'], before)} for name, one in hops.items()}
    whole = [one for one in hops.values() if all(each['converged'] for each in one['potentials'].values())]
    judged = [one for one in whole if one['reference'] is not None]
    names = {name: None for one in hops.values() for name in one['potentials']}
    repeats = [name for name in names if name != before]
    said: dict[str, Any] = {'n_hops': len(hops), 'n_compared': len(judged)}
    said['n_failed'] = {
        name: sum(not one['potentials'].get(name, {'converged': False})['converged'] for one in hops.values())
        for name in names
    }  # fmt: skip
    for key, mean in (('barrier_error_ev', 'mae_barrier_ev'), ('path_error_ang', 'path_error_ang')):
        values = {name: _mean_size([one['potentials'][name][key] for one in judged]) for name in names}
        own = [values[name] for name in repeats if values[name] is not None]
        said[mean] = {'zero_shot': values.get(before), 'fine_tuned': _spread(own)}
    return {**said, 'hops': found}


def _of_repeats(potentials: Mapping[str, Mapping[str, Any]], before: str) -> dict[str, Any]:
    """Return mean and standard deviation over the repeats that have converged."""
    some = [one for name, one in potentials.items() if name != before and one['converged']]
    return {key: _spread([one[key] for one in some if one[key] is not None]) for key in AVERAGED}


def _spread(values: Sequence[float | None]) -> dict[str, Any] | None:
    known = [one for one in values if one is not None]
    return None if not known else dict(vars(spread(known)))


def _mean_size(values: Sequence[float | None]) -> float | None:
    known = [abs(one) for one in values if one is not None]
    return float(np.mean(known)) if known else None
