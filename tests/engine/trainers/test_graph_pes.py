"""``graph-pes-train`` as a trainer: it learns, leaves what it says, and a broken run ends as an unbroken one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiida_litraj.contract import LitrajError, PotentialSpec, files
from aiida_litraj.contract.frames import Frames
from aiida_litraj.contract.train import Architecture
from aiida_litraj.engine.folder import Stop
from aiida_litraj.engine.models import Evaluator, load
from aiida_litraj.engine.trainers.graph_pes import TRAINER, of_architecture
from tests.engine.tasks.trainings import Trained, assert_same_training, write_job

from .salts import CUTOFF, GPA, errors, labelled, lips, order

pytestmark = pytest.mark.mace

SAME = 1e-6
"""Relative: both are double precision."""
EPOCHS, RATE = 12, 0.01
SETTINGS: dict[str, Any] = {
    'trainer': 'graph_pes',
    'dtype': 'float64',
    'architecture': {'model': 'PaiNN', 'cutoff_ang': CUTOFF, 'channels': 16, 'lmax': 1, 'layers': 2},
    'epochs': EPOCHS,
    'learning_rate': RATE,
    'schedule': {'kind': 'plateau', 'factor': 0.5, 'patience_epochs': 0},
    'loss': {'force_weight': 10.0, 'stress_weight': 100.0},
    'native': {'model': {'radial_features': 8}, 'fitting': {'trainer_kwargs': {'gradient_clip_val': 10.0}}},
}


def best_of(trained: Trained) -> Evaluator:
    spec = PotentialSpec(family='graph_pes', file='a.best', sha256=trained['a'].best_sha256)
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
    settings = SETTINGS | {
        'dtype': 'native',
        'epochs': 12,
        'schedule': {'kind': 'exponential', 'factor': 0.85, 'patience_epochs': None},
        'loss': {'force_weight': 100.0},
    }
    folder = write_job(tmp_path / 'job', sets, None, settings)
    rerun.engine(folder)
    entry = Trained.read(folder)['a']
    assert entry.converged, entry.reason
    forces = sets['valid.a'].forces
    baseline = 1e3 * float(np.sqrt(np.mean((forces - forces.mean(axis=0)) ** 2)))
    assert entry.valid_force_mev_per_ang < 0.5 * baseline


def test_the_loss_is_that_of_the_weights(sets: Any, unbroken: Trained) -> None:
    """1 (eV/atom)^2, 10 (eV/Ang)^2, 100 (eV/Ang^3)^2, the same for all frames, which have one size."""
    wrong = errors(best_of(unbroken), sets['valid.a'])
    energy, force, stress = 1e-3 * wrong['energy'], 1e-3 * wrong['force'], wrong['stress'] / GPA
    said = unbroken.column('a', 'valid_loss')[unbroken['a'].best_epoch - 1]
    assert said == pytest.approx(energy**2 + 10.0 * force**2 + 100.0 * stress**2, rel=SAME)


def test_killed_and_resumed(
    sets: Any, unbroken: Trained, rerun: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """graph-pes killed in the middle of an epoch: the same curve, the same bytes, with a schedule."""
    folder = write_job(tmp_path / 'job', sets, None, SETTINGS)

    def keep_running(stop: Stop) -> bool:
        if any(int(path.stem) >= 5 for path in (folder / files.CHECKPOINT).glob('a.training/[0-9]*.epoch')):
            stop.reason = 'SIGTERM'
        return stop.reason is None

    with monkeypatch.context() as patch:
        patch.setattr(Stop, 'keep_running', keep_running)
        rerun.engine(folder)
    assert 5 <= Trained.read(folder)['a'].n_epochs < EPOCHS
    rerun.engine(folder)
    assert_same_training(Trained.read(folder), unbroken)


def test_the_schedule_follows_the_loss_of_each_epoch(unbroken: Trained) -> None:
    """By a half after an epoch that is no better than the best."""
    rate, best = RATE, np.inf
    for loss, said in zip(unbroken.column('a', 'valid_loss'), unbroken.column('a', 'learning_rate'), strict=True):
        assert said == pytest.approx(rate, rel=1e-12)
        rate = rate if loss < best else 0.5 * rate
        best = min(best, loss)
    assert unbroken.column('a', 'learning_rate')[-1] < RATE  # there was such an epoch


def test_fine_tunes(unbroken: Trained, rerun: Any, tmp_path: Path) -> None:
    """Labels of bonds a quarter stronger, of other energies of the elements, without stresses."""
    shifted = labelled(8, 2, depth=0.375)
    shifted.energies[:] += 4 * 7.0
    parent = tmp_path / 'job' / 'parent.pt'
    parent.parent.mkdir()
    parent.write_bytes(unbroken.potential('a').read_bytes())
    spec = PotentialSpec(family='graph_pes', file=parent.name, sha256=unbroken['a'].best_sha256)
    settings: dict[str, Any] = SETTINGS | {
        'architecture': None,
        'dtype': 'native',
        'epochs': 2,
        'learning_rate': 0.002,
        'schedule': {'kind': 'exponential', 'factor': 0.5, 'patience_epochs': None},
        'native': {},
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
    np.testing.assert_allclose(found.column('a', 'learning_rate'), [0.002, 0.001], rtol=1e-12)
    assert (found['a'].elements, best_of(found).dtype) == (['Li', 'P', 'S'], 'float64')


def test_native_input_has_what_was_given(unbroken: Trained) -> None:
    import yaml  # comes with graph-pes, and this file is collected in the other engines' environments too

    given = yaml.safe_load(unbroken['a'].native_input)
    assert given['model']['many_body']['+PaiNN']['radial_features'] == 8
    assert sum(given['model']['offset']['+FixedOffset'][symbol] for symbol in ('Li', 'P', 'S', 'S')) == pytest.approx(
        np.mean(labelled(12, 0).energies)
    )
    assert given['wandb'] is None


@pytest.mark.parametrize(
    ('name', 'lmax'), [('SchNet', 0), ('PaiNN', 1), ('TensorNet', 2), ('MACE', 0), ('MACE', 1), ('NequIP', 1)]
)
def test_each_model_is_made_of_the_neutral_options(name: str, lmax: int) -> None:
    from graph_pes import models

    architecture = Architecture(model=name, cutoff_ang=CUTOFF, channels=4, lmax=lmax, layers=2)
    sizes = []
    for layers in (1, 2):
        options = of_architecture(architecture.model_copy(update={'layers': layers}), ('Li', 'P', 'S'))
        model = getattr(models, name)(**options)
        assert float(model.cutoff) == CUTOFF
        sizes.append(sum(parameter.numel() for parameter in model.parameters()))
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'native': {'bananas': {}}}, 'no native section bananas'),
        ({'native': {'model': {'bananas': 1}}}, 'no native option model.bananas of PaiNN'),
        ({'native': {'model': {'cutoff': 5.0}}}, 'is told model.cutoff'),
        ({'native': {'fitting': {'swa': {}}}}, 'native option fitting.swa'),
        ({'native': {'fitting': {'trainer_kwargs': {'max_epochs': 3}}}}, 'fitting.trainer_kwargs.max_epochs'),
        ({'architecture': SETTINGS['architecture'] | {'model': 'Orb'}}, "architecture.model = 'Orb': it has several"),
        ({'architecture': SETTINGS['architecture'] | {'model': None}}, 'take SchNet, PaiNN, TensorNet, MACE, NequIP'),
        ({'architecture': SETTINGS['architecture'] | {'lmax': 2}}, 'architecture.lmax = 2: its PaiNN has 1 only'),
        ({'ema_decay': 0.99}, 'ema_decay = 0.99: it has no'),
    ],
)
def test_what_is_not_offered_is_refused(changes: Any, words: str, sets: Any, rerun: Any, tmp_path: Path) -> None:
    folder = write_job(tmp_path / 'job', sets, None, SETTINGS | changes)
    rerun.engine(folder)
    found = Trained.read(folder).result.exit
    assert found.label == 'ERROR_JOB_INVALID'
    assert words in found.message


def test_stresses_of_some_frames_are_refused(tmp_path: Path) -> None:
    frames = labelled(2, 0)
    frames.stresses[1] = np.nan
    with pytest.raises(LitrajError, match=r'leave those out, or set loss\.stress_weight to zero'):
        TRAINER.write(frames, tmp_path / 'set.xyz')


@pytest.mark.parametrize(('device', 'accelerator', 'devices'), [('cpu', 'cpu', 1), ('cuda:1', 'gpu', [1])])
def test_device(device: str, accelerator: str, devices: Any, tmp_path: Path) -> None:
    """Lightning takes a list of one number: a bare one would be how many."""
    import yaml

    found = TRAINER.start(order(tmp_path, SETTINGS, device=device))
    said = yaml.safe_load(found.native_input)['fitting']['trainer_kwargs']
    assert (said['accelerator'], said['devices']) == (accelerator, devices)
    assert 'CUDA_VISIBLE_DEVICES' not in found.environment
