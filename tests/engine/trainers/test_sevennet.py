"""``sevenn train`` as a trainer: it learns, leaves what it says, and a broken run ends as an unbroken one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ase
import numpy as np
import pytest

from aiida_litraj.contract import PotentialSpec, files
from aiida_litraj.contract.frames import Frames
from aiida_litraj.engine.folder import Stop
from aiida_litraj.engine.models import Configuration, Evaluator, load
from aiida_litraj.engine.models.toy import morse
from aiida_litraj.engine.trainers import sevennet
from aiida_litraj.engine.trainers.sevennet import TRAINER
from tests.engine.tasks.blocks import VOIGT, crystals
from tests.engine.tasks.trainings import Trained, assert_same_training, write_job

from .salts import order

pytestmark = pytest.mark.sevennet

CUTOFF = 4.5
"""Of the Morse potential that labels, and of the model, in Ang."""
SAME = 2e-3
"""Relative: sevenn's errors are those of float32 graphs in one batch."""
EPOCHS = 14
SETTINGS = {
    'trainer': 'sevennet',
    'architecture': {'model': None, 'cutoff_ang': CUTOFF, 'channels': 4, 'lmax': 1, 'layers': 2},
    'epochs': EPOCHS,
    'learning_rate': 0.02,
    'schedule': {'kind': 'plateau', 'factor': 0.5, 'patience_epochs': 1},
    'loss': {'force_weight': 1.0, 'stress_weight': 10.0},
    'native': {'model': {'weight_nn_hidden_neurons': [16]}},
}


def evaluated(atoms: ase.Atoms) -> Configuration:
    return Configuration(atoms.numbers.astype(np.int64), atoms.positions, atoms.cell.array, np.array(atoms.pbc), True)


def labelled(n_frames: int, seed: int) -> Frames:
    """Sheared cells of four atoms off their sites, labelled by the Morse potential."""
    parts = []
    for atoms in crystals([1] * n_frames, seed):
        found = morse(evaluated(atoms), cutoff=CUTOFF)
        stress = found.stress[VOIGT]
        parts.append(
            Frames.of_one(
                atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc, found.energy, found.forces, stress
            )
        )
    return Frames.stack(parts)


def errors(potential: Evaluator, frames: Frames) -> dict[str, float]:
    """Root mean squares in meV/atom, meV/Ang and GPa."""
    deviations: dict[str, list[Any]] = {'energy': [], 'force': [], 'stress': []}
    for frame in frames:
        asked = Configuration(
            frame.numbers.astype(np.int64), frame.positions, frame.cells[0], frame.pbc[0], stress=True
        )
        found = potential.evaluate([asked])[0]
        deviations['energy'].append(1e3 * (found.energy - frame.energies[0]) / frame.n_atoms())
        deviations['force'].append(1e3 * (found.forces - frame.forces).ravel())
        deviations['stress'].append(160.2176634 * (found.stress[VOIGT] - frame.stresses[0]))
    return {name: float(np.sqrt(np.mean(np.square(values)))) for name, values in deviations.items()}


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
    assert (unbroken.result.exit.status, entry.converged, entry.n_epochs) == (0, True, EPOCHS)
    assert (entry.elements, entry.cutoff_ang) == (['Ar'], CUTOFF)
    assert entry.n_parameters > 100
    baseline = 1e3 * float(np.sqrt(np.mean(sets['valid.a'].forces ** 2)))
    assert entry.valid_force_mev_per_ang < 0.5 * baseline
    assert entry.checked_force_mev_per_ang == pytest.approx(entry.valid_force_mev_per_ang, rel=SAME)
    spec = PotentialSpec(family='sevennet', file='a.best', sha256=entry.best_sha256)
    found = errors(load(spec, unbroken.folder / files.ITEMS, 'cpu'), sets['valid.a'])
    row = entry.best_epoch - 1
    for kind, column in (('energy', 'energy_mev_per_atom'), ('force', 'force_mev_per_ang'), ('stress', 'stress_gpa')):
        said = unbroken.column('a', f'valid_{column}')[row]
        assert found[kind] == pytest.approx(said, rel=SAME), kind


def test_the_schedule_follows_the_loss_of_each_epoch(unbroken: Trained) -> None:
    """By a half after two epochs that are no better than the best, as torch counts them."""
    rate, best, bad = 0.02, np.inf, 0
    for loss, said in zip(unbroken.column('a', 'valid_loss'), unbroken.column('a', 'learning_rate'), strict=True):
        assert said == pytest.approx(rate, rel=1e-12)
        bad = 0 if loss < best else bad + 1
        best = min(best, loss)
        if bad > 1:
            rate, bad = 0.5 * rate, 0


def test_killed_and_resumed(
    sets: Any, unbroken: Trained, rerun: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """sevenn killed in the middle of an epoch: the same curve, the same bytes."""
    folder = write_job(tmp_path / 'job', sets, None, SETTINGS)

    def keep_running(stop: Stop) -> bool:
        # The fifth may have made way for the sixth by now.
        if any(int(path.stem) >= 5 for path in (folder / files.CHECKPOINT).glob('a.training/[0-9]*.epoch')):
            stop.reason = 'SIGTERM'
        return stop.reason is None

    with monkeypatch.context() as patch:
        patch.setattr(Stop, 'keep_running', keep_running)
        rerun.engine(folder)
    assert 5 <= Trained.read(folder)['a'].n_epochs < EPOCHS
    rerun.engine(folder)
    assert_same_training(Trained.read(folder), unbroken)


def test_fine_tunes_a_packaged_potential(rerun: Any, tmp_path: Path) -> None:
    """One epoch from 7net-0, whose energies are offset to those of the labels first."""
    frames = labelled(2, 0)
    spec = PotentialSpec(family='sevennet', name='7net-0')
    settings = SETTINGS | {'architecture': None, 'epochs': 1, 'learning_rate': 1e-5, 'native': {}}
    folder = write_job(tmp_path / 'job', {'train.a': frames, 'valid.a': frames}, None, settings, spec)
    rerun.engine(folder)
    found = Trained.read(folder)
    entry = found['a']
    assert found.result.exit.status == 0, found.result.exit.message
    assert len(entry.elements) == 89
    parent = load(spec, folder, 'cpu')
    tuned = load(PotentialSpec(family='sevennet', file='a.best', sha256=entry.best_sha256), folder / files.ITEMS, 'cpu')
    before, after = errors(parent, frames), errors(tuned, frames)
    assert np.isfinite(list(after.values())).all()
    assert after['force'] != before['force']
    assert after['force'] == pytest.approx(before['force'], rel=0.1)  # a rate so small
    deviations = [
        (tuned.evaluate([evaluated(atoms)])[0].energy - energy) / len(atoms)
        for atoms, energy in zip(crystals([1, 1], 0), frames.energies, strict=True)
    ]
    assert abs(np.mean(deviations)) < 0.2 * 1e-3 * before['energy']


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'native': {'bananas': {}}}, 'no native section bananas'),
        ({'native': {'model': {'bananas': 1}}}, 'no native option model.bananas'),
        ({'native': {'train': {'per_epoch': 5}}}, 'is told train.per_epoch by the engine'),
        ({'native': {'train': {'loss': 'huber'}}}, 'is told train.loss by loss.kind: give that'),
        ({'native': {'train': {'optim_param': {'lr': 1.0}}}}, 'optim_param by learning_rate and weight_decay'),
        ({'native': {'data': {'batch_size': 9}}}, 'is told data.batch_size by batch_size'),
        ({'native': {'model': {'cutoff': 9.0}}}, 'is told model.cutoff by architecture.cutoff_ang'),
        ({'dtype': 'float64'}, "the trainer sevennet does not do that: dtype = 'float64': it trains in float32 only"),
        ({'ema_decay': 0.99}, 'ema_decay = 0.99: it has no moving average of the weights'),
        ({'loss': {'energy_weight': 0.0}}, 'loss.energy_weight = 0.0: it counts by'),
    ],
)
def test_what_sevenn_does_not_do_is_refused(
    changes: Any, words: str, sets: Any, rerun: Any, tmp_path: Path
) -> None:  # fmt: skip
    folder = write_job(tmp_path / 'job', sets, None, SETTINGS | changes)
    rerun.engine(folder)
    found = Trained.read(folder).result.exit
    assert found.label == 'ERROR_JOB_INVALID'
    assert words in found.message


def test_a_parent_of_several_fidelities_is_refused(sets: Any, rerun: Any, tmp_path: Path) -> None:
    spec = PotentialSpec(family='sevennet', name='7net-mf-0', options={'modal': 'PBE'})
    settings = SETTINGS | {'architecture': None, 'native': {}, 'energy_references': 'parent'}
    folder = write_job(tmp_path / 'job', sets, None, settings, spec)
    rerun.engine(folder)
    found = Trained.read(folder).result.exit
    assert found.label == 'ERROR_JOB_INVALID'
    assert 'one fidelity' in found.message


def test_device(tmp_path: Path) -> None:
    """sevenn takes a device by its number."""
    import yaml
    from sevenn.parse_input import init_train_config

    found = TRAINER.start(order(tmp_path, SETTINGS, device='cuda:1'))
    assert init_train_config(yaml.safe_load(found.native_input)['train'])['device'] == 'cuda:1'
    assert 'CUDA_VISIBLE_DEVICES' not in found.environment


def test_all_that_it_is_told_is_refused_in_native(tmp_path: Path) -> None:
    """Else the result would say one number and the training have another."""
    import yaml

    sections = yaml.safe_load(TRAINER.start(order(tmp_path, SETTINGS | {'native': {}})).native_input)
    said = {f'{name}.{option}' for name, options in sections.items() for option in options}
    assert said <= sevennet._NEUTRAL.keys() | sevennet._OWN
