"""``launch finetune``, ``learning-curve`` and ``sweep``: what is held back, what is refused, what is said of each."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiida.orm import Dict
from click.testing import CliRunner

from aiida_litraj.calculations.functions.compare_finetuned import compare_finetuned
from aiida_litraj.calculations.functions.fit_offsets import fit_parent_offsets
from aiida_litraj.cli import finetune, launching, learning_curve, main, sweep
from aiida_litraj.data import FramesData, PotentialData
from aiida_litraj.workflows.finetune import FinetuneWorkChain
from aiida_litraj.workflows.learning_curve import LearningCurveWorkChain
from aiida_litraj.workflows.sweep import SweepWorkChain
from tests.fixtures.nodes import potential
from tests.fixtures.sets import store_set
from tests.fixtures.training import labelled
from tests.report.test_trainings import sized, swept

TUNE = ('finetune', '--potential', 'morse', '--protocol', 'fast')
CURVE = ('learning-curve', '--trainer', 'toy', '--protocol', 'fast')
SWEEP = ('sweep', '--trainer', 'toy', '--protocol', 'fast', '--vary', 'architecture.cutoff_ang=4,6')


@pytest.fixture
def code(aiida_profile_clean: Any, aiida_localhost: Any) -> Any:
    """A code that has the toy family, and potentials."""
    from aiida_litraj.codes.environment import Environment
    from aiida_litraj.codes.register import register
    from aiida_litraj.contract.potential import FamilyReport, ProbeReport

    PotentialData.packaged('toy', 'morse').store()
    PotentialData.packaged('mace', 'small').store()
    families = [
        FamilyReport(family=name, available=True, package=package)
        for name, package in {'toy': 'numpy', 'mace': 'mace-torch'}.items()
    ]
    report = ProbeReport(engine_version='0', python_version='3', python='p', platform='l', families=families)
    return register(Environment('toy', aiida_localhost.label, sys.executable), report).code


@pytest.fixture
def launch(code: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that launches, what it printed, and the builder that would have run."""

    def call(command: str, *arguments: str) -> tuple[Any, Any]:
        taken: list[Any] = []
        monkeypatch.setattr(launching, 'run', lambda builder, *rest: taken.append(builder))
        done = CliRunner().invoke(main, ['launch', command, *arguments])
        return done, taken[0] if taken else None

    return call


def test_parts_are_held_back_and_it_is_stored_how(launch: Any) -> None:
    """Of ten materials two are for the test; of the other eight one tells the best epoch."""
    source = labelled(10).store()
    done, builder = launch(
        *TUNE, str(source.pk), '--held-out', 'materials', '--seeds', '3,4', '--epochs', '7', '--no-cache',
        '--max-iterations', '40', '--learning-rate', '0.004', '--batch-size', '3',
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert 'toy on from morse: 7 configurations of Li to learn, 1 to tell the best epoch, 2 to judge by' in done.output
    assert '2 trainings of up to 7 epochs, protocol fast' in done.output
    assert [builder.parameters[name] for name in ('epochs', 'learning_rate', 'batch_size')] == [7, 0.004, 3]
    ids = [node.base.attributes.get('material_ids') for node in (builder.train, builder.valid, builder.test)]
    assert sorted(name for some in ids for name in some) == sorted(source.base.attributes.get('material_ids'))
    rest = builder.train.creator.inputs.frames
    assert rest.creator.pk == builder.test.creator.pk and rest.creator.inputs.frames.pk == source.pk
    assert {uuid for uuid, _ in builder.train.base.attributes.get('origins')} == {source.uuid}
    assert builder.jobs['train']['disable_cache'] is True
    assert builder.jobs['train']['max_iterations'] == 40 and 'max_iterations' not in builder.jobs['evaluate']


def test_what_the_parent_knew_is_learnt_beside(launch: Any) -> None:
    source, known = labelled(10).store(), labelled(5, seed=9).store()
    told = ('finetune', '--potential', 'small', '--protocol', 'fast', str(source.pk), '--replay', str(known.pk))
    done, builder = launch(*told, '--replay-weight', '0.25')
    assert done.exit_code == 0, done.output
    assert 'to judge by (new frames), 5 that it knew beside; 2 trainings' in done.output
    assert builder.replay.uuid == known.uuid
    assert builder.parameters['replay'] == {'set': 'replay', 'weight': 0.25}


def test_sets_of_a_data_set(launch: Any) -> None:
    store_set('made', 30)
    sets = ('made/train', '--valid', 'made/val', '--test', 'made/test', '--number', '6')
    done, builder = launch(*CURVE, *sets, '--sizes', '2,6')
    assert done.exit_code == 0, done.output
    assert (builder.train.n_frames, builder.settings['sizes']) == (6, [2, 6])
    assert 'subsets of 2, 6, 2 trainings of up to 4 epochs' in done.output
    assert 'max_iterations' not in builder.jobs['train']
    done, builder = launch(*SWEEP, *sets, '--seeds', '0,1')
    assert done.exit_code == 0, done.output
    assert '2 points, 4 trainings' in done.output
    assert [node['architecture']['cutoff_ang'] for node in builder.parameters.values()] == [4, 6]


def test_values_are_numbers() -> None:
    assert sweep.parse_grid(('learning_rate=1e-3,0.1', 'optimizer=adam,adamw')) == {
        'learning_rate': [0.001, 0.1], 'optimizer': ['adam', 'adamw'],
    }  # fmt: skip


REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    'judged on what is learnt': ((*TUNE, '{good}', '--test', '{good}'), 'share'),
    'test and a part': ((*TUNE, '{good}', '--test', '{other}', '--test-fraction', '0.3'), '--test-fraction parts'),
    'replay is judged on': (
        ('finetune', '--potential', 'small', '--protocol', 'fast', '{good}', '--replay', '{good}'),
        'test and replay share',
    ),
    'elsewhere is learnt': ((*TUNE, '{good}', '--elsewhere', '{good}'), 'elsewhere and train share'),
    'no labels': ((*TUNE, '{good}', '--test', '{bare}'), 'test: frames: none of the'),
    'one material': ((*TUNE, '{same}', '--held-out', 'materials'), 'cannot be parted without tearing it apart'),
    'sizes': ((*CURVE, '{good}', '--sizes', '2;6'), "--sizes '2;6' does not parse"),
    'too many': ((*CURVE, '{good}', '--sizes', '60'), 'settings.sizes: 60, but train has'),
    'nothing to begin with': (('learning-curve', '{good}'), 'potential, trainer and protocol: none given'),
    'option': ((*SWEEP, '{good}', '--vary', 'learningrate=1,2'), 'learningrate'),
    'twice': ((*SWEEP, '{good}', '--vary', 'epochs=1', '--vary', 'epochs=2'), 'epochs is varied twice'),
    'no values': ((*SWEEP, '{good}', '--vary', 'epochs'), "--vary 'epochs' does not parse"),
}  # fmt: skip


def test_refusals_as_json(launch: Any, count_processes: Any) -> None:
    bare = replace(labelled(4, seed=5).frames, energies=None, forces=None)
    nodes = {
        'good': labelled(12).store().pk,
        'other': labelled(4, seed=6).store().pk,
        'same': labelled(6, seed=7, material_ids=['x'] * 6).store().pk,
        'bare': FramesData.from_frames(bare).store().pk,
    }
    before = count_processes()
    for case, (options, words) in REFUSED.items():
        done, builder = launch(*(one.format(**nodes) for one in options), '--json')
        assert builder is None and done.exit_code in (1, 2), case
        assert words in json.loads(done.stdout)['error']['message'], (case, done.stdout)
    assert count_processes() == before, 'nothing is stored of what is refused'


def ended(instantiate: Any, chain: Any, builder: Any, **outputs: Any) -> Any:
    """Return the node of a chain that has given these."""
    process = instantiate(chain, builder._inputs(prune=True))
    for name, node in outputs.items():
        process.out(name, node.store() if not node.is_stored else node)
    process.update_outputs()
    process.node.set_exit_status(0)
    return process.node


SETS = {'protocol': 'fast', 'seeds': [0]}


@pytest.fixture
def sets() -> dict[str, FramesData]:
    return {'train': labelled(6), 'valid': labelled(3, seed=1), 'test': labelled(6, seed=2)}


def softer(node: FramesData, factor: float) -> FramesData:
    frames = node.frames
    assert frames.forces is not None
    return FramesData.from_frames(replace(frames, forces=factor * frames.forces))


def test_what_is_said_of_a_finetuning(
    instantiate: Any, launcher_code: Any, computer: Any, sets: Any, tmp_path: Path, capsys: Any
) -> None:
    """A parent that is softer by a fifth and then by a tenth: half of the error."""
    elsewhere = labelled(6, seed=4)
    builder = FinetuneWorkChain.get_builder_from_protocol(
        launcher_code, potential(label='morse'), **sets, elsewhere=elsewhere, computer=computer, **SETS
    )
    settings = {name: builder[name] for name in ('comparison', 'settings')}
    offsets = fit_parent_offsets(sets['train'], sets['train'], settings['comparison'], test=sets['test'])
    compared = compare_finetuned(
        test=sets['test'], elsewhere=elsewhere, offsets=offsets, **settings,
        test_seed_10=softer(sets['test'], 0.9), test_zero_shot=softer(sets['test'], 0.8),
        test_seed_2=softer(sets['test'], 0.9), elsewhere_seed_10=softer(elsewhere, 0.7),
        elsewhere_zero_shot=softer(elsewhere, 0.9), elsewhere_seed_2=softer(elsewhere, 0.7),
    )  # fmt: skip
    chain = ended(instantiate, FinetuneWorkChain, builder, comparison=compared, offsets=offsets)
    result = finetune.finetune_of(chain)
    assert result is not None and json.loads(json.dumps(result)) == result
    assert result['test']['improvement']['fine_tuned']['force']['ratio'] == pytest.approx(0.5)
    assert (result['forgets'], result['parent'], result['n_train']) == (True, 'morse', 6)
    assert finetune.finetune_line(result).endswith('meV/Å, forgets')
    finetune.print_finetune(result)
    said = capsys.readouterr()
    assert 'Force error fine-tuned / parent: 0.500 [0.500, 0.500], better' in said.out and 'Forgets: yes' in said.out
    assert 'mean of 2 seeds' in said.out and '95 % interval over 6 materials' in said.out
    rows = [line.split()[0] for line in said.out.splitlines() if line.strip().startswith(('parent (', 'seed_', 'mean'))]
    assert rows == ['parent', 'seed_2', 'seed_10', 'mean', 'parent', 'seed_2', 'seed_10', 'mean']
    assert 'fitted to the 6 configurations learnt' in said.out
    assert 'it forgets' in said.err
    assert finetune.save_picture(chain, tmp_path / 'a.png').stat().st_size > 10_000


def test_what_is_said_of_a_learning_curve(
    instantiate: Any, launcher_code: Any, computer: Any, sets: Any, tmp_path: Path, capsys: Any
) -> None:
    builder = LearningCurveWorkChain.get_builder_from_protocol(
        launcher_code, **sets, trainer='toy', computer=computer, **SETS
    )
    content = sized() | {'n_test': 6, 'warnings': [], 'rms_force_mev_per_ang': 400.0}
    chain = ended(instantiate, LearningCurveWorkChain, builder, comparison=Dict(content))
    result = learning_curve.curve_of(chain)
    assert result is not None and json.loads(json.dumps(result)) == result
    assert learning_curve.curve_line(result).startswith('RMSE of forces by configurations learnt: 6: ')
    learning_curve.print_curve(result)
    said = capsys.readouterr().out
    assert 'toy, from scratch' in said and 'to the power of -0.40 ± 0.02 (standard error of the fit)' in said
    assert 'parent' in said and 'to the test set' in said and 'up to 4 epochs of each size' in said
    assert learning_curve.save_picture(chain, tmp_path / 'a.png').stat().st_size > 10_000
    for one in result['sizes']:
        one['trainings'] = dict(list(one['trainings'].items())[:1])
    learning_curve.print_curve(result)
    said = capsys.readouterr().out
    assert 'to the power' not in said and 'One seed' in said


def test_what_is_said_of_a_sweep(
    instantiate: Any, launcher_code: Any, computer: Any, sets: Any, tmp_path: Path, capsys: Any
) -> None:
    grid = {'architecture.channels': [8, 16, 32, 64]}
    builder = SweepWorkChain.get_builder_from_protocol(
        launcher_code, **sets, grid=grid, trainer='toy', computer=computer, **SETS
    )
    content = swept() | {'warnings': ['point_9: none of its trainings came to its end']}
    for one in content['points'].values():
        one |= {'slope_force': None, 'rmse_energy_mev_per_atom': None}
    chain = ended(instantiate, SweepWorkChain, builder, comparison=Dict(content))
    result = sweep.sweep_of(chain)
    assert result is not None and json.loads(json.dumps(result)) == result
    assert sweep.sweep_line(result) == 'Least RMSE of forces: 60 ± 4 meV/Å with channels 64'
    sweep.print_sweep(result)
    said = capsys.readouterr()
    assert 'channels 16' in said.out and said.out.count('*') == 8 and 'point_9' in said.err
    assert 'to the test set' in said.out and 'no front' not in said.out
    for one in result['points'].values():
        one['seconds_per_evaluation'] = {'mean': 0.01, 'std': 0.001, 'n': 3}
    sweep.print_sweep(result)
    said = capsys.readouterr()
    assert said.out.count('*') == 4 and 'Of use: costs within 1 % of each other: no front' in said.out
    assert sweep.save_picture(chain, tmp_path / 'a.png').stat().st_size > 10_000
