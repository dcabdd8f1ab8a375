"""Results of single chains as sections of the model: the numbers that ``show`` prints, as tables one can sort."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..finetune_words import PARENT, called, ordered
from .tables import column, estimate, flat, table

Content = Mapping[str, Any]
Potentials = Mapping[str, Content]
"""Of the chain's inputs, by the name of the link, ``label`` and ``uuid`` of each potential."""
_ERRORS = (
    ('rmse_force_mev_per_ang', 'RMSE of forces', 1, 'meV/Å'),
    ('slope_force', 'Slope of forces', 3, ''),
    ('rmse_energy_mev_per_atom', 'RMSE of energies', 2, 'meV/atom'),
)
_ORIGIN = ('uuid', 'pk', 'exit_status', 'exit_message', 'from_cache', 'warnings')
"""What every section says elsewhere."""


def chain_section(kind: str, result: Content, potentials: Potentials) -> dict[str, Any]:
    """Return ``pairs``, ``tables`` and ``scores`` of a result as ``aiida-litraj show --json`` prints it.

    :param kind: entry point of the chain; of one that has no tables of its own here, its numbers are a list.
    """
    build = _SECTIONS.get(kind, _anything)
    found = build(result, potentials)
    return {'pairs': [], 'scores': [], **found, 'tables': [one for one in found['tables'] if one['rows']]}


def _robustness(result: Content, potentials: Potentials) -> dict[str, Any]:
    columns = [
        column('Potential'), column('Temperature', 'number', 0, 'K'), column('Pressure', 'number', None, 'Pa'),
        column('Survive', 'number'), column('of', 'number'), column('Open', 'number', None, '', 'Not finished.'),
        column('Frames with a contact', 'text', None, '%', 'Two atoms within 1 Å; – where no frame was reached.'),
        column('First death', 'number', 3, 'ps'),
    ]  # fmt: skip
    rows, scores = [], []
    for name, grid in result['grids'].items():
        label = result['potentials'].get(name, name)
        for cell in grid['cells']:
            deaths = [one for one in cell.get('deaths_ps') or [] if one is not None]
            rows.append([label, cell['temperature_k'], cell['pressure_pa'], cell['n_survived'], cell['n_repeats'],
                         cell['n_unfinished'], cell['text'], min(deaths, default=None)])  # fmt: skip
        counts = result['summary'][name]
        survived = f'{counts["n_survived"]} of {counts["n_replicas"]}'
        scores.append(_score(potentials, name, label, 'Replicas that survive', survived))
    pairs = [['Start', result['formula']], ['Protocol', result['protocol']],
             ['Anneals', f'{result["repeats"]} × {result["duration_ps"]:g} ps']]  # fmt: skip
    note = 'A cell is green in the picture if all its repeats survive, pale if some do.'
    return {'pairs': pairs, 'tables': [table('Cells of the grid', columns, rows, note=note)], 'scores': scores}


def _conductivity(result: Content, potentials: Potentials) -> dict[str, Any]:
    def read(one: Content | None) -> dict[str, Any] | None:
        return None if one is None else estimate(one['value'], one.get('low'), one.get('high'))

    rows = [
        [one['temperature_k'], one['volume_ang3'], read(one['tracer_cm2_per_s']), one.get('tracer_below_cm2_per_s'),
         read(one['haven_ratio']), read(one['sigma_tracer_s_per_cm']), one['n_windows']]
        for one in result['temperatures']
    ]  # fmt: skip
    columns = [
        column('Temperature', 'number', 0, 'K'), column('Volume', 'number', 1, 'Å³'),
        column('Diffusivity', 'estimate', None, 'cm²/s'), column('below', 'number', None, 'cm²/s'),
        column('Haven ratio', 'estimate'), column('Conductivity', 'estimate', None, 'S/cm'),
        column('Windows', 'number', 0),
    ]  # fmt: skip
    sigma = estimate(result['sigma_298_s_per_cm'], result['sigma_298_low'], result['sigma_298_high'])
    energy = estimate(
        result['activation_energy_ev'], result.get('activation_energy_low_ev'), result.get('activation_energy_high_ev')
    )
    head = [column('Quantity'), column('Value', 'estimate'), column('Unit')]
    headline = table('At room temperature', head, [
        ['Conductivity at 298 K', sigma, 'S/cm'], ['Activation energy', energy, 'eV'],
        ['Conductivity at 298 K, collective',
         estimate(result.get('sigma_298_collective_s_per_cm'), result.get('sigma_298_collective_low'),
                  result.get('sigma_298_collective_high')), 'S/cm'],
    ], note='In brackets: 68 % intervals.')  # fmt: skip
    title = f'Conductivity of {result["formula"]} at 298 K'
    name = next(iter(potentials), '')
    return {
        'pairs': [['Crystal', result['formula']], ['Potential', result['potential']], ['Protocol', result['protocol']],
                  ['Atoms', result['natoms']], ['Runs', result['n_runs']]],
        'tables': [headline, table('By temperature', columns, rows)],
        'scores': [_score(potentials, name, result['potential'], title, sigma, 'S/cm')],
    }  # fmt: skip


def _with_interval(one: Content, key: str) -> dict[str, Any] | None:
    ends = one.get(f'{key}_interval') or (None, None)
    return estimate(one.get(key), *ends)


def _finetune(result: Content, potentials: Potentials) -> dict[str, Any]:
    columns = [column('Potential'), *(column(head, 'estimate', digits, unit) for _, head, digits, unit in _ERRORS)]
    tables, scores = [], []
    for where, title in (('test', 'Held-out test set'), ('elsewhere', 'Elsewhere')):
        block = result.get(where)
        if not block:
            continue
        rows = [
            [called(name, result['parent']), *(_with_interval(block['potentials'][name], key) for key, *_ in _ERRORS)]
            for name in ordered(block['potentials'])
        ]
        tables.append(table(title, columns, rows))
        if where == 'test' and PARENT in block['potentials']:
            number = _with_interval(block['potentials'][PARENT], _ERRORS[0][0])
            head = 'RMSE of forces before fine-tuning'
            name = next((one for one in potentials if one in ('parent', 'potential')), next(iter(potentials), ''))
            scores.append(_score(potentials, name, result['parent'], head, number, 'meV/Å', 1))
    made = [
        [name, one.get('label'), one.get('n_epochs'), one.get('best_epoch'), one.get('uuid')]
        for name, one in (result.get('potentials') or {}).items()
    ]
    heads = [column('Training'), column('Potential'), column('Epochs', 'number'), column('Best', 'number'),
             column('Node', 'uuid')]  # fmt: skip
    tables.append(table('What was made', heads, made))
    failed = list((result.get('failed') or {}).items())
    tables.append(table('Trainings that failed', [column('Training'), column('Reason')], failed, role='failures'))
    pairs = [['Parent', result['parent']], ['Learnt', result.get('n_train')], ['Held out', result.get('n_test')],
             ['Protocol', result.get('protocol')], ['Forgets', result.get('forgets')]]  # fmt: skip
    return {'pairs': pairs, 'tables': tables, 'scores': scores}


def _force_accuracy(result: Content, potentials: Potentials) -> dict[str, Any]:
    columns = [column('Potential'), column('Stage'), column('Snapshots', 'number'),
               *(column(head, 'estimate', digits, unit) for _, head, digits, unit in _ERRORS)]  # fmt: skip
    rows, scores = [], []
    for name, one in result['potentials'].items():
        label = result['labels'].get(name, name)
        for stage in (*result['stages'], 'all'):
            block = one['stages'][stage]
            rows.append([label, stage, block['n_frames'], *(_with_interval(block, key) for key, *_ in _ERRORS)])
        number = _with_interval(one['stages']['all'], _ERRORS[0][0])
        scores.append(_score(potentials, name, label, f'RMSE of forces on {result["formula"]}', number, 'meV/Å', 1))
    failed = [[one['index'], one['stage'], one['label'], one['reason']] for one in result['failed']]
    heads = [column('Snapshot', 'number'), column('Stage'), column('Ended'), column('Reason')]
    tables = [
        table('Errors by stage', columns, rows),
        table('Snapshots without a label', heads, failed, role='failures'),
    ]
    pairs = [['Snapshots', f'{result["formula"]}, {result["n_atoms"]} atoms'],
             ['Labelled', f'{result["n_labelled"]} of {result["n_snapshots"]}'],
             ['Protocol', result['protocol']]]  # fmt: skip
    return {'pairs': pairs, 'tables': tables, 'scores': scores}


def _barrier(result: Content, potentials: Potentials) -> dict[str, Any]:
    rows = [
        ['Barrier', result['barrier_ev']], ['Reverse barrier', result['reverse_barrier_ev']],
        ['Reaction energy', result['reaction_energy_ev']], ['Highest − lowest', result['range_ev']],
    ]  # fmt: skip
    energies = result.get('profile_ev') or []
    along = result.get('distance_ang') or [None] * len(energies)
    images = [[number, at, energy] for number, (at, energy) in enumerate(zip(along, energies))]
    heads = [column('Image', 'number'), column('Path coordinate', 'number', 3, 'Å'),
             column('Energy', 'number', 4, 'eV')]  # fmt: skip
    formula = result.get('formula') or 'a crystal'
    name, label = next(iter(potentials), ''), result.get('potential') or ''
    return {
        'pairs': [['Crystal', result.get('formula')], ['Potential', result.get('potential')],
                  ['Protocol', result.get('protocol')], ['Converged', result['converged']],
                  ['Atoms', result['natoms']], ['Images', result['n_images']]],
        'tables': [table('Energies', [column('Quantity'), column('Energy', 'number', 4, 'eV')], rows),
                   table('Images', heads, images)],
        'scores': [_score(potentials, name, label, f'Barrier in {formula}', result['barrier_ev'], 'eV', 3)],
    }  # fmt: skip


def _anything(result: Content, potentials: Potentials) -> dict[str, Any]:
    """Return the numbers of a chain without tables of its own, by their dotted names."""
    leaves = flat({key: value for key, value in result.items() if key not in _ORIGIN})
    return {'tables': [table('Numbers', [column('Quantity'), column('Value', 'number')], leaves, role='long')]}


def _score(
    potentials: Potentials, name: str, label: str, head: str, value: Any, unit: str = '', digits: int | None = None
) -> dict[str, Any]:
    """Return the headline of a potential, for the table over all tasks."""
    uuid = (potentials.get(name) or {}).get('uuid')
    return {'potential': uuid, 'label': label, 'head': head, 'unit': unit, 'digits': digits, 'value': value}


_SECTIONS: Mapping[str, Callable[[Content, Potentials], dict[str, Any]]] = {
    'litraj.robustness': _robustness,
    'litraj.conductivity': _conductivity,
    'litraj.finetune': _finetune,
    'litraj.force_accuracy': _force_accuracy,
    'litraj.barrier': _barrier,
}
