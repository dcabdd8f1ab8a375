"""The hops of a benchmark, column by column, and those that one looks at first: the worst cases and the failures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...analysis.benchmark_numbers import is_judged
from .tables import column, table

WORST = 20
_ROUND = 4


def points_of(
    contents: Mapping[str, Mapping[str, Any]], labels: Mapping[str, str], order: Sequence[str]
) -> dict[str, Any]:
    """Return all hops column by column, and of each potential what it made of them, in the same order."""
    hops: dict[str, Mapping[str, Any]] = {}
    for name in order:
        for hop, one in contents[name]['hops'].items():
            hops.setdefault(hop, one)
    shared = (
        'material', 'formula', 'reference_range_ev', 'reference_forward_ev', 'initial_range_ev', 'initial_forward_ev',
        'reference_uuid', 'initial_uuid',
    )  # fmt: skip
    own = (
        'range_ev', 'forward_ev', 'path_error_ang', 'initial_path_error_ang', 'converged', 'status', 'label', 'reason',
        'n_steps', 'model_calls', 'path_uuid',
    )  # fmt: skip
    return {
        'name': list(hops),
        **{key: [short(one.get(key)) for one in hops.values()] for key in shared},
        'potentials': [
            {
                'key': name,
                'called': labels[name],
                **{key: [short(_ended(contents[name]['hops'].get(hop, {})).get(key)) for hop in hops] for key in own},
            }
            for name in order
        ],
    }


def _ended(hop: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a hop; of one that has not come to its end nobody knows whether it converges.

    Nor of one that was given up for a fault of the engine or of where it ran; forces that explode are a verdict.
    """
    return hop if is_judged(hop) else {**hop, 'converged': None}


def short(value: Any) -> Any:
    """Return a number with as many digits as a plot needs."""
    return round(value, _ROUND) if isinstance(value, float) else value


def worst(points: Mapping[str, Any], definition: str) -> dict[str, Any]:
    """Return the converged hops that are furthest off, of all potentials."""
    reference = points[f'reference_{definition}_ev']
    found = []
    for one in points['potentials']:
        values = zip(reference, one[f'{definition}_ev'], one['converged'])
        found += [
            (abs(own - known), hop, one)
            for hop, (known, own, done) in enumerate(values)
            if done and own is not None and known is not None
        ]
    furthest = sorted(found, key=lambda each: -each[0])[:WORST]
    rows = [
        [points['name'][hop], points['formula'][hop], one['called'], reference[hop], one[f'{definition}_ev'][hop],
         one[f'{definition}_ev'][hop] - reference[hop], one['path_error_ang'][hop], one['path_uuid'][hop]]
        for _, hop, one in furthest
    ]  # fmt: skip
    columns = [
        column('Hop'), column('Compound'), column('Potential'), column('Reference', 'number', 3, 'eV'),
        column('Barrier', 'number', 3, 'eV'), column('Error', 'number', 3, 'eV'),
        column('Path error', 'number', 3, 'Å'), column('Path', 'uuid'),
    ]  # fmt: skip
    return table(
        'Worst cases', columns, rows, definition=definition, role='worst', hops=[hop for _, hop, _ in furthest],
        note=f'The {len(rows)} converged barriers that are furthest off, of all potentials.',
    )  # fmt: skip


def failures(points: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Yield every hop that a potential did not converge, with what is known of why, and those that another run may."""
    yield _not_converged(points, 'Failures', False)
    note = 'Given up for a fault of the engine or of where it ran, not of the potential: launch again.'
    yield _not_converged(points, 'Without a verdict', None) | {'note': note}


def _not_converged(points: Mapping[str, Any], title: str, verdict: bool | None) -> dict[str, Any]:
    """Return the hops with this verdict; without one, those alone of which something is known."""
    rows, hops = [], []
    for one in points['potentials']:
        for hop, done in enumerate(one['converged']):
            if done is not verdict or (verdict is None and not one['label'][hop]):
                continue
            kinds = [one['status'][hop], one['label'][hop]]
            rows.append(
                [points['name'][hop], points['formula'][hop], one['called'],
                 ', '.join(dict.fromkeys(str(kind) for kind in kinds if kind)), one['reason'][hop],
                 one['n_steps'][hop], one['path_uuid'][hop]]
            )  # fmt: skip
            hops.append(hop)
    columns = [
        column('Hop'), column('Compound'), column('Potential'), column('Ended'), column('Reason'),
        column('Steps', 'number'), column('Path', 'uuid'),
    ]  # fmt: skip
    return table(title, columns, rows, role='failures', hops=hops)
