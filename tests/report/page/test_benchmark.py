"""What a page says of a benchmark is what the metrics found, by both definitions of the barrier."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aiida_litraj.report.page.benchmark import benchmark_section
from aiida_litraj.report.page.overview import over_all_tasks
from aiida_litraj.report.page.paths import by_error, draw_paths
from tests.fixtures.benchmarks import TWO, Benchmark, MadeUp, benchmark, tracks_of

N_HOPS = 40


@pytest.fixture(scope='module')
def made() -> Benchmark:
    return benchmark(N_HOPS, {**TWO, 'lost': MadeUp('lost potential', 0.8, 0.1, 0.6)})


@pytest.fixture(scope='module')
def section(made: Benchmark) -> dict[str, Any]:
    return benchmark_section(made.contents, made.leaderboard)


def table_of(section: dict[str, Any], title: str, definition: str | None = None) -> dict[str, Any]:
    found = [one for one in section['tables'] if one['title'] == title and definition in (None, one.get('definition'))]
    assert len(found) == 1, [(one['title'], one.get('definition')) for one in section['tables']]
    return found[0]


def column_of(table: dict[str, Any], name: str) -> list[Any]:
    place = [one['name'] for one in table['columns']].index(name)
    return [row[place] for row in table['rows']]


@pytest.mark.parametrize('definition', ['range', 'forward'])
def test_leaderboard_has_the_numbers_of_the_metrics(definition: str, made: Benchmark, section: dict[str, Any]) -> None:
    board = table_of(section, 'Leaderboard', definition)
    order = made.leaderboard['ranking']
    assert column_of(board, 'Potential')[:3] == [made.contents[name]['potential']['label'] for name in order]
    errors = [made.contents[name]['errors'][definition] for name in order]
    assert column_of(board, 'MAE')[:3] == [one['converged_only']['mae_ev'] for one in errors]
    assert column_of(board, 'Converged')[:3] == [one['convergence_rate'] for one in errors]
    assert column_of(board, 'MAE, all')[:3] == [one['charged']['mae_ev_failed_as_constant'] for one in errors]
    tenths = [one['charged']['share_within_failed_as_missed']['0.1'] for one in errors]
    assert column_of(board, 'Within 0.1 eV')[:3] == tenths


def test_what_is_by_one_definition_is_not_shown_with_the_other(section: dict[str, Any]) -> None:
    """Floors, curves and groups are by ranges: beside barriers from the first image they would be wrong."""
    board = table_of(section, 'Leaderboard', 'range')
    assert column_of(board, 'Potential')[3:] == ['a constant (other materials)', 'the initial guess']
    assert board['muted'] == [3, 4]
    assert len(table_of(section, 'Leaderboard', 'forward')['rows']) == 3
    assert list(section['benchmark']['roc']) == ['range']
    for title in ('By anion', 'Two at a time', 'Error of the protocol itself'):
        assert table_of(section, title)['definition'] == 'range'


def test_every_failure_is_listed_with_its_reason(made: Benchmark, section: dict[str, Any]) -> None:
    failures = table_of(section, 'Failures')
    lost = {
        (hop, one['potential']['label'])
        for one in made.contents.values()
        for hop, each in one['hops'].items()
        if not each['converged']
    }
    assert set(zip(column_of(failures, 'Hop'), column_of(failures, 'Potential'))) == lost
    assert set(column_of(failures, 'Reason')) == {'the band was still at 0.21 eV/Å'}
    assert [made.names[hop] for hop in failures['hops']] == column_of(failures, 'Hop')
    assert f'{len(lost)} failures' in section['line']


def test_worst_cases_are_the_largest_errors_of_converged_hops(made: Benchmark, section: dict[str, Any]) -> None:
    worst = table_of(section, 'Worst cases', 'forward')
    sizes = sorted(
        (
            abs(each['forward_ev'] - each['reference_forward_ev'])
            for one in made.contents.values()
            for each in one['hops'].values()
            if each['converged']
        ),
        reverse=True,
    )
    assert [abs(one) for one in column_of(worst, 'Error')] == pytest.approx(sizes[: len(worst['rows'])], abs=2e-4)
    assert [made.names[hop] for hop in worst['hops']] == column_of(worst, 'Hop')


def test_potentials_with_the_same_label_are_told_apart() -> None:
    twins = benchmark(20, {'a': MadeUp('twin'), 'b': MadeUp('twin')})
    section = benchmark_section(twins.contents, twins.leaderboard)
    assert {one['called'] for one in section['benchmark']['potentials']} == {'twin (a)', 'twin (b)'}


def test_what_is_not_finished_is_neither_good_nor_bad(made: Benchmark) -> None:
    contents = json.loads(json.dumps(made.contents))
    first = made.names[0]
    for one in contents.values():
        one['hops'][first] |= {'status': 'unfinished', 'converged': False, 'range_ev': None, 'forward_ev': None}
    section = benchmark_section(contents, made.leaderboard)
    assert '3 not finished' in section['line']
    assert first not in column_of(table_of(section, 'Failures'), 'Hop')
    assert section['benchmark']['potentials'][0]['converged'][0] is None


def test_failure_of_a_potential_is_told_from_one_of_where_it_ran(made: Benchmark) -> None:
    """Forces that explode are a verdict on the potential; a full memory is not."""
    contents = json.loads(json.dumps(made.contents))
    first, second = made.names[:2]
    nothing = {'status': 'failed', 'converged': False, 'range_ev': None, 'forward_ev': None}
    contents['good']['hops'][first] |= {**nothing, 'label': 'ERROR_EXPLODED', 'reason': 'a force of 1e9 eV/Å'}
    contents['good']['hops'][second] |= {**nothing, 'label': 'ERROR_DEVICE_MEMORY', 'reason': 'device is full'}
    section = benchmark_section(contents, made.leaderboard)
    failures, others = (table_of(section, title) for title in ('Failures', 'Without a verdict'))
    assert [first, 'good potential'] in [[row[0], row[2]] for row in failures['rows']]
    assert [[row[0], row[2], row[4]] for row in others['rows']] == [[second, 'good potential', 'device is full']]
    assert section['line'].endswith(f'{len(failures["rows"])} failures, 1 not finished')


def test_confidence_is_that_of_the_settings(made: Benchmark) -> None:
    contents = json.loads(json.dumps(made.contents))
    assert '95 % intervals' in table_of(benchmark_section(contents), 'Leaderboard', 'range')['note']
    for one in contents.values():
        one['settings']['confidence'] = 0.68
    note = table_of(benchmark_section(contents), 'Leaderboard', 'range')['note']
    assert '68 % intervals' in note and '95' not in note


def test_floors_are_those_of_a_potential_that_is_through(made: Benchmark) -> None:
    contents = json.loads(json.dumps(made.contents))
    first, second = made.leaderboard['ranking'][:2]
    contents[first] |= {'n_unfinished': 3, 'n_paths': N_HOPS - 3}
    for name in (first, second):
        contents[name]['floors']['constant']['mae_ev']['value'] = {first: 0.1, second: 0.2}[name]
    board = table_of(benchmark_section(contents, made.leaderboard), 'Leaderboard', 'range')
    assert column_of(board, 'MAE')[3]['value'] == 0.2
    through, other = (contents[name]['potential']['label'] for name in (second, first))
    assert f'judged on the others: {other}. The floors are on the {N_HOPS} hops of {through}' in board['note']
    assert 'judged on the others' not in table_of(benchmark_section(made.contents), 'Leaderboard', 'range')['note']


def test_cost_of_a_hop_is_over_those_that_were_run(made: Benchmark) -> None:
    contents = json.loads(json.dumps(made.contents))
    for name in made.names[: N_HOPS // 2]:
        contents['good']['hops'][name] |= {'status': 'not covered', 'model_calls': 0}
    costs = table_of(benchmark_section(contents), 'Cost by potential')
    each = dict(zip(column_of(costs, 'Potential'), column_of(costs, 'a hop')))
    assert each['soft potential'] == 12345 / N_HOPS and each['good potential'] == 12345 / (N_HOPS / 2)


def test_potential_that_has_nothing_yet_is_there_without_numbers(made: Benchmark) -> None:
    contents = json.loads(json.dumps(made.contents))
    contents['lost'] |= dict.fromkeys(('errors', 'classification', 'floors', 'groups', 'protocol_error'))
    contents['lost'] |= {'n_paths': 0, 'n_materials': 0}
    for one in contents['lost']['hops'].values():
        one |= {'status': 'unfinished', 'converged': False}
    section = benchmark_section(contents)
    board = table_of(section, 'Leaderboard', 'range')
    place = column_of(board, 'Potential').index('lost potential')
    assert column_of(board, 'MAE')[place] is None and place == 2
    with pytest.raises(ValueError, match='without a potential'):
        benchmark_section({})


def test_paths_of_failed_and_of_the_worst_hops_come_first(section: dict[str, Any]) -> None:
    points = section['benchmark']
    order = by_error(points)
    assert sorted(order) == list(range(N_HOPS))
    worst = table_of(section, 'Worst cases', 'range')['hops']
    failed = table_of(section, 'Failures')['hops']
    assert order[0] == worst[0] and order[1] in failed
    assert set(order[:6]) >= set(dict.fromkeys(worst[:3]))


def test_paths_end_where_there_is_no_more_room(made: Benchmark) -> None:
    from ase.build import bulk

    tracks = tracks_of(bulk('LiF', 'rocksalt', a=4.0, cubic=True) * 2)
    uuids = {key: {hop: f'{key}/{hop}' for hop in made.names} for key in ('reference', 'soft', 'good')}
    points = benchmark_section(benchmark(N_HOPS, uuids=uuids).contents)['benchmark']
    asked: list[str] = []

    def load(wanted: list[str]) -> dict[str, Any]:
        asked.extend(wanted)
        return {uuid: tracks['reference' if uuid.startswith('reference') else 'p0'] for uuid in wanted}

    all_of_them = draw_paths(points, load, 1e9)
    assert set(all_of_them) == {str(hop) for hop in range(N_HOPS)}
    assert list(all_of_them['0']['tracks']) == ['reference', 'p0', 'p1']
    assert {uuid for one in uuids.values() for uuid in one.values()} == set(asked)
    room = len(json.dumps(all_of_them['0'])) * 3.5
    assert list(draw_paths(points, load, room)) == [str(hop) for hop in by_error(points)[:3]]


def over(*chains: tuple[int, str | None, dict[str, float], str]) -> dict[str, Any]:
    """Return the table over all tasks of chains: pk, task, score by potential, and what it is."""
    sections = [
        {
            'pk': pk,
            'scores': [
                {'potential': name, 'label': name.upper(), 'head': head, 'unit': 'eV', 'value': value, 'task': task}
                for name, value in values.items()
            ],
        }
        for pk, task, values, head in chains
    ]
    return over_all_tasks(sections)


def test_potential_has_one_row_over_all_tasks() -> None:
    table = over((1, 't', {'a': 0.1, 'b': 0.2}, 'MAE'), (2, 'u', {'b': 0.5}, 'Barrier'), (3, 't', {'c': 0.3}, 'MAE'))
    assert [one['name'] for one in table['columns']] == ['Potential', 'MAE', 'Barrier']
    assert table['rows'] == [['A', 0.1, None], ['B', 0.2, 0.5], ['C', 0.3, None]]


@pytest.mark.parametrize('task', ['other', None])
def test_numbers_of_different_tasks_never_share_a_column(task: str | None) -> None:
    """Nor do those of which nobody knows the task, nor two of one potential."""
    table = over((1, 't', {'a': 0.1}, 'MAE'), (3, task, {'b': 0.3}, 'MAE'), (4, 't', {'a': 0.4}, 'MAE'))
    assert [one['name'] for one in table['columns']] == ['Potential', 'MAE (chain 1)', 'MAE (chain 3)', 'MAE (chain 4)']
    assert table['rows'] == [['A', 0.1, None, 0.4], ['B', None, 0.3, None]]


def test_headline_is_what_potentials_are_ranked_by(made: Benchmark) -> None:
    """The MAE over what each alone converged would flatter the one that fails most."""
    by, alone = 'mae_ev_failed_as_constant', 'mae_ev_converged_only'

    def headlines(board: dict[str, Any] | None) -> tuple[set[str], dict[str, float]]:
        scores = benchmark_section(made.contents, board)['scores']
        labels = {one['potential']['label']: name for name, one in made.contents.items()}
        return {one['head'] for one in scores}, {labels[one['label']]: one['value']['value'] for one in scores}

    errors = {name: one['errors']['range'] for name, one in made.contents.items()}
    charged = {name: one['charged'][by]['value'] for name, one in errors.items()}
    assert headlines(None) == ({'MAE of barriers, all hops'}, charged)
    converged = {name: one['converged_only']['mae_ev']['value'] for name, one in errors.items()}
    assert headlines({'by': alone}) == ({'MAE of barriers, converged hops'}, converged)
    # Where the ranking is over fewer hops than a potential was judged on, its number is told.
    told = {name: float(k) for k, name in enumerate(charged, 7)}
    board = {'by': by, 'potentials': {name: {by: {'value': value}} for name, value in told.items()}}
    assert headlines(board) == ({'MAE of barriers, all hops'}, told)


def test_headline_without_a_constant_says_that_it_is_of_converged_hops(made: Benchmark) -> None:
    contents = json.loads(json.dumps(made.contents))
    for one in contents.values():
        one['errors']['range']['charged'] = None
    (head,) = {one['head'] for one in benchmark_section(contents)['scores']}
    assert head == 'MAE of barriers, converged hops'


def test_benchmarks_are_of_one_task_by_reference_protocol_settings_and_hops(made: Benchmark) -> None:
    def headlines(**changes: Any) -> set[tuple[str, str]]:
        contents = json.loads(json.dumps(made.contents))
        for one in contents.values():
            one.update(changes)
        return {(one['head'], one['task']) for one in benchmark_section(contents)['scores']}

    (same,) = headlines()
    assert headlines(cost={}, audit={'device': 'cuda'}) == {same}
    first = made.names[0]
    fewer = {name: hop for name, hop in made.contents['good']['hops'].items() if name != first}
    moved = {**fewer, first: {**made.contents['good']['hops'][first], 'reference_uuid': 'another'}}
    others = [
        headlines(**one)
        for one in ({'reference': {'kind': 'potential', 'label': 'another'}}, {'protocol': 'tight'},
                    {'parameters': {'fmax': 0.02}}, {'settings': {'seed': 1}}, {'hops': fewer}, {'hops': moved},
                    {'n_unfinished': 1})
    ]  # fmt: skip
    assert all(len(one) == 1 for one in others) and len({same, *(found for one in others for found in one)}) == 8
