"""Sweeps: points of a grid, what is refused by its option, and the fronts of known costs and errors."""

from __future__ import annotations

from typing import Any

import pytest
from aiida.engine import run_get_node
from aiida.orm import Dict

from aiida_litraj.calculations.functions.compare_points import describe
from aiida_litraj.workflows.sweep import SweepWorkChain, choices_of, nested
from tests.fixtures.nodes import potential
from tests.fixtures.training import labelled

from .test_learning_curve import LEARNING, errors


@pytest.fixture
def build(launcher_code: Any, computer: Any) -> Any:
    def make(code: Any = None, **changes: Any) -> Any:
        given = {
            'train': labelled(4), 'valid': labelled(3, seed=1), 'test': labelled(6, seed=2), 'trainer': 'toy',
            'protocol': 'fast', 'computer': computer, **changes,
        }  # fmt: skip
        given |= {} if 'points' in given or 'grid' in given else {'grid': {'learning_rate': [0.01, 0.02]}}
        return SweepWorkChain.get_builder_from_protocol(code or launcher_code, **given)

    return make


def test_grid_is_every_combination(build: Any) -> None:
    builder = build(grid={'architecture.cutoff_ang': [4.0, 6.0], 'batch_size': [1, 2]}, seeds=[1, 2])
    assert builder.settings['points'] == {
        'point_0': {'architecture.cutoff_ang': 4.0, 'batch_size': 1},
        'point_1': {'architecture.cutoff_ang': 4.0, 'batch_size': 2},
        'point_2': {'architecture.cutoff_ang': 6.0, 'batch_size': 1},
        'point_3': {'architecture.cutoff_ang': 6.0, 'batch_size': 2},
    }
    third = builder.parameters['point_2']
    assert (third['architecture']['cutoff_ang'], third['batch_size'], third['trainer']) == (6.0, 1, 'toy')
    assert third['architecture']['channels'] == builder.parameters['point_0']['architecture']['channels']
    assert set(builder.trainings) == {'seed_1', 'seed_2'}


def test_list_of_points(build: Any) -> None:
    builder = build(protocol='balanced', potential=potential(), trainer=None, points=[{'epochs': 3}, {'batch_size': 2}])
    assert (builder.parameters['point_0']['epochs'], builder.parameters['point_1']['epochs']) == (3, 100)
    assert builder.parameters['point_1']['batch_size'] == 2
    fast = build(potential=potential(), trainer=None).parameters['point_0']
    assert (fast.label, fast['architecture'], fast['learning_rate']) == ('fast-finetune', None, 0.01)


def test_dotted_names() -> None:
    assert nested({'loss.force_weight': 2.0, 'epochs': 3, 'loss.energy_weight': 1.0}) == {
        'loss': {'force_weight': 2.0, 'energy_weight': 1.0}, 'epochs': 3,
    }  # fmt: skip
    for names in (('loss', 'loss.force_weight'), ('loss.force_weight', 'loss')):
        with pytest.raises(ValueError, match='is set'):
            nested(dict.fromkeys(names, 1.0))


BAD: dict[str, tuple[dict[str, Any], str]] = {
    'neither': ({'grid': None}, 'grid and points: give one of both'),
    'both': ({'grid': {'epochs': [1]}, 'points': [{'epochs': 1}]}, 'grid and points: give one of both'),
    'nothing': ({'grid': {}}, 'nothing is varied'),
    'no values': ({'grid': {'epochs': []}}, r'grid\.epochs = \[\]: give a list'),
    'option': ({'grid': {'architecture.chanels': [8]}}, r'point_0 \(architecture\.chanels = 8\).*but channels'),
    'value': ({'grid': {'learning_rate': [0.1, -1]}}, r'point_1 .*learning_rate = -1'),
    'same': ({'points': [{'epochs': 2}, {'epochs': 2}]}, 'epochs = 2 is given twice'),
    'batch': ({'grid': {'batch_size': [2, 9]}}, r'point_1_seed_0: .*batch_size = 9, but'),
}  # fmt: skip


def test_bad_input_is_refused(build: Any, count_processes: Any) -> None:
    before = count_processes()
    for changes, words in BAD.values():
        with pytest.raises(ValueError, match=words):
            build(**changes)
    with pytest.raises(ValueError, match='test: it has Na, which what point_0_seed_0 learns from scratch has not'):
        build(test=labelled(2, 4, symbol=11))
    same = labelled(4, seed=3)
    with pytest.raises(ValueError, match='test and valid share 4 configurations'):
        build(valid=same, test=same)
    assert count_processes() == before


def trained(seconds: float, epochs: int = 3, repeat: str = 'seed_0') -> dict[str, Any]:
    return {'items': {repeat: {'seconds_per_epoch': seconds, 'n_train': 9, 'n_parameters': 5, 'n_epochs': epochs}}}


def evaluated(seconds: float) -> dict[str, Any]:
    return {'audit': {'model_seconds': 100.0, 'model_calls': 14, 'resumed_calls': 4, 'seconds_per_call': seconds}}


def test_names_that_would_mix_are_refused(build: Any, instantiate: Any) -> None:
    """``a`` with ``b_c``, and ``a_b`` with ``c``, are both ``a_b_c``: one would take the place of the other."""
    inputs = build()._inputs(prune=True)
    (parameters, *_), (seed,) = inputs['parameters'].values(), inputs['trainings'].values()
    given = {
        'parameters': {'a': parameters, 'a_b': parameters},
        'settings': Dict({'points': {'a': {'x': 1}, 'a_b': {'x': 2}}}),
    }
    with pytest.raises(ValueError, match=r'two trainings would be called a_b_c, <point>_<training>; take other names'):
        instantiate(SweepWorkChain, {**inputs, **given, 'trainings': {'b_c': seed, 'c': Dict(seed.get_dict())}})
    assert instantiate(SweepWorkChain, {**inputs, **given, 'trainings': {'c': seed}}).node.is_stored
    for name in ('zero_shot', 'scratch_seed_0', 'frames', 'settings', 'metadata'):
        with pytest.raises(ValueError, match=rf'trainings\.{name}: something else is called so'):
            instantiate(SweepWorkChain, {**inputs, 'trainings': {name: seed}})


def told(point: str, repeat: str, rmse: float, epoch: float = 6.0, epochs: int = 3, use: float = 2.0) -> dict[str, Any]:
    """Return what is known of one training."""
    name = f'{point}_{repeat}'
    return {
        f'errors_{name}': errors(rmse), f'trained_{name}': trained(epoch, epochs, repeat),
        f'evaluated_{name}': evaluated(use),
    }  # fmt: skip


def test_costs_and_fronts() -> None:
    """By hand: 1 has shorter epochs than 0, but thrice as many, and is worse, but faster to use; 2 has not ended."""
    points = {'point_0': {'epochs': 3}, 'point_1': {'epochs': 9}, 'point_2': {'epochs': 4}}
    found: dict[str, Any] = {}
    for point, rmse, epoch, epochs, use in (('point_0', 30.0, 6.0, 3, 2.0), ('point_1', 40.0, 5.0, 9, 1.0)):
        for repeat, more in (('seed_0', -1.0), ('seed_1', 1.0)):
            found |= told(point, repeat, rmse + more, epoch, epochs, use)
    said = describe(points, found)
    first, second, third = said['points'].values()
    assert first['rmse_force_mev_per_ang'] == {'mean': 30.0, 'std': pytest.approx(2**0.5), 'n': 2}
    assert (first['seconds_of_training']['mean'], second['seconds_of_training']['mean']) == (18.0, 45.0)
    assert (first['seconds_per_evaluation']['mean'], second['seconds_per_evaluation']['mean']) == (2.0, 1.0)
    assert said['fronts'] == {'seconds_per_evaluation': ['point_1', 'point_0'], 'seconds_of_training': ['point_0']}
    assert third['rmse_force_mev_per_ang'] is None
    assert said['warnings'] == ['point_2: none of its trainings came to its end']


def test_points_whose_names_begin_alike() -> None:
    """``lr`` is no part of ``lr_low``, whatever their repeats are called."""
    points = {'lr': {'x': 1}, 'lr_low': {'x': 2}}
    found = told('lr', 'seed_0', 30.0) | told('lr_low', 'seed_0', 50.0) | told('lr', 'low', 32.0)
    rows = describe(points, found)['points']
    assert {name: list(one['trainings']) for name, one in rows.items()} == {
        'lr': ['seed_0', 'low'], 'lr_low': ['seed_0'],
    }  # fmt: skip
    assert [one['rmse_force_mev_per_ang']['mean'] for one in rows.values()] == [31.0, 50.0]


def test_what_is_judged_on_fewer_is_on_no_front() -> None:
    points = {'point_0': {'x': 1}, 'point_1': {'x': 2}}
    found = told('point_0', 'seed_0', 30.0) | told('point_1', 'seed_0', 10.0)
    found['errors_point_1_seed_0'] = errors(10.0, 5)
    said = describe(points, found)
    assert set(map(tuple, said['fronts'].values())) == {('point_0',)}
    assert said['warnings'][0].startswith('point_1_seed_0: its force error is of 5 configurations')


def test_choices_are_called_by_their_place() -> None:
    assert list(choices_of({'a': [1, 2], 'b': ['x']}, None)) == ['point_0', 'point_1']


@pytest.mark.e2e
def test_a_rate_that_is_too_small_is_found(build: Any, engine_code: Any) -> None:
    """Of two rates one learns nothing in as many epochs: it is off by more, at the same cost."""
    grid = {'learning_rate': [1e-7, 0.05]}
    builder = build(engine_code, grid=grid, overrides={'train': LEARNING}, options={'processes': 1})
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, (node.exit_status, node.exit_message)
    slow, fast = (outputs['comparison']['points'][name] for name in ('point_0', 'point_1'))
    assert fast['rmse_force_mev_per_ang']['mean'] < 0.5 * slow['rmse_force_mev_per_ang']['mean']
    for one in (slow, fast):
        assert one['seconds_of_training']['mean'] > 0.0 and one['seconds_per_evaluation']['mean'] > 0.0
    assert 'point_1' in outputs['comparison']['fronts']['seconds_per_evaluation']
    assert set(outputs['errors']) == {'point_0_seed_0', 'point_1_seed_0'}
