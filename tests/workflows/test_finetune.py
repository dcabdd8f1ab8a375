"""Fine-tuning: what leaks is refused, offsets say what they hold for, and a known potential is found again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from aiida.engine import run_get_node

from aiida_litraj.calculations.functions.compare_finetuned import describe, forgotten, warnings
from aiida_litraj.calculations.functions.compare_labels import read_comparison
from aiida_litraj.calculations.functions.fit_offsets import describe_offsets, read_offsets, strange_forces
from aiida_litraj.contract.frames import Frames
from aiida_litraj.data import FramesData, PotentialData
from aiida_litraj.workflows.evaluate import EvaluateWorkChain
from aiida_litraj.workflows.finetune import FinetuneWorkChain
from aiida_litraj.workflows.train import TrainBaseWorkChain
from aiida_litraj.workflows.trainings import TrainingsWorkChain
from tests.fixtures.nodes import potential
from tests.fixtures.training import labelled, spoiled

SETTINGS = read_comparison(EvaluateWorkChain.get_protocol_inputs()['settings'])
LEARNING = {'epochs': 12, 'learning_rate': 0.05, 'loss': {'force_weight': 1.0}}


def sets() -> dict[str, FramesData]:
    return {'train': labelled(6), 'valid': labelled(3, seed=1), 'test': labelled(6, seed=2)}


@pytest.fixture
def build(launcher_code: Any, computer: Any) -> Any:
    """``build(**changes)`` is the builder for the Morse potential."""

    def make(code: Any = None, **changes: Any) -> Any:
        given = {'potential': potential(), 'protocol': 'fast', **sets(), 'computer': computer, **changes}
        return FinetuneWorkChain.get_builder_from_protocol(code or launcher_code, **given)

    return make


@pytest.mark.parametrize(
    ('protocol', 'seeds', 'held_out', 'offsets', 'epochs'),
    [
        ('balanced', 3, 'materials', 'least_squares', 100),
        ('litraj-2025', 1, 'materials', 'none', 100),
        ('lips25-2025', 5, 'frames', 'ridge', 200),
        ('fast', 2, 'frames', 'least_squares', 4),
    ],
)
def test_builder_of_a_protocol(protocol: str, seeds: int, held_out: str, offsets: str, epochs: int, build: Any) -> None:
    builder = build(protocol=protocol)
    assert len(builder.trainings) == seeds and builder.held_out.value == held_out
    assert (builder.comparison['offsets'], builder.parameters['epochs']) == (offsets, epochs)
    assert builder.parameters['trainer'] == 'toy', 'that of the parent'
    assert 'scratch_parameters' not in builder and builder.settings.label == protocol


def test_from_scratch_takes_the_protocol_of_the_family(build: Any, launcher_code: Any) -> None:
    assert build(from_scratch=True).scratch_parameters['architecture']['cutoff_ang'] == 4.0
    with pytest.raises(ValueError, match='from_scratch: no protocol says how a toy is trained from scratch'):
        build(protocol='balanced', from_scratch=True)
    sodium = labelled(6, seed=2, symbol=11)
    assert build(test=sodium).test is sodium, 'which the parent knows'
    with pytest.raises(ValueError, match='test: it has Na, which what scratch_seed_0 learns from scratch has not'):
        build(from_scratch=True, test=sodium)


def other(node: FramesData, seed: int = 77, **attributes: Any) -> FramesData:
    """Return other configurations that say the same of where they are from."""
    made = labelled(node.n_frames, seed=seed)
    kept = {key: node.base.attributes.get(key, None) for key in ('entry_ids', 'material_ids')} | attributes
    return FramesData.from_frames(made.frames, {key: value for key, value in kept.items() if value is not None})


def leaks() -> dict[str, tuple[dict[str, Any], str]]:
    known = sets()
    train, valid, test = known['train'], known['valid'], known['test']
    ids = [f'new{k}' for k in range(6)]
    along = {'entry_ids': ids, 'trajectory_ids': ['t'] * 6}
    return {
        'the same': ({'test': train}, 'test and train share 6 configurations'),
        'one of it': (
            {'test': FramesData.from_frames(Frames.stack([test.frames, train.frames[2]]))},
            'test and train share 1 configuration',
        ),
        'what told the best epoch': ({'test': valid}, 'test and valid share 3 configurations'),
        'entries': ({'test': other(train, material_ids=None)}, 'test and train share 6 entries'),
        'material': (
            {'test': other(train, entry_ids=ids), 'held_out': 'materials'}, 'test and train share 6 materials',
        ),
        'trajectory': (
            {'train': other(train, **along), 'test': other(test, 78, trajectory_ids=['t'] * 6),
             'held_out': 'trajectories'},
            'test and train share 1 trajectory',
        ),
        'elsewhere': ({'elsewhere': train}, 'elsewhere and train share 6 configurations'),
    }  # fmt: skip


def test_leaks_are_refused(build: Any, count_processes: Any) -> None:
    before = count_processes()
    for case, (changes, words) in leaks().items():
        with pytest.raises(ValueError, match=words):
            build(**changes)
            pytest.fail(case)
    assert count_processes() == before


BAD: dict[str, tuple[Any, str]] = {
    'no labels': (lambda: {'test': spoiled(labelled(3, seed=5), energies=None, forces=None)}, 'test: frames: none of'),
    'element': (lambda: {'test': labelled(3, seed=5, symbol=8)}, r"test: it has O, which the potential 'li' does not"),
    'settings': (
        lambda: {'overrides': {'settings': {'forgetting_tolerance': -1}}}, r'settings\.forgetting_tolerance = -1',
    ),
    'seeds': (lambda: {'seeds': [1, 1]}, 'each seed once'),
    'batch': (lambda: {'overrides': {'train': {'batch_size': 9}}}, r'seed_0: .*batch_size = 9, but'),
    'option': (lambda: {'jobs': {'train': {'options': {'devise': 'cpu'}}}}, 'devise'),
    'no jobs': (lambda: {'jobs': {'train': {'max_iterations': 0}}}, r'jobs\.train\.max_iterations = 0: give a whole'),
    'many of another': (lambda: {'jobs': {'evaluate': {'max_iterations': 3}}}, 'evaluate.max_iterations is not'),
    'job': (lambda: {'jobs': {'learn': {}}}, r'jobs\.learn: no such jobs'),
    'unit': (
        lambda: {'overrides': {'evaluate': {'settings': {'unit': 'trajectory'}}}}, r"settings\.unit = 'trajectory'",
    ),
}  # fmt: skip


def test_bad_input_is_refused(build: Any, count_processes: Any) -> None:
    before = count_processes()
    lithium = PotentialData.packaged('toy', 'morse', elements=['Li'], label='li')
    for case, (changes, words) in BAD.items():
        with pytest.raises(ValueError, match=words):
            build(potential=lithium, **changes())
            pytest.fail(case)
    assert count_processes() == before


@pytest.mark.parametrize('most', [None, 50])
def test_a_training_may_take_more_jobs(most: int | None, build: Any, instantiate: Any, monkeypatch: Any) -> None:
    builder = build(jobs={'train': {'max_iterations': most}} if most else None)
    process = instantiate(FinetuneWorkChain, builder._inputs(prune=True))
    submitted: list[Any] = []
    monkeypatch.setattr(process, 'submit', lambda chain, **inputs: submitted.append((chain, inputs)))
    TrainingsWorkChain.train(process)
    assert [chain for chain, _ in submitted] == [TrainBaseWorkChain] * 2
    assert [inputs.get('max_iterations') for _, inputs in submitted] == [most] * 2


REPLAY = {'train': {'replay': {'set': 'replay', 'weight': 0.5}}}


def test_what_the_parent_knew_is_learnt_beside_where_it_is_gone_on_from(
    build: Any, instantiate: Any, monkeypatch: Any
) -> None:
    known = labelled(5, seed=9)
    told = {'potential': PotentialData.packaged('mace', 'small'), 'overrides': REPLAY, 'replay': known}
    builder = build(**told, from_scratch=True)
    process = instantiate(FinetuneWorkChain, builder._inputs(prune=True))
    submitted: dict[str, Any] = {}
    monkeypatch.setattr(
        process, 'submit', lambda _, **inputs: submitted.update({inputs['metadata']['call_link_label']: inputs})
    )
    TrainingsWorkChain.train(process)
    jobs = {label: inputs['train'] for label, inputs in submitted.items()}
    assert set(jobs) == {f'train_{kind}seed_{seed}' for kind in ('', 'scratch_') for seed in (0, 1)}
    for label, job in jobs.items():
        scratch = 'scratch' in label
        assert [node.uuid for node in job.get('replay_sets', {}).values()] == ([] if scratch else [known.uuid])
        assert job['parameters']['replay'] == (None if scratch else {'set': 'replay', 'weight': 0.5})


def test_what_the_parent_knew_does_not_judge(build: Any, count_processes: Any) -> None:
    before = count_processes()
    told = {'potential': PotentialData.packaged('mace', 'small'), 'overrides': REPLAY}
    known, ids = sets(), [f'new{k}' for k in range(6)]
    cases: dict[str, Any] = {
        'test and replay share 6 configurations': {'replay': known['test']},
        'test and replay share 6 materials': {'replay': other(known['test'], entry_ids=ids), 'held_out': 'materials'},
        'valid_sets.valid and replay_sets.replay share 3 configurations': {'replay': known['valid']},
        'elsewhere and replay share 5 configurations': {
            'replay': labelled(5, seed=9), 'elsewhere': labelled(5, seed=9),
        },
        'replay_sets has none': {},
        "'toy' does not do what these ask for": {'replay': labelled(5, seed=9), 'potential': potential()},
    }  # fmt: skip
    for words, changes in cases.items():
        with pytest.raises(ValueError, match=words):
            build(**{**told, **changes})
            pytest.fail(words)
    assert count_processes() == before


def test_inputs_of_a_chain_are_checked_too(build: Any, instantiate: Any) -> None:
    inputs = build()._inputs(prune=True)
    with pytest.raises(ValueError, match='test and train share'):
        instantiate(FinetuneWorkChain, {**inputs, 'test': inputs['train']})


def glass(scale: list[float], numbers: tuple[int, ...] = (3, 3, 16), energy: float = 0.0) -> Frames:
    """Return configurations whose forces are these times those of a pattern."""
    rng = np.random.default_rng(8)
    frames = []
    for one in scale:
        positions, forces = rng.normal(size=(2, len(numbers), 3))
        frames.append(Frames.of_one(list(numbers), positions, 9 * np.eye(3), [True] * 3, energy, one * forces))
    return Frames.stack(frames)


def test_offsets_of_one_composition_hold_for_nothing_else() -> None:
    """25 structures of one composition do not fix two elements; it is said, and what is safe."""
    labels, parent = glass([1.0] * 25, energy=-3.0), glass([1.0] * 25)
    said = describe_offsets(labels, parent, SETTINGS, {'test': glass([1.0] * 4), 'elsewhere': glass([1.0], (3, 16))})
    assert (said['rank'], said['unique']) == (1, False)
    counts = dict(zip(said['elements'], said['offsets_ev']))
    assert 2 * counts['Li'] + counts['S'] == pytest.approx(-3.0, abs=1e-9)
    assert said['rmse_left_mev_per_atom'] == pytest.approx(0.0, abs=1e-9)
    assert said['holds_for']['elsewhere'] == {'safe': [], 'unsafe': ['LiS'], 'n_safe': 0}
    first, second = said['warnings']
    assert 'determine 1 of 2 offsets (Li, S): energies after training are safe for Li2S, and' in first
    assert second == 'elsewhere: the offsets do not hold for LiS, whose energies are not compared'
    settings = SETTINGS.model_copy(update={'offsets': 'none'})
    assert describe_offsets(labels, parent, settings, {})['warnings'] == []


def nodes(**predicted: Frames) -> dict[str, FramesData]:
    return {name: FramesData.from_frames(one) for name, one in predicted.items()}


@pytest.mark.parametrize(
    ('factor', 'told'),
    [(1.0, None), (0.6, None), (1.0 / 51.42, '51.4 times'), (-1.0, '-1 times'), (4.0, '0.25 times'), (0.0, None)],
)
def test_labels_in_another_unit_are_told(factor: float, told: str | None) -> None:
    """A parent that is right, beside labels in Hartree/Bohr, gradients, and one that is four times too soft."""
    truth = labelled(3).frames
    said = strange_forces(replace(truth, forces=factor * truth.forces), truth)
    assert said == [] if told is None else (len(said) == 1 and f'the parent are {told} those of the labels' in said[0])


def test_improvement_of_a_softened_parent() -> None:
    """Known: 0.7 times the label before and 0.9 after is a third of the error, and slopes of just that."""
    ones = [1.0] * 8
    labels = FramesData.from_frames(glass(ones), {'material_ids': [f'm{k}' for k in range(8)]})
    fit = read_offsets(describe_offsets(glass(ones), glass(ones), SETTINGS, {}))
    before, after, worse = (replace(glass(ones), forces=factor * glass(ones).forces) for factor in (0.7, 0.9, 1.5))
    found = describe(labels, nodes(zero_shot=before, seed_0=after, seed_1=after, scratch_seed_0=worse), fit, SETTINGS)
    tuned, scratch = found['improvement']['fine_tuned']['force'], found['improvement']['from_scratch']['force']
    assert tuned['ratio'] == pytest.approx(1 / 3) and tuned['ratio_interval'] == pytest.approx([1 / 3] * 2)
    assert (tuned['better'], scratch['better'], scratch['worse']) == (True, False, True)
    assert found['repeats']['fine_tuned']['slope_force'] == {'mean': pytest.approx(0.9), 'std': 0.0, 'n': 2}
    assert found['fine_tuned_over_scratch']['force']['ratio'] == pytest.approx(0.2)
    assert (found['unit'], found['n_groups']) == ('material', 8)
    assert found['improvement']['fine_tuned']['energy'] is None, 'there is no error to compare with'


def test_what_a_potential_has_not_evaluated_is_told() -> None:
    """It is left out for the others too: the harder half, of which they are then not told to be off."""
    ones = [1.0] * 8
    fit = read_offsets(describe_offsets(glass(ones), glass(ones), SETTINGS, {}))
    before, after = (replace(glass(ones), forces=factor * glass(ones).forces) for factor in (0.7, 0.9))
    there = np.arange(24)[:, None] < 15
    half = replace(after, energies=np.r_[[0.0] * 5, [np.nan] * 3], forces=np.where(there, after.forces, np.nan))
    labels = FramesData.from_frames(glass(ones))
    found = describe(labels, nodes(zero_shot=before, seed_0=after, scratch_seed_0=half), fit, SETTINGS)
    assert found['potentials']['zero_shot']['n_frames_force'] == 5
    said = warnings({'test': found, 'elsewhere': None}, None)
    assert said[0] == 'test: scratch_seed_0 has not evaluated 3 of 8 configurations, left out for all'


def test_over_what_intervals_go_is_told_as_far_as_it_is_known() -> None:
    """Of one material they say nothing of others; where each configuration is one of its own there is no doubt."""
    ones = [1.0] * 8
    fit = read_offsets(describe_offsets(glass(ones), glass(ones), SETTINGS, {}))
    before, after = (replace(glass(ones), forces=factor * glass(ones).forces) for factor in (0.7, 0.9))
    by_frame = SETTINGS.model_copy(update={'unit': 'frame'})

    def told(names: list[str | None] | None) -> list[str]:
        labels = FramesData.from_frames(glass(ones), {} if names is None else {'material_ids': names})
        found = describe(labels, nodes(zero_shot=before, seed_0=after), fit, by_frame)
        return warnings({'test': found, 'elsewhere': None}, None)

    assert told(['a'] * 8) == ['test: all 8 configurations are of one material: the intervals say nothing of others']
    assert 'over 8 single configurations of 2 materials' in told(['a', 'b'] * 4)[0]
    assert told([f'm{k}' for k in range(8)]) == []
    for unknown in (None, ['a', None] * 4):
        assert 'if some are of one trajectory or material' in told(unknown)[0]


@pytest.mark.parametrize(('factor', 'forgets'), [(0.7, False), (0.69, False), (0.5, True), (0.9, False)])
def test_forgetting_is_beyond_the_tolerance(factor: float, forgets: bool) -> None:
    """From 0.7 times the label: to 0.69 it is 3 % worse, to 0.5 two thirds."""
    ones = [1.0] * 8
    labels, fit = (
        FramesData.from_frames(glass(ones)),
        read_offsets(describe_offsets(glass(ones), glass(ones), SETTINGS, {})),
    )
    before, after = (replace(glass(ones), forces=one * glass(ones).forces) for one in (0.7, factor))
    found = describe(labels, nodes(zero_shot=before, seed_0=after), fit, SETTINGS)
    assert forgotten(found, 0.05) is forgets
    assert any('it forgets' in one for one in warnings({'test': None, 'elsewhere': found}, forgets)) is forgets
    assert forgotten(None, 0.05) is None


@pytest.mark.e2e
def test_the_truth_is_found_and_what_fails_leaves_it(build: Any, engine_code: Any) -> None:
    """The labels are of another Morse potential, to which the parent comes close; elsewhere, in a wider crystal, too.

    From scratch the trainer dies in its first epoch: all else is there, and the chain ends with 501.
    """
    given = sets() | {'elsewhere': labelled(6, seed=9, constant=4.3)}
    changes = {'train': LEARNING, 'from_scratch': {'epochs': 1, 'native': {'fail_in_epoch': 1}}}
    builder = build(engine_code, **given, overrides=changes, seeds=[3], from_scratch=True, options={'processes': 1})
    outputs, node = run_get_node(builder)
    assert (node.exit_status, node.exit_message) == (501, '1 of 2 trainings converged')
    assert set(outputs['potentials']) == {'seed_3'}
    found = outputs['comparison'].get_dict()
    test = found['test']
    assert set(test['potentials']) == {'zero_shot', 'seed_3'}
    before, after = (test['potentials'][name] for name in ('zero_shot', 'seed_3'))
    assert after['rmse_force_mev_per_ang'] < 0.5 * before['rmse_force_mev_per_ang']
    assert abs(after['slope_force'] - 1.0) < abs(before['slope_force'] - 1.0)
    improvement = test['improvement']['fine_tuned']['force']
    assert improvement['better'] is True and improvement['n_groups'] == 6
    errors = {name: outputs['errors'][name]['rmse_force_mev_per_ang'] for name in ('zero_shot', 'seed_3')}
    assert errors['seed_3'] == pytest.approx(after['rmse_force_mev_per_ang'], rel=1e-9)
    assert improvement['ratio'] == pytest.approx(errors['seed_3'] / errors['zero_shot'], rel=1e-9)
    assert (found['forgets'], set(outputs['errors_elsewhere'])) == (False, {'zero_shot', 'seed_3'})
    assert outputs['offsets']['rank'] == 1 and outputs['offsets']['unique']
