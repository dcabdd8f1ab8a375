"""Learning curves: subsets are nested and their own in each repeat, and an exact power law is found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida.engine import run_get_node

from aiida_litraj.calculations.functions.compare_sizes import describe
from aiida_litraj.calculations.functions.draw_subsets import drawn, subsets_of
from aiida_litraj.calculations.functions.split_frames import part_of
from aiida_litraj.data import FramesData, PotentialData
from aiida_litraj.workflows.learning_curve import LearningCurveWorkChain, halves
from tests.fixtures.nodes import potential
from tests.fixtures.training import labelled, mixed

LEARNING = {
    'epochs': 10, 'learning_rate': 0.05, 'architecture': {'cutoff_ang': 6.0},
    'loss': {'kind': 'mse', 'huber_delta': None, 'energy_weight': 1.0, 'force_weight': 1.0, 'stress_weight': 0.0},
}  # fmt: skip


@pytest.fixture
def build(launcher_code: Any, computer: Any) -> Any:
    def make(code: Any = None, **changes: Any) -> Any:
        given = {
            'train': labelled(8), 'valid': labelled(3, seed=1), 'test': labelled(6, seed=2), 'trainer': 'toy',
            'protocol': 'fast', 'computer': computer, **changes,
        }  # fmt: skip
        return LearningCurveWorkChain.get_builder_from_protocol(code or launcher_code, **given)

    return make


def test_subsets_are_nested_and_of_each_repeat_its_own() -> None:
    frames = labelled(12).store()
    made = subsets_of(frames, [3, 6, 12], {'seed_0': 0, 'seed_1': 1})
    ids = {name: set(node.entry_ids) for name, node in made.items()}
    for repeat in ('seed_0', 'seed_1'):
        small, middle, whole = (ids[f'{repeat}_n{size}'] for size in (3, 6, 12))
        assert small < middle < whole == set(frames.entry_ids)
        assert [len(one) for one in (small, middle, whole)] == [3, 6, 12]
    assert ids['seed_0_n3'] != ids['seed_1_n3']
    one = made['seed_1_n3']
    assert {uuid for uuid, _ in one.base.attributes.get('origins')} == {frames.uuid}
    places = [index for _, index in one.base.attributes.get('origins')]
    np.testing.assert_array_equal(one.frames.energies, frames.frames.energies[places])


def test_builder(build: Any) -> None:
    builder = build()
    assert builder.settings.get_dict() == {'sizes': [2, 4, 8]}, 'the whole set and halves of it, no less than a batch'
    assert 'potential' not in builder and len(builder.trainings) == 1
    more = build(protocol='balanced', potential=potential(), trainer=None, sizes=[4, 8], seeds=[5, 6])
    assert (more.parameters.label, more.parameters['trainer'], len(more.trainings)) == ('balanced', 'toy', 2)
    fast = build(potential=potential(), trainer=None)
    assert (fast.parameters.label, fast.parameters['architecture']) == ('fast-finetune', None)
    assert builder.parameters.label == 'fast' and builder.parameters['architecture'] is not None
    assert halves(100, 4) == [6, 12, 25, 50, 100] and halves(3, 4) == [3]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    'too many': ({'sizes': [4, 9]}, r'settings\.sizes: 9, but train has 8 configurations'),
    'twice': ({'sizes': [4, 4]}, r'settings\.sizes = \[4, 4\]: each size once'),
    'less than a batch': ({'sizes': [2, 8], 'overrides': {'train': {'batch_size': 4}}}, 'seed_0_n2: .*batch_size = 4'),
    'one': ({'sizes': [1], 'overrides': {'train': {'batch_size': 1}}}, 'one configuration, from which nothing'),
    'no start': ({'protocol': 'balanced', 'trainer': None}, 'potential, trainer and protocol: none given'),
}  # fmt: skip


def test_bad_input_is_refused(build: Any, count_processes: Any) -> None:
    before = count_processes()
    for changes, words in BAD.values():
        with pytest.raises(ValueError, match=words):
            build(**changes)
    same = labelled(8)
    with pytest.raises(ValueError, match='test and train share 8 configurations'):
        build(train=same, test=FramesData.from_frames(same.frames))
    assert count_processes() == before


@pytest.fixture
def parent(train_inputs: Any, job_node: Any) -> Any:
    """``parent(train, valid)`` is a potential that has learnt from one and was chosen by the other."""
    from tests.fixtures.nodes import Job

    def make(train: FramesData, valid: FramesData) -> PotentialData:
        made = {'potentials': {'a': PotentialData.packaged('toy', 'morse', options={'depth': 0.31}, label='mine')}}
        return job_node(train_inputs(train=train, valid=valid), Job(0, outputs=made, task='train')).outputs.potentials.a

    return make


def again(node: FramesData, seed: int, **known: Any) -> FramesData:
    """Return configurations at other places, of which no more is known than is said."""
    return FramesData.from_frames(labelled(node.n_frames, seed).frames, known)


def test_a_parent_must_not_have_learnt_the_test_set(build: Any, parent: Any) -> None:
    """Not this set: the parent's and it were each chosen, or stored, from what is the same. It knows e2_0 to e2_3."""
    pool, told = labelled(8, seed=2).store(), labelled(2, seed=12).store()
    mine = parent(part_of(pool, [0, 1, 2, 3]), told)
    new = {'entry_ids': ['n1', 'n2'], 'material_ids': ['n1', 'n2']}
    two = labelled(2, seed=30)
    materials = again(two, 33, entry_ids=['n1', 'n2'], material_ids=['m2_1', 'n'])
    places = [[pool.uuid, 3], [pool.uuid, 7]]
    cases: dict[str, tuple[FramesData, str]] = {
        'chosen from the same': (part_of(pool, [3, 4]), "test and what 'mine' learnt from share 1 configuration "),
        'moved a little': (again(two, 31, **new, origins=places), "what 'mine' learnt from share 1 configuration "),
        'by its name': (again(two, 32, entry_ids=['e2_1', 'x']), "what 'mine' learnt from share 1 entry .e2_1."),
        'what told its best epoch': (again(two, 34, entry_ids=['e12_1', 'x'], material_ids=['p', 'q']),
                                     "test and what 'mine' was chosen by share 1 entry .e12_1."),
    }  # fmt: skip
    given = {'protocol': 'balanced', 'potential': mine, 'trainer': None, 'sizes': [4, 8]}
    for case, (judged, words) in cases.items():
        with pytest.raises(ValueError, match=f'{words}.*potential lineage {mine.pk} lists'):
            build(**given, test=judged, held_out='frames')
            pytest.fail(case)
    with pytest.raises(ValueError, match=r"test and what 'mine' learnt from share 1 material .m2_1."):
        build(**given, test=materials)
    assert build(**given, test=materials, held_out='frames').test is materials
    assert build(**given, test=part_of(pool, [5, 6])).held_out.value == 'materials'
    with pytest.raises(ValueError, match="valid and what 'mine' learnt from share 1 configuration "):
        build(**given, valid=part_of(pool, [3, 4]), test=labelled(6, seed=40))
    assert build(**given, valid=told, test=labelled(6, seed=40)).valid is told


SODIUM = {
    'train': lambda: mixed(labelled(7), labelled(1, seed=3, symbol=11)),
    'test': lambda: labelled(2, 4, symbol=11),
}


def test_each_size_learns_what_it_is_judged_by(build: Any) -> None:
    """One of eight configurations has sodium: it is in every subset, and without need the draw is the plain one."""
    pool = SODIUM['train']()
    for name, node in subsets_of(pool, [2, 4], {f'seed_{seed}': seed for seed in range(8)}).items():
        assert node.base.attributes.get('elements') == ['Li', 'Na'], name
        assert len(set(node.entry_ids)) == node.n_frames == int(name[-1])
    plain = np.random.default_rng(3).permutation(8)
    assert drawn([{'Li'}] * 8, 2, 3) == plain.tolist()
    alone = [{'Na'} if index == plain[1] else {'Li'} for index in range(8)]
    assert drawn(alone, 2, 3) == plain.tolist() != drawn([{'Na'} if k == plain[5] else {'Li'} for k in range(8)], 2, 3)


def test_elements_that_are_not_learnt_judge_nothing(build: Any, count_processes: Any) -> None:
    before = count_processes()
    with pytest.raises(ValueError, match=r'test: it has Na, which what seed_0_n2 learns from scratch has not'):
        build(test=SODIUM['test']())
    three = mixed(labelled(4), labelled(2, seed=3, symbol=11), labelled(2, seed=5, symbol=19))
    with pytest.raises(ValueError, match=r'settings\.sizes: 2, but seed_0_n2 then has no (K|Li|Na), by which it is ju'):
        build(train=three, test=mixed(labelled(2, 4), labelled(2, 6, symbol=11), labelled(2, 7, symbol=19)))
    assert build(train=SODIUM['train'](), test=SODIUM['test']()).test.n_frames == 2
    assert build(potential=potential(), trainer=None, protocol='balanced', sizes=[4], test=SODIUM['test']())
    assert count_processes() == before


def errors(rmse: float, n_frames: int = 6) -> dict[str, Any]:
    return {
        'rmse_force_mev_per_ang': rmse, 'rmse_force_mev_per_ang_interval': None, 'slope_force': 0.9,
        'rmse_energy_mev_per_atom': None, 'n_frames': 6, 'n_frames_force': n_frames, 'unit': 'material',
    }  # fmt: skip


def test_power_law_of_the_sizes() -> None:
    sizes = [40, 10, 20]
    found = {f'seed_{k}_n{size}': errors(200.0 * size**-0.5) for size in sizes for k in (0, 1)}
    del found['seed_1_n10']
    said = describe([*sizes, 80], found | {'zero_shot': errors(90.0)})
    assert [one['n_train'] for one in said['sizes']] == [10, 20, 40, 80]
    assert [None if (one := row['rmse_force_mev_per_ang']) is None else one['n'] for row in said['sizes']] == [
        1,
        2,
        2,
        None,
    ]
    assert (said['power_law']['exponent'], said['power_law']['prefactor_mev_per_ang']) == pytest.approx((0.5, 200.0))
    assert said['zero_shot']['rmse_force_mev_per_ang'] == 90.0
    assert said['warnings'] == ['no training on 80 configurations came to its end']


def test_what_is_judged_on_fewer_is_not_in_the_power_law() -> None:
    """One potential lacks an element, and with it the hardest of the configurations."""
    found = {f'seed_0_n{size}': errors(200.0 * size**-0.5) for size in (10, 20, 40)}
    said = describe([5, 10, 20, 40], found | {'seed_0_n5': errors(1.0, 4)})
    assert said['power_law']['exponent'] == pytest.approx(0.5)
    (warning,) = said['warnings']
    assert warning.startswith('seed_0_n5: its force error is of 4 configurations, that of others of 6')


@pytest.mark.e2e
def test_from_configurations_to_a_curve(build: Any, engine_code: Any) -> None:
    builder = build(engine_code, sizes=[2, 8], overrides={'train': LEARNING}, options={'processes': 1})
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, (node.exit_status, node.exit_message)
    found = outputs['comparison'].get_dict()
    assert [one['n_train'] for one in found['sizes']] == [2, 8]
    assert found['sizes'][1]['rmse_force_mev_per_ang']['mean'] < 0.5 * found['rms_force_mev_per_ang']
    assert outputs['trained']['seed_0_n2']['items']['seed_0']['n_train'] == 2
    assert outputs['subsets']['seed_0_n2'].creator.process_label == 'draw_subsets'
    from aiida_litraj.groups.lineage import lineage

    learnt = lineage(outputs['potentials']['seed_0_n2']).learnt
    assert {one.entry_id for one in learnt} == set(outputs['subsets']['seed_0_n2'].entry_ids)
