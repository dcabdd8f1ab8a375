"""``launch train``: where configurations come from, what is held back, what is said of how it went."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from aiida.orm import ArrayData, Dict
from click.testing import CliRunner

from aiida_litraj.cli import launching, main
from aiida_litraj.cli.live import Gauge, describe, seconds_left
from aiida_litraj.cli.train import print_lineage, print_training, save_picture, training_line, training_of
from aiida_litraj.contract.result import ActiveItem, Progress
from aiida_litraj.contract.train import CURVE, TrainItemResult
from aiida_litraj.data import FramesData, PotentialData
from tests.fixtures.nodes import Job, potential
from tests.fixtures.sets import store_set
from tests.fixtures.training import labelled, mixed, train_parameters, training

FAST = ('--trainer', 'toy', '--protocol', 'fast')


@pytest.fixture
def code(aiida_profile_clean: Any, aiida_localhost: Any) -> Any:
    """A code that has the toy family, and potentials."""
    from aiida_litraj.codes.environment import Environment
    from aiida_litraj.codes.register import register
    from aiida_litraj.contract.potential import FamilyReport, ProbeReport

    PotentialData.packaged('toy', 'morse').store()
    PotentialData.packaged('toy', 'morse', elements=['O'], label='oxides').store()
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

    def call(*arguments: str) -> tuple[Any, Any]:
        taken: list[Any] = []
        monkeypatch.setattr(launching, 'run', lambda builder, *rest: taken.append(builder))
        done = CliRunner().invoke(main, ['launch', 'train', *arguments])
        return done, taken[0].train if taken else None

    return call


def test_part_of_a_file_is_held_back(launch: Any, tmp_path: Path) -> None:
    frames, path = labelled(10, material_ids=None, entry_ids=None), tmp_path / 'ten.extxyz'
    ase.io.write(path, frames.to_ase())
    done, job = launch(
        str(path), *FAST, '--valid-fraction', '0.3', '--split-seed', '5', '--seeds', '3,4', '--epochs', '7',
        '--batch-size', '3', '--no-cache', '--max-seconds', '9',
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    said = (
        'toy from scratch: 7 configurations of Li to learn, 3 to judge by (new frames); 2 trainings of up to 7 epochs'
    )
    assert said in done.output
    learnt, judging = job.train_sets['train'], job.valid_sets['valid']
    assert learnt.creator.pk == judging.creator.pk
    assert learnt.creator.inputs.settings.get_dict() == {'valid_fraction': 0.3, 'seed': 5, 'held_out': 'frames'}
    energies = np.concatenate([learnt.frames.energies, judging.frames.energies])
    np.testing.assert_allclose(sorted(energies), sorted(frames.frames.energies), atol=1e-7)
    assert (job.parameters['epochs'], job.parameters['batch_size'], job.parameters['trainer']) == (7, 3, 'toy')
    assert {name: node['seed'] for name, node in job.trainings.items()} == {'seed_3': 3, 'seed_4': 4}
    assert job.metadata.disable_cache is True and job.metadata.options.max_seconds == 9


def test_splits_of_a_data_set(launch: Any) -> None:
    store_set('made', 30)
    done, job = launch('made/train', '--valid', 'made/val', *FAST, '--held-out', 'materials', '--number', '6')
    assert done.exit_code == 0, done.output
    assert (job.train_sets['train'].n_frames, job.valid_sets['valid'].n_frames) == (6, 3)
    assert job.train_sets['train'].creator.process_label == 'select_entries'
    assert job.held_out.value == 'materials'


def test_going_on_from_a_potential(launch: Any) -> None:
    pk = str(labelled(6).store().pk)
    done, job = launch(pk, '--potential', 'morse', '--protocol', 'fast-finetune', '--held-out', 'materials')
    assert done.exit_code == 0, done.output
    assert 'toy on from morse: 5 configurations' in done.output
    assert job.potential.label == 'morse' and job.parameters['architecture'] is None


def test_what_the_potential_knew_is_learnt_beside(launch: Any, tmp_path: Path) -> None:
    path, known = tmp_path / 'known.extxyz', labelled(5, seed=9)
    ase.io.write(path, known.to_ase())
    told = (str(labelled(6).store().pk), '--potential', 'small', '--protocol', 'fast-finetune', '--held-out', 'frames')
    done, job = launch(*told, '--replay', str(path), '--replay-weight', '0.25')
    assert done.exit_code == 0, done.output
    assert '(new frames), 5 that it knew beside; ' in done.output
    np.testing.assert_allclose(job.replay_sets['replay'].frames.positions, known.frames.positions, atol=1e-7)
    assert job.parameters['replay'] == {'set': 'replay', 'weight': 0.25}
    done, job = launch(*told, '--replay', str(known.store().pk))
    assert job.replay_sets['replay'].uuid == known.uuid and job.parameters['replay']['weight'] == 1.0, done.output
    done, job = launch(*told)
    assert not len(job.replay_sets) and 'beside' not in done.output, done.output


def test_compositions_whose_energies_are_not_fixed_are_told(launch: Any) -> None:
    """Of one composition the sum of the offsets is known, and no other; of two elements alone both are."""
    one = labelled(4, seed=2)
    numbers = np.tile([3, 3, 3, 11], 4)
    salt = FramesData.from_frames(replace(one.frames, numbers=numbers)).store()
    other = replace(labelled(3, seed=3).frames, numbers=np.tile([3, 11, 11, 11], 3))
    valid = FramesData.from_frames(other, {'material_ids': ['v'] * 3}).store()
    done, _ = launch(str(salt.pk), '--valid', str(valid.pk), *FAST)
    assert done.exit_code == 0 and 'Warning: what is learnt does not fix the energies of' in done.output, done.output
    whole = mixed(labelled(4, seed=5), labelled(4, seed=6, symbol=11)).store()
    for options in ((str(whole.pk), '--valid', str(valid.pk), *FAST), (str(salt.pk), *FAST)):
        done, _ = launch(*options)
        assert done.exit_code == 0 and 'Warning' not in done.output, done.output


REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    'no file': (('a.xyz', *FAST), 'a.xyz: there is no such file'),
    'nothing to begin with': (('{good}',), 'potential, trainer and protocol: none given'),
    'no labels': (('{bare}', *FAST), 'configurations have no energy to learn from'),
    'valid and a part': (('{good}', *FAST, '--valid', '{good}', '--split-seed', '1'), '--split-seed parts SOURCE'),
    'weight of nothing': (('{good}', *FAST, '--replay-weight', '2'), '--replay-weight 2 is of --replay, which is not'),
    'replay by a toy': (
        ('{good}', '--potential', 'morse', '--protocol', 'fast-finetune', '--replay', '{good}'),
        "parameters.trainer = 'toy' does not do what these ask for: parameters.replay",
    ),
    'judged by what is learnt': (('{good}', *FAST, '--valid', '{good}'), 'share 4 configurations'),
    'one material': (('{same}', *FAST, '--held-out', 'materials'), 'of one material or chemical system (x) cannot'),
    'element that the parent does not know': (
        ('{good}', '--potential', 'oxides', '--protocol', 'fast-finetune'), "potential 'oxides' does not cover Li",
    ),
    'batch larger than the set': (('{good}', *FAST, '--batch-size', '9'), 'parameters.batch_size = 9, but'),
    'seeds': (('{good}', *FAST, '--seeds', '1;2'), "--seeds '1;2' does not parse"),
    'criteria of a node': (('{good}', *FAST, '--number', '3'), 'is taken whole'),
    'epochs twice': (
        ('{good}', *FAST, '--epochs', '3', '--override', 'parameters.epochs=4'), 'parameters.epochs is set twice',
    ),
    'protocol': (('{good}', '--trainer', 'toy'), "protocol 'scratch-toy' is not known"),
    'trainer of another family': (
        ('{good}', '--potential', 'morse', '--trainer', 'mace'),
        "--trainer mace cannot go on from 'morse', a potential of the family toy; leave out --trainer",
    ),
    'a protocol from scratch': (
        ('{good}', '--potential', 'morse', '--protocol', 'fast'), 'litraj-2025 and fast-finetune go on from a potential'
    ),
    'one configuration': (('{one}', *FAST), 'there is one configuration only, and nothing to be held back'),
    'no rate': (('{good}', *FAST, '--learning-rate', '0'), '--learning-rate'),
    'family that no code has': (('{good}', '--trainer', 'graph_pes'), "family 'graph_pes'"),
}  # fmt: skip


def test_refusals_as_json(launch: Any, count_processes: Any) -> None:
    from dataclasses import replace

    bare = replace(labelled().frames, energies=None)
    nodes = {
        'good': labelled().store().pk,
        'same': labelled(4, material_ids=['x'] * 4).store().pk,
        'bare': FramesData.from_frames(bare).store().pk,
        'one': labelled(1).store().pk,
    }
    before = count_processes()
    for case, (options, words) in REFUSED.items():
        done, builder = launch(*(one.format(**nodes) for one in options), '--json')
        assert builder is None and done.exit_code in (1, 2), case
        assert words in json.loads(done.stdout)['error']['message'], case
    assert count_processes() == before, 'nothing is stored of what is refused'


@pytest.fixture
def chain(train_inputs: Any, job_node: Any, instantiate: Any) -> Any:
    """A chain that has ended: one training to the end, one that diverged."""
    from aiida_litraj.workflows.train import TrainBaseWorkChain

    inputs = train_inputs({'a': training(1), 'b': training(2)}, train_parameters('fast-finetune'), potential())
    inputs['parameters'].label = 'fast-finetune'
    process = instantiate(TrainBaseWorkChain, {'train': inputs})
    items = {
        'a': TrainItemResult(
            id='a', status='finished', converged=True, n_epochs=20, best_epoch=12, valid_force_mev_per_ang=31.4,
        ),
        'b': TrainItemResult(
            id='b', status='failed', converged=False, label='ERROR_TRAINING_DIVERGED', reason='it went up', n_epochs=20,
            best_epoch=3,
        ),
    }  # fmt: skip
    results = {'items': {name: item.model_dump(mode='json', exclude={'id'}) for name, item in items.items()}}
    epochs = np.arange(1.0, 21.0)
    columns = dict.fromkeys(CURVE, 50.0 / epochs + 3.0) | {'epoch': np.arange(1, 21)}
    columns |= {name: np.full(20, np.nan) for name in CURVE if 'stress' in name}
    made = {
        'results': Dict(results),
        'potentials': {'a': PotentialData.packaged('toy', 'morse', options={'depth': 0.3}, label='toy-a-01234567')},
        'curves': {name: ArrayData(columns) for name in 'ab'},
    }
    job = job_node(inputs, Job(0, outputs=made, task='train'))
    for name, node in (('results', job.outputs.results), ('potentials.a', job.outputs.potentials.a)):
        process.out(name, node)
    for name in 'ab':
        process.out(f'curves.{name}', job.outputs.curves[name])
    process.update_outputs()
    process.node.set_exit_status(501)
    return process.node


def test_what_is_said_of_a_chain(chain: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = training_of(chain)
    assert result is not None
    assert json.loads(json.dumps(result)) == result
    assert (result['parent'], result['protocol'], result['n_train'], result['held_out']) == (
        'morse', 'fast-finetune', 4, 'materials',
    )  # fmt: skip
    assert result['trainings']['a']['potential']['label'] == 'toy-a-01234567'
    assert result['trainings']['b']['potential'] is None
    assert training_line(result) == 'Validation force error: a 31.4 meV/Å, b failed'
    print_training(result)
    said = capsys.readouterr()
    assert 'toy, on from morse' in said.out and 'potential lineage toy-a-01234567' in said.out
    assert 'b: it went up' in said.err
    written = save_picture(chain, tmp_path / 'curves.png')
    assert written.stat().st_size > 10_000


def test_lineage_of_what_was_trained(chain: Any) -> None:
    pk = str(chain.outputs.potentials.a.pk)
    done = CliRunner().invoke(main, ['potential', 'lineage', pk, '--json'])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said['n_learnt'], said['n_validated'], [one['label'] for one in said['parents']]) == (4, 3, ['morse'])
    assert {one['entry_id'] for one in said['learnt']} == {f'e0_{index}' for index in range(4)}
    plain = CliRunner().invoke(main, ['potential', 'lineage', pk])
    assert '4 configurations of 4 materials' in plain.output


def test_lineage_of_what_was_not_trained_here(capsys: pytest.CaptureFixture[str]) -> None:
    print_lineage({'label': 'x', 'trainings': []})
    assert 'x was not trained here' in capsys.readouterr().out


def under_way(step: int, left: float | None, loss: float | None = 0.012345, n_items: int = 3) -> Progress:
    item = ActiveItem(id='seed_1', phase='training', step=step, max_steps=100, loss=loss, seconds_left=left)
    return Progress(
        task='train', n_items=n_items, n_finished=1 if n_items > 1 else 0, n_converged=0, n_active=1, model_calls=0,
        wall_seconds=1.0, updated_at='', active=[item],
    )  # fmt: skip


def test_epoch_loss_and_time_left_of_what_runs() -> None:
    """The training that waits takes as long as the whole of the one under way."""
    state = under_way(25, 300.0)
    assert seconds_left(state) == pytest.approx(300.0 + 400.0)
    expected = '1 of 3 trainings done, seed_1: epoch 25 of 100, validation loss 0.01235, about 12 min left'
    assert describe(state) == expected
    alone = under_way(0, None, None, n_items=1)
    assert (seconds_left(alone), describe(alone)) == (None, 'epoch 0 of 100')
    gauge = Gauge()
    assert [gauge.update(under_way(step, None)) for step in (0, 50)] == pytest.approx([1 / 3, 0.5])
