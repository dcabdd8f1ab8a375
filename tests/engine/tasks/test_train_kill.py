"""Trainings killed, signalled and cut off by the clock: in the end the epochs and the bytes of an unbroken one."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from aiida_litraj.contract import files
from aiida_litraj.engine.folder import Stop

from .trainings import Trained, assert_same_training, clusters, write_job

SEED = 20251122
EPOCHS = 16
SETTINGS = {'epochs': EPOCHS, 'native': {'seconds_per_epoch': 0.05}}


@pytest.fixture(scope='module')
def sets() -> dict[str, Any]:
    return {'train.a': clusters(4), 'valid.a': clusters(2, seed=1)}


@pytest.fixture(scope='module')
def unbroken(sets: Any, rerun: Any, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = write_job(tmp_path_factory.mktemp('job'), sets, None, SETTINGS | {'native': {}})
    rerun.engine(folder)
    # how long an epoch takes is in the parameters: the fit is the same
    return Trained.read(folder)


def epochs_on_disk(folder: Path) -> int:
    """The last epoch whose checkpoint a run has put by."""
    found = (folder / files.CHECKPOINT / 'a.training').glob('[0-9]*.epoch')
    return max((int(path.stem) for path in found), default=0)


def trainers_of(folder: Path) -> list[int]:
    """Processes whose folder is that of the trainer, by what the system knows of them."""
    found = []
    for entry in Path('/proc').iterdir():
        try:
            if entry.name.isdigit() and str(folder) in os.readlink(entry / 'cwd'):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def assert_no_trainer(folder: Path) -> None:
    """What was killed is gone soon: it leaves when the system next has time for it."""
    limit = time.monotonic() + 5.0
    while trainers_of(folder / 'training'):
        assert time.monotonic() < limit, 'the trainer has outlived its engine'
        time.sleep(0.01)


def test_killed_with_9_at_random_moments(sets: Any, unbroken: Any, run_engine: Any, tmp_path: Path) -> None:
    """No epoch is lost but the running one, no trainer outlives its engine."""
    rng = random.Random(SEED)
    folder = write_job(tmp_path / 'job', sets, None, SETTINGS)
    seen = 0
    for kill in range(3):
        process = run_engine(folder)
        moment = int(EPOCHS * (kill + rng.random()) / 4) + 1
        while epochs_on_disk(folder) < max(moment, seen + 1):
            assert process.poll() is None, 'it was through, or crashed, before it was killed'
            time.sleep(0.005)
        time.sleep(rng.uniform(0.0, 0.05))
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert_no_trainer(folder)
        assert epochs_on_disk(folder) >= seen
        seen = epochs_on_disk(folder)
    assert 0 < seen < EPOCHS
    process = run_engine(folder)
    assert process.wait(60) == 0
    assert_same_training(Trained.read(folder), unbroken)


def test_trainer_killed_with_9(sets: Any, unbroken: Any, run_engine: Any, rerun: Any, tmp_path: Path) -> None:
    """As for its memory, while the engine lives: the training is not given up, and says what it was."""
    folder = write_job(tmp_path / 'job', sets, None, SETTINGS)
    process = run_engine(folder)
    while epochs_on_disk(folder) < 2:
        assert process.poll() is None
        time.sleep(0.005)
    (trainer,) = [pid for pid in trainers_of(folder / 'training') if b'leash' not in command_of(pid)]
    os.kill(trainer, signal.SIGKILL)
    assert process.wait(20) == 0
    assert_cut_off(folder)
    cut = Trained.read(folder)['a']
    assert cut.label == 'ERROR_TRAINER'
    assert f'after {cut.n_epochs} of {EPOCHS} epochs, killed with signal 9' in str(cut.reason)
    rerun.engine(folder)
    assert_same_training(Trained.read(folder), unbroken)


def command_of(pid: int) -> bytes:
    return Path(f'/proc/{pid}/cmdline').read_bytes()


def assert_cut_off(folder: Path) -> None:
    """It says how far it is, and the trainer is gone."""
    cut = Trained.read(folder)
    assert_no_trainer(folder)
    entry = cut['a']
    assert (entry.status, cut.result.exit.label) == ('unfinished', 'ERROR_OUT_OF_TIME')
    assert 0 < entry.n_epochs < EPOCHS
    assert len(cut.arrays['a/curve']) == entry.n_epochs == epochs_on_disk(folder)


def test_signalled_and_resumed(sets: Any, unbroken: Any, run_engine: Any, rerun: Any, tmp_path: Path) -> None:
    folder = write_job(tmp_path / 'job', sets, None, SETTINGS)
    process = run_engine(folder)
    while not epochs_on_disk(folder):
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert_cut_off(folder)
    rerun.engine(folder)
    assert_same_training(Trained.read(folder), unbroken)


def test_checkpoint_that_lost_its_end_is_not_gone_on_from(
    sets: Any, unbroken: Any, run_engine: Any, rerun: Any, tmp_path: Path
) -> None:
    """Half of what an epoch left, as after a full disk: the training begins anew, and is the same."""
    folder = write_job(tmp_path / 'job', sets, None, SETTINGS)
    process = run_engine(folder)
    while not epochs_on_disk(folder):
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert_no_trainer(folder)
    last = folder / files.CHECKPOINT / 'a.training' / f'{epochs_on_disk(folder)}.epoch'
    os.truncate(last, last.stat().st_size // 2)
    rerun.engine(folder)
    assert_same_training(Trained.read(folder), unbroken)


def test_cut_off_by_the_clock_and_resumed(
    sets: Any, unbroken: Any, rerun: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock runs out in the third epoch."""
    folder = write_job(tmp_path / 'job', sets, None, SETTINGS, runtime={'max_seconds': 1e6})

    def keep_running(stop: Stop) -> bool:
        if epochs_on_disk(folder) >= 2:
            stop.deadline = 0.0
        return unpatched(stop)

    unpatched = Stop.keep_running
    with monkeypatch.context() as patch:
        patch.setattr(Stop, 'keep_running', keep_running)
        rerun.engine(folder)
    assert_cut_off(folder)
    rerun.engine(folder)
    assert_same_training(Trained.read(folder), unbroken)
