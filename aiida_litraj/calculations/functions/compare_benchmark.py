"""From the paths that a potential has found of a set of hops to how good it is, beside the paths of a reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.engine import calcfunction
from aiida.orm import Data, Dict
from ase.formula import Formula

from ...analysis.benchmark_errors import DEFINITIONS, barrier_of
from ...analysis.benchmark_numbers import (
    COVERS_NOT,
    PUBLISHED,
    UNFINISHED,
    BenchmarkSettings,
    JudgedHop,
    benchmark_numbers,
    is_judged,
    own_error,
)
from ...analysis.path_error import litraj_path_error
from ...data.path import PathData
from ...data.potential import PotentialData
from ..validation import validated

SCHEMA_VERSION = 1
GUESSED = {'em_bvse': 'range'}
"""Property of an entry that is the barrier of its initial images -> the definition that it is by."""


@calcfunction
def compare_benchmark(about: Dict, results: Dict, potential: PotentialData, **paths: PathData | Dict) -> Dict:
    """Return how good a potential is on a set of hops.

    :param about: ``materials`` by hop, ``settings`` (``BenchmarkSettings``), ``reference``, ``protocol``,
        ``parameters`` and ``not_covered``, by hop the elements that the potential lacks.
    :param results: the account of its paths.
    :param paths: ``reference_<hop>`` and ``initial_<hop>`` of each hop, ``path_<hop>`` of those that it found,
        ``tight_<hop>`` of the sample that it converged tightly, and ``results_tight``, the account of these.
    """
    return Dict(describe_benchmark(about.get_dict(), results.get_dict(), potential, paths))


def describe_benchmark(
    about: Mapping[str, Any], results: Mapping[str, Any], potential: PotentialData, nodes: Mapping[str, Data]
) -> dict[str, Any]:
    """Return the content of an output ``benchmark``; numbers are over the hops that were brought to their end."""
    settings = read_settings(about['settings'])
    hops = {name: describe_hop(name, about, results, nodes) for name in about['materials']}
    judged = [judged_hop(name, hop, nodes[f'reference_{name}']) for name, hop in hops.items() if is_judged(hop)]
    error, why = own_error(judged, _tight(nodes), settings)
    numbers = benchmark_numbers(judged, settings) if judged else dict.fromkeys(
        ('errors', 'classification', 'floors', 'groups')
    )  # fmt: skip
    audit = results['audit'] or {}
    known = audit.get('potential', {})
    return {
        'schema_version': SCHEMA_VERSION,
        'potential': {
            'family': potential.family,
            'name': known.get('name'),
            'sha256': known.get('sha256'),
            'label': potential.label or None,
            'uuid': potential.uuid,
        },
        'protocol': about['protocol'],
        'parameters': about['parameters'],
        'settings': settings.model_dump(mode='json'),
        'threshold_ev': settings.threshold_ev,
        'reference': about['reference'],
        'n_paths': len(judged),
        'n_unfinished': len(hops) - len(judged),
        'n_converged': sum(hop.converged for hop in judged),
        'n_materials': len({hop.material for hop in judged}),
        **numbers,
        'protocol_error': error,
        'protocol_error_reason': why,
        'cost': _cost(results, nodes),
        'audit': audit,
        'hops': hops,
    }


def describe_hop(
    name: str, about: Mapping[str, Any], results: Mapping[str, Any], nodes: Mapping[str, Data]
) -> dict[str, Any]:
    """Return what became of a hop, with its barriers by both definitions and the uuids of its paths.

    One that was given up for a fault, which is no verdict on it, is ``unfinished``, with its label and reason.
    """
    path, reference, initial = nodes.get(f'path_{name}'), nodes[f'reference_{name}'], nodes[f'initial_{name}']
    assert isinstance(reference, PathData) and isinstance(initial, PathData)
    entry = results['items'].get(name, {})
    lacking = about['not_covered'].get(name)
    if lacking is not None:
        entry = {
            'status': COVERS_NOT,
            'label': 'ERROR_ELEMENTS_NOT_COVERED',
            'reason': f'the potential does not cover {", ".join(lacking)}',
        }
    found = path if isinstance(path, PathData) and path.energies is not None else None
    calls = [entry.get(key, 0) for key in ('band_calls', 'endpoint_calls', 'saddle_calls')]
    barriers = _barriers(found)
    guess = _barriers(initial if initial.energies is not None else None)
    guess |= {
        f'{definition}_ev': float(initial.labels[key])
        for key, definition in GUESSED.items()
        if isinstance(initial.labels.get(key), int | float) and guess[f'{definition}_ev'] is None
    }
    return {
        'material': about['materials'][name],
        'formula': Formula.from_list(list(reference.symbols)).format('hill'),
        'n_atoms': reference.natoms,
        'status': entry['status'] if entry and is_judged(entry) else UNFINISHED,
        'converged': bool(entry.get('converged', False)),
        'label': entry.get('label'),
        'reason': entry.get('reason'),
        'n_steps': entry.get('n_steps'),
        'fmax_ev_per_ang': entry.get('fmax_ev_per_ang'),
        'model_calls': sum(calls),
        **{f'reference_{key}': value for key, value in _barriers(reference).items()},
        **barriers,
        **{f'initial_{key}': value for key, value in guess.items()},
        'path_error_ang': None if found is None else _path_error(found, reference),
        'initial_path_error_ang': _path_error(initial, reference),
        'path_uuid': None if found is None else found.uuid,
        'reference_uuid': reference.uuid,
        'initial_uuid': initial.uuid,
    }


def judged_hop(name: str, hop: Mapping[str, Any], reference: Any = None) -> JudgedHop:
    """Return a hop of :func:`describe_hop` as it is judged.

    :param reference: its path, for the composition; not needed where hops are not grouped.
    """
    return JudgedHop(
        id=name,
        material=hop['material'],
        numbers=[] if reference is None else reference.numbers.tolist(),
        reference_ev={one: hop[f'reference_{one}_ev'] for one in DEFINITIONS},
        predicted_ev=None if hop[f'{PUBLISHED}_ev'] is None else {one: hop[f'{one}_ev'] for one in DEFINITIONS},
        converged=hop['converged'],
        path_error_ang=hop['path_error_ang'],
        initial_path_error_ang=hop['initial_path_error_ang'],
        initial_ev={one: hop[f'initial_{one}_ev'] for one in DEFINITIONS if hop[f'initial_{one}_ev'] is not None},
    )


def read_settings(values: Mapping[str, Any]) -> BenchmarkSettings:
    """Return settings as their model.

    :raises ValueError: naming each field that is not known or out of range.
    """
    return validated(values, BenchmarkSettings, 'analysis')


def _barriers(path: PathData | None) -> dict[str, float | None]:
    energies = None if path is None else path.energies
    return {f'{one}_ev': None if energies is None else barrier_of(energies, one) for one in DEFINITIONS}


def _path_error(path: PathData, reference: PathData) -> float:
    return litraj_path_error(path.get_positions(), reference.get_positions(), reference.cell)


def _tight(nodes: Mapping[str, Data]) -> dict[str, float | None]:
    """Return the barriers of the sample that was converged tightly, ``None`` of those that failed."""
    account = nodes.get('results_tight')
    if not isinstance(account, Dict):
        return {}
    found: dict[str, float | None] = {}
    for name, entry in account['items'].items():
        if is_judged(entry):
            path = nodes.get(f'tight_{name}') if entry['converged'] else None
            found[name] = _barriers(path if isinstance(path, PathData) else None)[f'{PUBLISHED}_ev']
    return found


def _cost(results: Mapping[str, Any], nodes: Mapping[str, Data]) -> dict[str, Any]:
    audit, tight = results['audit'] or {}, nodes.get('results_tight')
    names = ('model_calls', 'model_seconds', 'wall_seconds', 'cpu_seconds', 'peak_memory_mb', 'device', 'processes')
    more = (tight['audit'] or {}).get('model_calls') if isinstance(tight, Dict) else None
    return {**{name: audit.get(name) for name in names}, 'n_jobs': results.get('n_jobs', 1), 'tight_model_calls': more}
