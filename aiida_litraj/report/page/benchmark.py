"""A benchmark of potentials on hops as a section of the model: leaderboard, points, worst cases, failures, groups."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...analysis.benchmark_errors import DEFINITIONS
from ..words import counted, reference_text
from .hops import failures, points_of, short, worst
from .tables import column, plain, table

DEFINITION_WORDS = {'range': 'highest image − lowest (as LiTraj)', 'forward': 'highest image − first'}
_PUBLISHED = 'range'
"""Definition of the barrier by which potentials are ranked."""
_RANKED = {
    'mae_ev_failed_as_constant': (
        'mae_all', 'MAE of barriers, all hops',
        'MAE over all hops, a failed one taken for the constant barrier of other materials',
    ),
    'mae_ev_converged_only': ('mae', 'MAE of barriers, converged hops', 'MAE over the hops that converged'),
}  # fmt: skip
"""By what the leaderboard is ranked by: key among the numbers here, head and words over all tasks."""
_COLUMNS = (
    ('converged', 'Converged', 2, '', 'Share of all hops whose band and ends met the criterion of the protocol.'),
    ('mae', 'MAE', 3, 'eV', 'Mean absolute error of barriers over converged hops, as LiTraj publishes it.'),
    ('mae_all', 'MAE, all', 3, 'eV', 'Over all hops; a failed one is taken for the constant barrier of the floor.'),
    ('within', 'Within 0.1 eV', 2, '', 'Share of all hops that converged to within 0.1 eV.'),
    ('path', 'Path error', 3, 'Å', 'Mean distance of atoms to the reference over converged hops (PA_MAE of LiTraj).'),
    ('ratio', 'MAE / constant', 2, '', 'MAE over that of a constant barrier on the same hops; 1 is worth nothing.'),
    ('area', 'ROC area', 3, '', 'Chance that of a good and a bad hop the good one is predicted lower.'),
    ('rmse', 'RMSE', 3, 'eV', 'Over converged hops.'),
    ('bias', 'Mean error', 3, 'eV', 'Potential minus reference over converged hops; negative: barriers too low.'),
    ('r', 'r', 3, '', 'Correlation of barriers over converged hops (Pearson).'),
    ('slope', 'Slope', 3, '', 'Of the line of the potential over the reference.'),
    ('r2', 'R²', 3, '', 'Of the predictions themselves, not of a line through them.'),
    ('median', 'Median, all', 3, 'eV', 'Median error over all hops; a failed one is further off than any other.'),
    ('path_all', 'Path error, all', 3, 'Å', 'Over all hops; a failed one is taken for its initial guess.'),
    ('accuracy', 'Right calls', 2, '', 'Share of converged hops called good or bad as by the reference.'),
)
"""Key, head, digits, unit and meaning of what stands in the leaderboard behind the name."""


def benchmark_section(
    potentials: Mapping[str, Mapping[str, Any]], leaderboard: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return what the model holds of a benchmark: ``line``, ``pairs``, ``tables``, ``scores`` and ``benchmark``.

    :param potentials: by name the outputs ``benchmark`` of ``litraj.neb_benchmark``.
    :param leaderboard: its output of that name.
    :raises ValueError: if there is no potential.
    """
    if not potentials:
        raise ValueError('a benchmark without a potential has nothing to show')
    contents = {name: plain(one) for name, one in potentials.items()}
    labels = labels_of(contents)
    order = _order(contents, leaderboard or {})
    points = points_of(contents, labels, order)
    some = contents[order[0]]
    tables = []
    for definition in DEFINITIONS:
        if any(definition in (one['errors'] or {}) for one in contents.values()):
            tables += [
                _leaderboard(contents, labels, order, definition),
                *_ratios(leaderboard or {}, labels, order, definition),
                *_groups(contents, labels, order, definition),
                worst(points, definition),
            ]
    tables += [*_protocol_errors(contents, labels, order), *failures(points), _costs(contents, labels, order)]
    n_failed = sum(done is False for one in points['potentials'] for done in one['converged'])
    n_open = sum(done is None for one in points['potentials'] for done in one['converged'])
    materials = len({one for one in points['material'] if one is not None})
    left = f', {n_open} not finished' if n_open else ''
    return {
        'line': f'{counted(len(contents), "potential")} on {counted(len(points["name"]), "hop")} of '
        f'{counted(materials, "material")}, {counted(n_failed, "failure")}{left}',
        'pairs': [
            ['Reference', reference_text(some['reference'])],
            ['Protocol', some.get('protocol')],
            ['Good hops', f'up to {some["threshold_ev"]:g} eV'],
            ['Ordered by', (leaderboard or {}).get('by_words') or 'MAE over converged hops'],
        ],
        'tables': [one for one in tables if one['rows']],
        'scores': _scores(contents, labels, leaderboard or {}),
        'benchmark': {**points, 'roc': _curves(contents, labels, order), 'threshold_ev': some['threshold_ev']},
    }


def labels_of(contents: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return what each potential is called, which no two share."""
    labels = {name: str(one['potential'].get('label') or name) for name, one in contents.items()}
    taken = list(labels.values())
    return {name: f'{label} ({name})' if taken.count(label) > 1 else label for name, label in labels.items()}


def _of(content: Mapping[str, Any] | None, definition: str) -> Mapping[str, Any]:
    """Return what is by this definition of the barrier: what says that it is by the other one is empty here."""
    return content if content and content.get('definition', definition) == definition else {}


def numbers_of(content: Mapping[str, Any], definition: str) -> dict[str, Any]:
    """Return the numbers of the leaderboard by their key."""
    if content['errors'] is None:
        return {}
    errors = content['errors'][definition]
    charged, converged = errors.get('charged') or {}, errors['converged_only']
    within = charged.get('share_within_failed_as_missed') or {}
    judged = _of(content.get('classification'), definition).get('converged_only') or {}
    return {
        'converged': errors['convergence_rate'],
        'mae': converged['mae_ev'],
        'mae_all': charged.get('mae_ev_failed_as_constant'),
        'median': charged.get('median_error_ev_failed_as_infinite'),
        'within': next((one for key, one in within.items() if abs(float(key) - 0.1) < 1e-9), None),
        'rmse': converged['rmse_ev'],
        'bias': converged['mean_error_ev'],
        'r': converged['pearson_r'],
        'slope': converged['slope'],
        'r2': converged['r2'],
        'path': errors['path_error_ang_converged_only'],
        'path_all': charged.get('path_error_ang_failed_as_initial'),
        'area': (judged.get('roc') or {}).get('auc'),
        'accuracy': (judged.get('calls') or {}).get('accuracy'),
        'ratio': _of(content.get('floors'), definition).get('mae_over_constant'),
    }


def _order(contents: Mapping[str, Mapping[str, Any]], leaderboard: Mapping[str, Any]) -> list[str]:
    """Return the potentials from the best: as the benchmark ranks them, else by MAE."""
    ranking = leaderboard.get('ranking')
    if isinstance(ranking, list) and set(ranking) == set(contents):
        return list(ranking)

    def place(name: str) -> tuple[bool, float]:
        found = contents[name]['errors']
        if found is None:
            return True, 0.0
        mae = found[next(iter(found))]['converged_only']['mae_ev']['value']
        return mae is None, mae or 0.0

    return sorted(contents, key=place)


def _leaderboard(
    contents: Mapping[str, Mapping[str, Any]], labels: Mapping[str, str], order: Sequence[str], definition: str
) -> dict[str, Any]:
    columns = [column('Potential'), *(column(head, 'estimate', *rest) for _, head, *rest in _COLUMNS)]
    numbers = {name: numbers_of(contents[name], definition) for name in order}
    rows = [[labels[name], *(numbers[name].get(key) for key, *_ in _COLUMNS)] for name in order]
    # Floors are of hops: those of a potential that is not through would be of fewer than the others were judged on.
    whole = next((name for name in order if not contents[name].get('n_unfinished')), order[0])
    floors = _floors(_of(contents[whole].get('floors'), definition))
    some = [labels[name] for name in order if contents[name].get('n_unfinished')]
    left = f' Not through all hops, and judged on the others: {", ".join(some)}.' if some else ''
    left += f' The floors are on the {contents[whole]["n_paths"]} hops of {labels[whole]}.' if some and floors else ''
    rows += [[words, *(found.get(key) for key, *_ in _COLUMNS)] for words, found in floors.items()]
    return table(
        'Leaderboard', columns, rows, definition=definition, role='leaderboard',
        muted=list(range(len(order), len(rows))),
        note=f'In brackets: {_confidence(contents, order)}intervals over materials. A potential has to be better than '
        f'the floors in grey.{left}',
    )  # fmt: skip


def _confidence(contents: Mapping[str, Mapping[str, Any]], order: Sequence[str]) -> str:
    """Return the confidence of the intervals in words, nothing if it is not known or not the same for all."""
    known = {(contents[name].get('settings') or {}).get('confidence') for name in order}
    one = known.pop() if len(known) == 1 else None
    return '' if one is None else f'{100 * one:g} % '


def _floors(floors: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what costs nothing scores, by words, with keys of the leaderboard."""
    found = {}
    constant, initial = floors.get('constant'), floors.get('initial')
    if constant:
        found[f'a constant ({constant.get("source")})'] = {
            'mae': constant.get('mae_ev'),
            'rmse': constant.get('rmse_ev'),
        }
    if initial:
        errors = initial.get('barriers') or {}
        keys = {
            'mae': 'mae_ev',
            'rmse': 'rmse_ev',
            'bias': 'mean_error_ev',
            'r': 'pearson_r',
            'slope': 'slope',
            'r2': 'r2',
        }
        found['the initial guess'] = {
            'path': initial.get('path_error_ang'),
            **{key: errors.get(name) for key, name in keys.items()},
        }
    return found


def _ratios(
    leaderboard: Mapping[str, Any], labels: Mapping[str, str], order: Sequence[str], definition: str
) -> Iterable[dict[str, Any]]:
    """Yield a table of MAE over MAE on the hops that both converged, if there is one."""
    ratios = _of(leaderboard, definition).get('mae_ratios') or {}
    rows = [
        [labels[one], *((ratios.get(one) or {}).get(other) for other in order)]
        for one in order
        if isinstance(ratios.get(one), Mapping)
    ]
    if rows:
        columns = [column('MAE of'), *(column(f'over {labels[name]}', 'estimate', 2) for name in order)]
        note = 'On the hops that both converged, paired; below one, interval and all: the first is better there.'
        yield table('Two at a time', columns, rows, definition=definition, note=note)


def _groups(
    contents: Mapping[str, Mapping[str, Any]], labels: Mapping[str, str], order: Sequence[str], definition: str
) -> Iterable[dict[str, Any]]:
    """Yield for each way of grouping the MAE of all potentials in each group."""
    titles = {'anions': 'By anion', 'barriers': 'By barrier of the reference (eV)', 'elements': 'By element'}
    for key, title in titles.items():
        groups = {name: _of(contents[name].get('groups'), definition).get(key) or {} for name in order}
        found: dict[str, int] = {}
        for one in groups.values():
            for group, errors in one.items():
                found.setdefault(group, errors['n_paths'])
        rows = []
        for group, n_paths in found.items():
            cells = [groups[name].get(group) for name in order]
            numbers = [None if one is None else one['converged_only']['mae_ev'] for one in cells]
            rates = [None if one is None else one['convergence_rate'] for one in cells]
            rows.append([group, n_paths, *(cell for pair in zip(numbers, rates) for cell in pair)])
        heads = [
            head
            for name in order
            for head in (
                column(f'{labels[name]}: MAE', 'estimate', 3, 'eV'),
                column(f'{labels[name]}: converged', 'estimate', 2),
            )
        ]
        columns = [column('Group'), column('Hops', 'number'), *heads]
        yield table(title, columns, rows, definition=definition, role='groups')


def _protocol_errors(
    contents: Mapping[str, Mapping[str, Any]], labels: Mapping[str, str], order: Sequence[str]
) -> Iterable[dict[str, Any]]:
    """Yield what the protocol itself is off, where a sample was converged tightly."""
    for definition in DEFINITIONS:
        rows = []
        for name in order:
            found = _of(contents[name].get('protocol_error'), definition)
            if found:
                keys = ('n_paths', 'n_lost', 'mean_absolute_ev', 'mean_ev', 'max_ev', 'worst')
                rows.append([labels[name], *(found.get(key) for key in keys)])
        columns = [
            column('Potential'), column('Hops', 'number'), column('Lost', 'number'),
            column('Mean size', 'estimate', 3, 'eV'), column('Mean', 'estimate', 3, 'eV'),
            column('Largest', 'number', 3, 'eV'), column('of the hop'),
        ]  # fmt: skip
        note = (
            'Barriers of the protocol minus those of the same potential converged tightly. Potentials that differ by '
            'less are not told apart.'
        )
        yield table('Error of the protocol itself', columns, rows, definition=definition, note=note)


def _costs(
    contents: Mapping[str, Mapping[str, Any]], labels: Mapping[str, str], order: Sequence[str]
) -> dict[str, Any]:
    rows = []
    for name in order:
        cost = contents[name].get('cost') or {}
        calls, seconds = cost.get('model_calls'), cost.get('model_seconds')
        each = seconds / calls if calls and seconds is not None else None
        # What was never run, such as a hop of elements that the potential lacks, would make it look cheap.
        n_run = sum(bool(hop.get('model_calls')) for hop in contents[name]['hops'].values())
        rows.append([labels[name], cost.get('n_jobs'), calls, calls / n_run if calls and n_run else None, seconds, each,
                     cost.get('device')])  # fmt: skip
    columns = [
        column('Potential'), column('Jobs', 'number'), column('Model calls', 'number'),
        column('a hop', 'number', 0, '', 'Over hops that were run.'), column('Time in the model', 'number', 0, 's'),
        column('a call', 'number', 4, 's'), column('Device'),
    ]  # fmt: skip
    return table('Cost by potential', columns, rows)


def _curves(
    contents: Mapping[str, Mapping[str, Any]], labels: Mapping[str, str], order: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """Return the ROC curves by definition of the barrier, over converged hops."""
    found: dict[str, list[dict[str, Any]]] = {}
    for definition in DEFINITIONS:
        for number, name in enumerate(order):
            judged = _of(contents[name].get('classification'), definition).get('converged_only') or {}
            curve = judged.get('roc')
            if curve:
                found.setdefault(definition, []).append(
                    {
                        'potential': number,
                        'x': [short(one) for one in curve['false_low']],
                        'y': [short(one) for one in curve['true_low']],
                    }
                )
    return found


def _scores(
    contents: Mapping[str, Mapping[str, Any]], labels: Mapping[str, str], leaderboard: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the headline of each potential, for the table over all tasks: the number that potentials are ranked by.

    That of a potential which is not through all hops is another one than of those that are.
    """
    numbers = {name: numbers_of(one, _PUBLISHED) for name, one in contents.items() if one['errors'] is not None}
    all_of_them = all((found.get('mae_all') or {}).get('value') is not None for found in numbers.values())
    by = leaderboard.get('by')
    key, head, words = _RANKED[by or ('mae_ev_failed_as_constant' if all_of_them else 'mae_ev_converged_only')]
    found = []
    for name, own in numbers.items():
        one = contents[name]
        ranked = ((leaderboard.get('potentials') or {}).get(name) or {}).get(by) or own.get(key)
        so_far = ', so far' if one.get('n_unfinished') else ''
        about = f'{head}: {words}.'
        about += ' So far: hops that are not through are left out.' if so_far else ''
        found.append(
            {'potential': one['potential'].get('uuid'), 'label': labels[name], 'head': f'{head}{so_far}', 'unit': 'eV',
             'digits': 3, 'value': ranked, 'about': about, 'task': _task(one)}
        )  # fmt: skip
    return found


def _task(content: Mapping[str, Any]) -> str:
    """Return a checksum of all that makes errors of two potentials comparable: reference, protocol, settings, hops."""
    hops = {
        name: [hop.get(key) for key in ('material', 'reference_uuid', 'initial_uuid')]
        for name, hop in content['hops'].items()
    }
    same = [*(content.get(key) for key in ('reference', 'protocol', 'parameters', 'settings', 'threshold_ev')), hops]
    return hashlib.sha256(json.dumps(same, sort_keys=True, default=str).encode()).hexdigest()
