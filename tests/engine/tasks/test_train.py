"""Training by the toy trainer: it finds the potential that made the data, and every way in which it can end."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiida_litraj.contract import LitrajError, PotentialSpec, files
from aiida_litraj.engine.folder import Stop
from aiida_litraj.engine.models import load
from aiida_litraj.engine.models.interface import DeviceOutOfMemory
from aiida_litraj.engine.models.toy import write_file
from aiida_litraj.engine.tasks import train as task_module
from aiida_litraj.engine.trainers import toy

from .trainings import ALPHA, DEPTH, KRYPTON, Trained, arrays_of, clusters, write_job

CLOSE = 1e-3
"""Of the parameters that are found, relative: the rate of the last epochs is a thousandth of their logarithms."""


@pytest.fixture(scope='module')
def sets() -> dict[str, Any]:
    return {'train.a': clusters(6), 'valid.a': clusters(4, seed=1)}


@pytest.fixture
def trained(rerun: Any, tmp_path: Path) -> Callable[..., Trained]:
    """``trained(sets, items, settings, potential, runtime)`` is what a job has left; ``again=folder`` an old one."""

    def run(*arguments: Any, again: Path | None = None, **keywords: Any) -> Trained:
        folder = again or tmp_path / f'job_{len(list(tmp_path.iterdir()))}'
        if arguments or keywords:
            write_job(folder, *arguments, **keywords)
        rerun.engine(folder)
        return Trained.read(folder)

    return run


def test_finds_the_potential_that_made_the_data(trained: Any, sets: Any) -> None:
    found = trained(sets)
    entry = found['a']
    assert (found.result.exit.status, entry.status, entry.converged) == (0, 'finished', True)
    options = json.loads(found.potential('a').read_text())['options']
    assert options['depth'] == pytest.approx(DEPTH, rel=CLOSE)
    assert options['alpha'] == pytest.approx(ALPHA, rel=CLOSE)
    assert (entry.n_epochs, entry.n_train, entry.n_valid, entry.elements) == (60, 6, 4, ['Ar'])
    assert entry.cutoff_ang == 6.0
    np.testing.assert_array_equal(found.column('a', 'epoch'), np.arange(1, 61))
    np.testing.assert_allclose(found.column('a', 'learning_rate'), 0.05 * 0.93 ** np.arange(60))
    losses = found.column('a', 'valid_loss')
    assert entry.best_epoch == losses.argmin() + 1
    assert entry.valid_force_mev_per_ang == found.column('a', 'valid_force_mev_per_ang')[losses.argmin()]
    assert entry.checked_force_mev_per_ang == pytest.approx(entry.valid_force_mev_per_ang, rel=1e-9)
    for which, sha256 in (('best', entry.best_sha256), ('last', entry.last_sha256)):
        assert hashlib.sha256(found.potential('a', which).read_bytes()).hexdigest() == sha256
    assert not (found.folder / files.CHECKPOINT).exists()
    assert not (found.folder / 'training').exists()


def test_seeds(trained: Any, sets: Any) -> None:
    """The same seed gives the same bytes, another one others."""
    items = {'a': {}, 'b': {}, 'c': {'seed': 1}}
    found = trained(sets, items, {'epochs': 3})
    assert found['a'].best_sha256 == found['b'].best_sha256 != found['c'].best_sha256
    np.testing.assert_array_equal(found.arrays['a/curve'][:, :-1], found.arrays['b/curve'][:, :-1])


def test_goes_on_from_a_parent(trained: Any, sets: Any, tmp_path: Path) -> None:
    """From the true potential there is nothing to learn; it knows its elements, which the other set has not."""
    folder = tmp_path / 'job_0'
    folder.mkdir()
    write_file(folder / 'parent.toy', 'morse', {'depth': DEPTH, 'alpha': ALPHA}, ['Ar'])
    sha256 = hashlib.sha256((folder / 'parent.toy').read_bytes()).hexdigest()
    spec = PotentialSpec(family='toy', file='parent.toy', sha256=sha256)
    settings = {'architecture': None, 'epochs': 1, 'learning_rate': 1e-9}
    items = {'a': {}, 'b': {'train': 'b'}}
    found = trained(sets | {'train.b': clusters(3, number=KRYPTON)}, items, settings, spec, again=folder)
    assert found['a'].converged
    assert found['a'].valid_force_mev_per_ang < 1e-3
    assert (found['b'].status, found['b'].label) == ('failed', 'ERROR_ELEMENTS_NOT_COVERED')
    assert 'Kr' in str(found['b'].reason)
    assert found.result.exit.label == 'ERROR_PARTIAL'
    assert found.result.audit.potential.sha256 == sha256
    trained_spec = PotentialSpec(family='toy', file='a.best', sha256=found['a'].best_sha256)
    assert load(trained_spec, folder / files.ITEMS).report.elements == ['Ar']


def without(frames: Any, *names: str) -> dict[str, Any]:
    return {name: values for name, values in arrays_of(frames).items() if name not in names}


def with_nan(frames: Any, name: str) -> dict[str, Any]:
    arrays = {key: values.copy() for key, values in arrays_of(frames).items()}
    arrays[name][-1] = np.nan
    return arrays


def test_bad_trainings_among_good_ones(trained: Any, sets: Any) -> None:
    """Each says which set it is, what is wrong and what to do; the good one is done."""
    frames = sets['train.a']
    bad = {
        'missing': (None, 'no such set'),
        'unlabelled': (without(frames, 'forces'), 'no forces'),
        'nan': (with_nan(frames, 'energies'), 'the first is frame 5'),
        'nowhere': (with_nan(frames, 'positions'), 'frame 5: positions or cell are not finite'),
        'few': (clusters(1), 'batch_size 2 is more than the 1 configurations'),
        'broken': (arrays_of(frames) | {'offsets': np.array([0, 3])}, 'no frames of atoms'),
    }
    more = {f'train.{name}': given for name, (given, _) in bad.items() if given is not None}
    items = {'good': {}} | {name: {'train': name} for name in bad}
    found = trained(sets | more, items, {'epochs': 2})
    assert found['good'].converged
    for name, (_, words) in bad.items():
        assert found[name].label == 'ERROR_ITEM_INVALID'
        assert words in str(found[name].reason)
        assert f'train.{name}' in str(found[name].reason)
    assert found.result.exit.label == 'ERROR_PARTIAL'


def test_stresses_that_are_to_be_learnt_are_known(trained: Any, sets: Any) -> None:
    found = trained(sets, None, {'epochs': 1, 'loss': {'stress_weight': 0.1}})
    assert found['a'].label == 'ERROR_ITEM_INVALID'
    assert 'loss.stress_weight' in str(found['a'].reason)


@pytest.mark.parametrize(
    ('settings', 'spec', 'words'),
    [
        ({'architecture': None}, None, 'architecture is needed'),
        ({'energy_references': 'parent'}, None, 'no potential to go on from'),
        ({}, PotentialSpec(family='toy', name='morse'), 'architecture is that of the potential'),
        ({'architecture': None}, PotentialSpec(family='sevennet', name='7net-0'), 'family toy, not sevennet'),
        ({'native': {'bananas': 1}}, None, 'no native option bananas'),
        ({'ema_decay': 0.9}, None, 'ema_decay'),
        ({'architecture': None}, PotentialSpec(family='toy', name='double_well'), 'morse only'),
    ],
)
def test_what_does_not_go_together_is_refused(
    settings: Any, spec: Any, words: str, trained: Any, sets: Any
) -> None:  # fmt: skip
    found = trained(sets, None, settings, spec)
    assert found.result.exit.label == 'ERROR_JOB_INVALID'
    assert words in found.result.exit.message


def test_a_trainer_that_is_not_there(trained: Any, sets: Any) -> None:
    found = trained(sets, None, {'trainer': 'bananas'})
    assert found.result.exit.label == 'ERROR_FAMILY_MISSING'
    assert 'litraj.trainers' in found.result.exit.message


def test_divergence_keeps_the_best(trained: Any, sets: Any) -> None:
    """Steps that throw the parameters away in the fourth epoch: the best before it is kept and named."""
    found = trained(sets, None, {'native': {'throw_in_epoch': 4}, 'max_loss_ratio': 10.0})
    entry = found['a']
    assert (entry.status, entry.label, found.result.exit.status) == ('failed', 'ERROR_TRAINING_DIVERGED', 515)
    assert 'in epoch 4: ' in str(entry.reason)
    assert entry.n_epochs == 4
    assert entry.best_epoch == found.column('a', 'valid_loss')[:3].argmin() + 1
    assert entry.checked_force_mev_per_ang == pytest.approx(entry.valid_force_mev_per_ang, rel=1e-9)
    assert hashlib.sha256(found.potential('a').read_bytes()).hexdigest() == entry.best_sha256
    assert entry.last_sha256 is None
    assert not found.potential('a', 'last').exists()


def test_divergence_from_the_start(trained: Any, sets: Any) -> None:
    """A rate that is no rate: the first epoch has no finite loss, and there is no potential."""
    spec = PotentialSpec(family='toy', name='morse', options={'depth': 0.05})
    found = trained(sets, None, {'architecture': None, 'learning_rate': 1e3, 'batch_size': 6}, spec)
    entry = found['a']
    assert (entry.label, entry.n_epochs, entry.best_epoch, entry.best_sha256) == (
        'ERROR_TRAINING_DIVERGED', 1, None, None,
    )  # fmt: skip
    assert 'valid_loss is not finite' in str(entry.reason)
    assert not found.potential('a').exists()


def test_early_stop(trained: Any, sets: Any) -> None:
    """It ends as many epochs after the best as it should."""
    schedule = {'kind': 'constant', 'factor': None, 'patience_epochs': None}
    found = trained(sets, None, {'early_stop_epochs': 3, 'epochs': 400, 'schedule': schedule})
    entry = found['a']
    assert entry.stopped_early
    assert entry.converged
    assert entry.n_epochs == entry.best_epoch + 3 < 400
    losses = found.column('a', 'valid_loss')
    assert (losses[-3:] >= losses[entry.best_epoch - 1]).all()


def test_a_trainer_that_dies(trained: Any, sets: Any) -> None:
    """Its words are the reason, the best so far is kept; what went wrong once may go well: then it goes on."""
    found = trained(sets, None, {'native': {'fail_in_epoch': 3}})
    entry = found['a']
    assert (entry.status, entry.label, found.result.exit.status) == ('failed', 'ERROR_TRAINER', 312)
    assert 'told to fail in epoch 3' in str(entry.reason)
    assert 'after 2 of 60 epochs, exit status 1: ' in str(entry.reason)
    assert '(more in items/a.log)' in str(entry.reason)
    assert found.arrays['a/curve'].shape == (2, 11)
    assert found.potential('a').is_file()
    assert b'RuntimeError' in found.potential('a', 'log').read_bytes()


def with_words(words: str) -> Any:
    """A toy trainer whose third epoch never comes: it prints these words and ends."""

    def start(order: Any) -> Any:
        begun = toy.start(order)
        told = f'import sys; print({words!r}); sys.exit(1)'
        return begun if not order.epochs_done else dataclasses.replace(begun, command=[sys.executable, '-c', told])

    return dataclasses.replace(toy.TRAINER, start=start)


@pytest.mark.parametrize(
    ('words', 'label'),
    [
        ('torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.', 'ERROR_DEVICE_MEMORY'),
        ('RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate', 'ERROR_DEVICE_MEMORY'),
        ('a line on out of memory that is no error', 'ERROR_TRAINER'),
        ('ValueError: no chalk', 'ERROR_TRAINER'),
    ],
)
def test_a_trainer_without_memory(
    words: str, label: str, trained: Any, sets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its batch is part of the answer: it is said that it does not fit, and that another would be another training."""
    with monkeypatch.context() as patch:
        patch.setattr(toy, 'TRAINER', with_words(words))
        first = trained(sets, None, {'epochs': 3, 'native': {'fail_in_epoch': 3}})
        found = trained(again=first.folder)['a']
    assert (found.status, found.label, found.n_epochs) == ('failed', label, 2)
    assert found.best_sha256 is not None
    if label == 'ERROR_DEVICE_MEMORY':
        assert 'out of memory on cpu with 2 configurations a step, after 2 of 3 epochs: ' in str(found.reason)
        assert 'smaller batch_size, which is another training' in str(found.reason)


@pytest.mark.parametrize(
    ('error', 'label', 'words'),
    [
        (OSError(28, 'No space left on device'), 'ERROR_TRAINER', 'No space left on device'),
        (DeviceOutOfMemory('CUDA out of memory'), 'ERROR_DEVICE_MEMORY', 'one configuration of the validation set'),
        (LitrajError('ERROR_DEVICE', device='cuda:0', available='cpu'), 'ERROR_TRAINER', 'cuda:0 is not there'),
    ],
)
@pytest.mark.parametrize('diverges', [False, True])
def test_a_potential_that_could_not_be_checked(
    diverges: bool, error: Exception, label: str, words: str, trained: Any, sets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not called another than the trainer said, and the next run has it, also of a training that diverged."""

    def fails(*_: Any) -> Any:
        raise error

    settings = {'native': {'throw_in_epoch': 4}, 'max_loss_ratio': 10.0} if diverges else {'epochs': 2}
    monkeypatch.setattr(task_module, 'check', fails)
    found = trained(sets, None, settings)
    assert (found['a'].status, found['a'].label) == ('failed', label)
    assert words in str(found['a'].reason)
    assert not found.potential('a').exists()
    monkeypatch.undo()
    healed = trained(again=found.folder)
    assert healed['a'].label == ('ERROR_TRAINING_DIVERGED' if diverges else None)
    assert healed['a'].best_sha256 is not None


def test_a_training_that_takes_too_long(trained: Any, sets: Any) -> None:
    """Given up for the others; what it has stays to be gone on from."""
    settings = {'epochs': 4, 'native': {'seconds_per_epoch': 1.0}}
    found = trained(sets, None, settings, runtime={'max_item_seconds': 0.5})
    assert (found['a'].status, found['a'].label) == ('failed', 'ERROR_ITEM_OUT_OF_TIME')
    assert found['a'].n_epochs < 4
    settled = trained(sets, None, settings, again=found.folder)
    assert (settled['a'].converged, settled['a'].n_epochs) == (True, 4)


def test_a_potential_that_is_not_what_the_trainer_said(
    trained: Any, sets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(order: Any, checkpoint: Path, target: Path) -> None:
        write_file(target, 'morse', {'depth': 2 * DEPTH, 'alpha': ALPHA}, order.symbols)

    monkeypatch.setattr(toy, 'TRAINER', dataclasses.replace(toy.TRAINER, export=wrong))
    found = trained(sets, None, {'epochs': 2})
    assert found['a'].label == 'ERROR_TRAINED_UNUSABLE'
    assert 'the trainer said' in str(found['a'].reason)
    assert not found.potential('a').exists()
    assert found['a'].best_sha256 is None
    monkeypatch.undo()
    healed = trained(again=found.folder)  # the epochs are on disk
    assert healed['a'].converged
    assert healed['a'].n_epochs == 2


def test_done_is_not_done_again(trained: Any, sets: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut off after the first of two: the next run does the second alone."""
    folder = tmp_path / 'job'

    def keep_running(stop: Stop) -> bool:
        if list(folder.glob('checkpoint/a.done')):
            stop.reason = 'SIGTERM'
        return stop.reason is None

    with monkeypatch.context() as patch:
        patch.setattr(Stop, 'keep_running', keep_running)
        cut = trained(sets, {'a': {}, 'b': {'seed': 1}}, {'epochs': 2}, again=folder)
    assert cut.result.exit.label == 'ERROR_OUT_OF_TIME'
    assert (cut['a'].status, cut['b'].status) == ('finished', 'unfinished')
    mark = cut.potential('a').stat().st_mtime_ns
    through = trained(again=folder)
    assert through.result.exit.status == 0
    assert through['a'] == cut['a']
    assert through.potential('a').stat().st_mtime_ns == mark
    assert through['b'].n_epochs == 2
