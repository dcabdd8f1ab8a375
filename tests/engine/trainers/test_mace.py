"""``mace_run_train`` as a trainer: it learns, leaves what it says, and a broken run ends as an unbroken one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiida_litraj.contract import PotentialSpec, files
from aiida_litraj.contract.frames import Frames
from aiida_litraj.engine.folder import Stop
from aiida_litraj.engine.models import Configuration, Evaluator, load
from aiida_litraj.engine.models.refusal import sha256_of
from aiida_litraj.engine.trainers import mace
from aiida_litraj.engine.trainers.mace import TRAINER, arguments
from tests.engine.tasks.trainings import Trained, assert_same_training, write_job

from .salts import CUTOFF, GPA, errors, labelled, lips, order

pytestmark = pytest.mark.mace

SAME = 1e-6
"""Relative: both are double precision."""
EPOCHS = 8
SETTINGS: dict[str, Any] = {
    'trainer': 'mace',
    'architecture': {'model': None, 'cutoff_ang': CUTOFF, 'channels': 8, 'lmax': 0, 'layers': 2},
    'epochs': EPOCHS,
    'learning_rate': 0.03,
    'ema_decay': 0.9,
    'schedule': {'kind': 'plateau', 'factor': 0.5, 'patience_epochs': 0},
    'loss': {'force_weight': 10.0, 'stress_weight': 100.0},
    'native': {'max_ell': 1, 'correlation': 2, 'num_radial_basis': 6, 'radial_MLP': [16], 'MLP_irreps': '4x0e'},
}


def best_of(trained: Trained) -> Evaluator:
    spec = PotentialSpec(family='mace', file='a.best', sha256=trained['a'].best_sha256)
    return load(spec, trained.folder / files.ITEMS, 'cpu')


@pytest.fixture(scope='module')
def sets() -> dict[str, Frames]:
    return {'train.a': labelled(12, 0), 'valid.a': labelled(5, 1)}


@pytest.fixture(scope='module')
def unbroken(sets: Any, rerun: Any, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = write_job(tmp_path_factory.mktemp('job'), sets, None, SETTINGS)
    rerun.engine(folder)
    return Trained.read(folder)


def test_learns_and_leaves_what_it_says(sets: Any, unbroken: Trained) -> None:
    """Half of the mean-force baseline; energies, forces and stresses in the units and signs of the contract."""
    entry = unbroken['a']
    assert (unbroken.result.exit.status, entry.converged, entry.n_epochs) == (0, True, EPOCHS), entry.reason
    assert (entry.elements, entry.cutoff_ang) == (['Li', 'P', 'S'], CUTOFF)
    baseline = 1e3 * float(np.sqrt(np.mean(sets['valid.a'].forces ** 2)))
    assert entry.valid_force_mev_per_ang < 0.5 * baseline
    assert entry.checked_force_mev_per_ang == pytest.approx(entry.valid_force_mev_per_ang, rel=SAME)
    found = errors(best_of(unbroken), sets['valid.a'])
    row = entry.best_epoch - 1
    for kind, column in (('energy', 'energy_mev_per_atom'), ('force', 'force_mev_per_ang'), ('stress', 'stress_gpa')):
        said = unbroken.column('a', f'valid_{column}')[row]
        assert found[kind] == pytest.approx(said, rel=SAME), kind
    pull = GPA * float(np.sqrt(np.mean(sets['valid.a'].stresses[:, :3] ** 2)))
    assert found['stress'] < 0.5 * pull  # of the other sign it would be above


def test_learns_real_labels(rerun: Any, tmp_path: Path) -> None:
    """28 configurations of five crystals from scratch: on others of them half of the mean-force baseline, and less."""
    sets = lips()
    settings = {
        **SETTINGS,
        'architecture': {**SETTINGS['architecture'], 'channels': 16},
        'epochs': 5,
        'learning_rate': 0.05,
        'ema_decay': None,
        'schedule': {'kind': 'exponential', 'factor': 0.85},
        'loss': {'force_weight': 100.0},
        'native': {**SETTINGS['native'], 'max_ell': 2},
    }
    folder = write_job(tmp_path / 'job', sets, None, settings)
    rerun.engine(folder)
    entry = Trained.read(folder)['a']
    assert entry.converged, entry.reason
    forces = sets['valid.a'].forces
    baseline = 1e3 * float(np.sqrt(np.mean((forces - forces.mean(axis=0)) ** 2)))
    assert entry.valid_force_mev_per_ang < 0.5 * baseline


def test_the_loss_is_that_of_the_weights(sets: Any, unbroken: Trained) -> None:
    """1 (eV/atom)^2, 10 (eV/Ang)^2, 100 (eV/Ang^3)^2; the batches of two, two and one frames count alike in mace."""
    found = best_of(unbroken)
    frames = list(sets['valid.a'])
    losses = []
    for batch in (frames[:2], frames[2:4], frames[4:]):
        wrong = errors(found, Frames.stack(batch))
        energy, force, stress = 1e-3 * wrong['energy'], 1e-3 * wrong['force'], wrong['stress'] / GPA
        losses.append(energy**2 + 10.0 * force**2 + 100.0 * stress**2)
    said = unbroken.column('a', 'valid_loss')[unbroken['a'].best_epoch - 1]
    assert said == pytest.approx(np.mean(losses), rel=SAME)


def stop_after(folder: Path, epochs: int) -> Callable[[Stop], bool]:
    """Return what stops a training once there is a checkpoint of so many epochs."""

    def keep_running(stop: Stop) -> bool:
        if any(int(path.stem) >= epochs for path in (folder / files.CHECKPOINT).glob('a.training/[0-9]*.epoch')):
            stop.reason = 'SIGTERM'
        return stop.reason is None

    return keep_running


def test_killed_and_resumed(
    sets: Any, unbroken: Trained, rerun: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """mace killed in the middle of an epoch: the same curve, the same bytes, with a moving average and a schedule."""
    folder = write_job(tmp_path / 'job', sets, None, SETTINGS)
    with monkeypatch.context() as patch:
        patch.setattr(Stop, 'keep_running', stop_after(folder, 5))
        rerun.engine(folder)
    assert 5 <= Trained.read(folder)['a'].n_epochs < EPOCHS
    rerun.engine(folder)
    assert_same_training(Trained.read(folder), unbroken)


def test_the_schedule_follows_the_loss_of_each_epoch(unbroken: Trained) -> None:
    """By a half after an epoch that is no better than the best."""
    rate, best = 0.03, np.inf
    for loss, said in zip(unbroken.column('a', 'valid_loss'), unbroken.column('a', 'learning_rate'), strict=True):
        assert said == pytest.approx(rate, rel=1e-12)
        rate = rate if loss < best else 0.5 * rate
        best = min(best, loss)
    assert unbroken.column('a', 'learning_rate')[-1] < 0.03  # there was such an epoch


def test_fine_tunes(unbroken: Trained, rerun: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels of bonds a quarter stronger, of other energies of the elements, without stresses."""
    shifted = labelled(8, 2, depth=0.375)
    shifted.energies[:] += 4 * 7.0
    parent = tmp_path / 'job' / 'parent.model'
    parent.parent.mkdir()
    parent.write_bytes(unbroken.potential('a').read_bytes())
    spec = PotentialSpec(family='mace', file=parent.name, sha256=unbroken['a'].best_sha256)
    settings: dict[str, Any] = SETTINGS | {
        'architecture': None,
        'epochs': 3,
        'learning_rate': 0.005,
        'native': {'clip_grad': 0.1},
        'ema_decay': None,
    }
    settings['loss'] = {'kind': 'huber', 'huber_delta': 0.1, 'force_weight': 10.0}
    bare = replace(shifted, stresses=None)
    folder = write_job(tmp_path / 'job', {'train.a': bare, 'valid.a': bare}, None, settings, spec)
    rerun.engine(folder)
    found = Trained.read(folder)
    assert found.result.exit.status == 0, found['a'].reason
    before, after = errors(best_of(unbroken), shifted), errors(best_of(found), shifted)
    assert after['force'] < before['force']
    assert before['energy'] > 6e3
    assert found.column('a', 'valid_energy_mev_per_atom')[0] < 1e2  # offset before the first epoch
    assert found['a'].elements == ['Li', 'P', 'S']

    # Stopped after an epoch it ends with the same bytes: gradients are clipped all the time here.
    broken = tmp_path / 'broken'
    broken.mkdir()
    (broken / parent.name).write_bytes(parent.read_bytes())
    write_job(broken, {'train.a': bare, 'valid.a': bare}, None, settings, spec)
    with monkeypatch.context() as patch:
        patch.setattr(Stop, 'keep_running', stop_after(broken, 1))
        rerun.engine(broken)
    assert 1 <= Trained.read(broken)['a'].n_epochs < 3
    rerun.engine(broken)
    assert_same_training(Trained.read(broken), found)


def shifted(n_frames: int, seed: int) -> Frames:
    """Another truth: bonds three quarters stronger, other energies of the elements."""
    frames = labelled(n_frames, seed, depth=0.525)
    frames.energies[:] += 4 * 7.0
    return frames


REPLAYED: dict[str, Any] = SETTINGS | {
    'architecture': None,
    'epochs': 6,
    'learning_rate': 0.01,
    'native': {},
    'replay': {'set': 'known', 'weight': 0.5},
}


@pytest.fixture(scope='module')
def new_sets() -> dict[str, Frames]:
    return {'train.a': shifted(8, 2), 'valid.a': shifted(5, 3), 'replay.known': labelled(12, 0)}


def write_on(folder: Path, sets: Any, settings: Any, parent: Path, **options: str) -> Path:
    """Write a job that goes on from a parent."""
    folder.mkdir(parents=True)
    shutil.copy(parent, folder / 'parent.model')
    spec = PotentialSpec(family='mace', file='parent.model', sha256=sha256_of(parent), options=options)
    known = sets if settings['replay'] else {name: sets[name] for name in ('train.a', 'valid.a')}
    return write_job(folder, known, None, settings, spec)


@pytest.fixture(scope='module')
def replayed(new_sets: Any, unbroken: Trained, rerun: Any, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = write_on(tmp_path_factory.mktemp('replay') / 'job', new_sets, REPLAYED, unbroken.potential('a'))
    rerun.engine(folder)
    return Trained.read(folder)


def asked(frame: Frames) -> Configuration:
    return Configuration(frame.numbers.astype(np.int64), frame.positions, frame.cells[0], frame.pbc[0], stress=True)


def head_of(trained: Trained, head: str) -> Evaluator:
    spec = PotentialSpec(family='mace', file='a.best', sha256=trained['a'].best_sha256, options={'head': head})
    return load(spec, trained.folder / files.ITEMS, 'cpu')


def test_replay_forgets_less(
    sets: Any, new_sets: Any, unbroken: Trained, replayed: Trained, rerun: Any, tmp_path: Path
) -> None:
    """On configurations that neither has learnt; the new is learnt by the head that is evaluated."""
    plain = write_on(tmp_path / 'job', new_sets, REPLAYED | {'replay': None}, unbroken.potential('a'))
    rerun.engine(plain)
    naive, old, new = Trained.read(plain), sets['valid.a'], new_sets['valid.a']
    assert replayed.result.exit.status == naive.result.exit.status == 0, replayed['a'].reason
    assert errors(head_of(replayed, 'pt_head'), old)['force'] < errors(best_of(naive), old)['force']
    assert errors(best_of(replayed), new)['force'] < errors(best_of(unbroken), new)['force']
    row = replayed['a'].best_epoch - 1  # of the new head alone, by the labels of the new
    for kind, column in (('energy', 'energy_mev_per_atom'), ('force', 'force_mev_per_ang'), ('stress', 'stress_gpa')):
        assert errors(best_of(replayed), new)[kind] == pytest.approx(replayed.column('a', f'valid_{column}')[row], SAME)
    losses = replayed.column('a', 'valid_loss')
    assert losses[row] == min(losses)


def test_replay_killed_and_resumed(
    new_sets: Any, unbroken: Trained, replayed: Trained, rerun: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_on(tmp_path / 'job', new_sets, REPLAYED, unbroken.potential('a'))
    with monkeypatch.context() as patch:
        patch.setattr(Stop, 'keep_running', stop_after(folder, 3))
        rerun.engine(folder)
    assert 3 <= Trained.read(folder)['a'].n_epochs < REPLAYED['epochs']
    rerun.engine(folder)
    assert_same_training(Trained.read(folder), replayed)


@pytest.mark.parametrize('head', ['Default', 'pt_head'])
def test_one_of_several_heads_is_gone_on_from(head: str, new_sets: Any, replayed: Trained, tmp_path: Path) -> None:
    """To the last bit but a few what that head says, of a model in double precision."""
    import torch

    model = torch.load(replayed.potential('a'), map_location='cpu', weights_only=False)
    torch.save(mace._one_head(model, None if head == 'Default' else head), tmp_path / 'one.model')
    spec = PotentialSpec(family='mace', file='one.model', sha256=sha256_of(tmp_path / 'one.model'))
    found, whole = errors(load(spec, tmp_path, 'cpu'), new_sets['valid.a']), head_of(replayed, head)
    assert found == pytest.approx(errors(whole, new_sets['valid.a']), rel=1e-10)


def test_replay_is_as_it_is_asked_for(new_sets: Any, replayed: Trained, rerun: Any, tmp_path: Path) -> None:
    """Going on from several heads at a rate of nearly nothing, the loss that is said is that of the parent's head.

    All replay by its weight, with the parent's energies, and the new once, offset; by the loss that is asked for.
    """
    weight, rate = 0.25, 1e-12
    changes = {'epochs': 1, 'learning_rate': rate, 'ema_decay': None, 'batch_size': 4}
    settings = REPLAYED | changes | {'replay': {'set': 'known', 'weight': weight}}
    replay = labelled(24, 5)  # thrice the new
    folder = write_on(tmp_path / 'job', new_sets | {'replay.known': replay}, settings, replayed.potential('a'))
    rerun.engine(folder)
    found, parent, new = Trained.read(folder), best_of(replayed), new_sets['train.a']
    assert found.result.exit.status == 0, found['a'].reason
    wrong = [parent.evaluate([asked(frame)])[0].energy - frame.energies[0] for frame in new]
    new = replace(new, energies=new.energies + np.mean(wrong))  # one composition: the offsets are that

    def loss(frames: Frames) -> float:
        of = errors(parent, frames)
        return (1e-3 * of['energy']) ** 2 + 10.0 * (1e-3 * of['force']) ** 2 + 100.0 * (of['stress'] / GPA) ** 2

    expected = (8 * loss(new) + weight * 24 * loss(replay)) / 32
    assert found.column('a', 'train_loss')[0] == pytest.approx(expected, rel=SAME)
    assert found.column('a', 'learning_rate')[0] == rate
    assert head_of(found, 'pt_head').report.elements == ['Li', 'P', 'S']


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'native': {'bananas': 1}}, 'no native option bananas'),
        ({'native': {'patience': 5}}, 'is told patience by early_stop_epochs: give that'),
        ({'native': {'lr': 0.1}}, 'is told lr by learning_rate'),
        ({'native': {'loss': 'universal'}}, 'is told loss by loss.kind'),
        ({'native': {'hidden_irreps': '64x0e'}}, 'is told hidden_irreps by architecture.channels and architecture'),
        ({'native': {'lr_scheduler_gamma': 0.5}}, 'is told lr_scheduler_gamma by schedule.factor'),
        ({'native': {'seed': 5}}, 'is told seed by the engine'),
        ({'native': {'swa': True}}, 'native option swa'),
        ({'native': {'num_samples_pt': 5}}, 'native option num_samples_pt'),
        ({'native': {'weight_pt_head': 0.5}}, 'is told weight_pt_head by replay.weight'),
        ({'native': {'max_ell': 'many'}}, 'max_ell'),
        ({'native': {'model': 'PolarMACE'}}, 'PolarMACE'),
        ({'architecture': SETTINGS['architecture'] | {'model': 'PaiNN'}}, "architecture.model = 'PaiNN': it has one"),
    ],
)
def test_what_is_not_offered_is_refused(changes: Any, words: str, sets: Any, rerun: Any, tmp_path: Path) -> None:
    folder = write_job(tmp_path / 'job', sets, None, SETTINGS | changes)
    rerun.engine(folder)
    found = Trained.read(folder).result.exit
    assert found.label == 'ERROR_JOB_INVALID'
    assert words in found.message


@pytest.mark.parametrize(
    ('device', 'told', 'seen'), [('cpu', 'cpu', {}), ('cuda:1', 'cuda', {'CUDA_VISIBLE_DEVICES': '7'})]
)
def test_device(device: str, told: str, seen: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """mace takes the name of a kind alone."""
    import yaml

    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '3,7')
    found = TRAINER.start(order(tmp_path, SETTINGS, device=device))
    assert arguments(yaml.safe_load(found.native_input)).device == told
    assert found.environment == seen


@pytest.mark.parametrize('kind', ['mse', 'huber'])
@pytest.mark.parametrize('schedule', ['constant', 'exponential', 'plateau'])
def test_all_that_it_is_told_is_refused_in_native(kind: str, schedule: str, tmp_path: Path) -> None:
    """Else the result would say one number and the training have another."""
    import yaml
    from mace.tools import build_default_arg_parser

    given = {
        'kind': schedule,
        'factor': None if schedule == 'constant' else 0.5,
        'patience_epochs': 1 if schedule == 'plateau' else None,
    }
    loss = {'kind': kind, 'huber_delta': 0.1 if kind == 'huber' else None, 'stress_weight': 1.0}
    settings = SETTINGS | {'schedule': given, 'loss': loss, 'native': {}}
    options = yaml.safe_load(TRAINER.start(order(tmp_path, settings)).native_input)
    assert options.keys() <= mace._NEUTRAL.keys() | mace._OWN
    assert set(mace._NEUTRAL) <= {action.dest for action in build_default_arg_parser()._actions}
