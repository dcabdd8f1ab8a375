"""The real process killed and signalled: in the end the numbers of an unbroken run, to the last bit."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from aiida_litraj.contract import files

from .unbroken import assert_unbroken

SEED = 20251121
LOOSE = {
    'ends': {'fmax_ev_per_ang': 0.05},
    'band': {'optimizer': 'fire', 'fmax_ev_per_ang': 0.05},
    'acceptance': {'fmax_ev_per_ang': 0.1},
}


@pytest.fixture(scope='module')
def unbroken(fan: dict[str, Any], run_elsewhere: Any) -> Any:
    ran = run_elsewhere(fan, LOOSE)
    assert ran.result.exit.status == 0
    return ran


RECORD = 28 + 24 * 31
"""Bytes of an answer for 31 atoms in a journal."""


def evaluations(folder: Path) -> int:
    """How many answers a run has on disk, in its journals or as part of finished items."""
    found = 0
    for path in list((folder / files.CHECKPOINT).glob('*')):
        with contextlib.suppress(OSError, ValueError):  # it may be gone by now
            if path.suffix == '.journal':
                found += path.stat().st_size // RECORD
            elif path.suffix == '.done':
                found += json.loads(path.read_text())['calls'][path.stem]
    return found


@pytest.mark.parametrize(('processes', 'n_kills'), [(1, 10), (2, 3)])
def test_killed_with_9_at_random_moments(
    processes: int, n_kills: int, fan: Any, job_folder: Any, run_engine: Any, rerun: Any, unbroken: Any
) -> None:
    """Kills of the real process; in the end the unbroken run's bits, and nothing finished was done again."""
    seed = SEED + processes
    rng = random.Random(seed)
    folder = job_folder(fan, LOOSE, runtime={'processes': processes, 'device': 'cpu'})
    moments = [0.75 * unbroken.calls * (k + rng.random()) / n_kills for k in range(n_kills)]
    finished: dict[Path, int] = {}
    told = []
    for moment in moments:
        process = run_engine(folder)
        while evaluations(folder) < moment and process.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.02))
        process.kill()
        assert process.wait() == -signal.SIGKILL, 'it was through, or crashed, before it was killed'
        for path, mark in finished.items():
            assert path.stat().st_mtime_ns == mark, f'{path.name} was done again (seed {seed})'
        marked = [folder / files.ITEMS / f'{mark.stem}.npz' for mark in (folder / files.CHECKPOINT).glob('*.done')]
        finished = {path: path.stat().st_mtime_ns for path in marked}
        told.append((evaluations(folder), len(finished)))
    print(f'seed {seed}, of {unbroken.calls}: evaluations and finished paths at each kill: {told}')
    assert len(told) == n_kills
    assert processes > 1 or told[-1][1] > 0  # else the paths advance together
    process = run_engine(folder)
    assert process.wait(60) == 0
    for path, mark in finished.items():
        assert path.stat().st_mtime_ns == mark, f'{path.name} was done again (seed {seed})'
    ran = rerun.read(folder)
    assert_unbroken(ran, unbroken)
    assert ran.resumed_calls >= told[-1][0]


@pytest.mark.parametrize('processes', [1, 2])
def test_signal_to_the_process(
    processes: int, fan: Any, unbroken: Any, job_folder: Any, run_engine: Any, rerun: Any
) -> None:
    """As a batch system sends it: the process ends well, soon, and with its result."""
    folder = job_folder(fan, LOOSE, runtime={'processes': processes, 'device': 'cpu'})
    process = run_engine(folder)
    while not evaluations(folder):
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    ran = rerun.read(folder)
    assert ran.result.exit.label == 'ERROR_OUT_OF_TIME'
    assert 0 < ran.calls < unbroken.calls
    resumed = rerun(folder)
    assert_unbroken(resumed, unbroken)
    assert resumed.resumed_calls >= ran.calls


@pytest.mark.parametrize('killed', [False, True])
def test_second_engine_in_a_folder_waits_for_the_first(
    killed: bool, fan: Any, unbroken: Any, job_folder: Any, run_engine: Any, rerun: Any
) -> None:
    """A job that was submitted twice: side by side both would write the same journals, and each answer twice.

    The second has the result of the first; or it goes on, from the last answer on, where that was killed.
    """
    folder = job_folder(fan, LOOSE, runtime={'processes': 1, 'device': 'cpu'})
    first = run_engine(folder)
    while not evaluations(folder):
        assert first.poll() is None
        time.sleep(0.002)
    second = run_engine(folder)
    if killed:
        while evaluations(folder) < 0.5 * unbroken.calls:
            assert first.poll() is None
            time.sleep(0.002)
        first.kill()
        first.wait()
        had = evaluations(folder)
    assert second.wait(60) == 0
    if not killed:
        assert first.wait(0) == 0, 'the second was through before the first'
    ran = rerun.read(folder)
    assert_unbroken(ran, unbroken)
    assert ran.resumed_calls >= had if killed else ran.resumed_calls == 0


def test_second_engine_finds_what_the_first_has_done(
    fan: Any, unbroken: Any, job_folder: Any, run_engine: Any, rerun: Any
) -> None:
    """A job that was submitted twice, or queued again as it ended; and a job that has changed since is another."""
    folder = job_folder(fan, LOOSE, runtime={'processes': 1, 'device': 'cpu'})
    assert run_engine(folder).wait(60) == 0
    given = {name: (folder / name).read_bytes() for name in (files.RESULT, files.RESULT_ARRAYS)}
    assert run_engine(folder).wait(60) == 0
    assert {name: (folder / name).read_bytes() for name in given} == given, 'with the account of the first'
    assert_unbroken(rerun.read(folder), unbroken)
    job = json.loads((folder / files.JOB).read_text())
    (folder / files.JOB).write_text(json.dumps(job | {'parameters': job['parameters'] | {'seed': 5}}))
    assert run_engine(folder).wait(60) == 0
    assert rerun.read(folder).result.audit.seed == 5
