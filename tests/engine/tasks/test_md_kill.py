"""The real process of an ``md`` job killed and signalled: in the end the bytes of an unbroken run."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from aiida_litraj.contract import files
from aiida_litraj.engine import run as run_module

from .replicas import Ran, Replica, assert_same, crystal, hold, parameters, write_job

SEED = 20251121
REPLICAS = {
    f'r{k}': Replica(crystal(1), [hold(400.0, 300.0, 0.5) | {'temperature_end_k': 600.0}, hold(200.0, 600.0, 0.0)], k)
    for k in range(3)
}
OFTEN = {'checkpoint_seconds': 0.03}


@pytest.fixture(scope='module')
def unbroken(tmp_path_factory: pytest.TempPathFactory, rerun: Any) -> Ran:
    folder = write_job(tmp_path_factory.mktemp('job'), REPLICAS, parameters('rescaling-full'))
    with rerun.restored_signals():
        run_module.run(folder / files.JOB)
    ran = Ran.read(folder)
    assert ran.result.exit.status == 0
    return ran


def written(folder: Path) -> int:
    """Bytes of records on disk."""
    return sum(path.stat().st_size for path in (folder / files.ITEMS).glob('*.*') if path.suffix in RECORDS)


RECORDS = ('.frames', '.thermo')


@pytest.mark.parametrize(('processes', 'n_kills'), [(1, 6), (2, 3)])
def test_killed_with_9_at_random_moments(
    processes: int, n_kills: int, tmp_path: Path, run_engine: Any, unbroken: Ran
) -> None:
    rng = random.Random(SEED + processes)
    folder = write_job(
        tmp_path / 'job', REPLICAS, parameters('rescaling-full'), runtime={'processes': processes, **OFTEN}
    )
    whole = written(unbroken.folder)
    kills = []
    for k in range(n_kills):
        moment = 0.8 * whole * (k + rng.random()) / n_kills
        process = run_engine(folder)
        while written(folder) < moment and process.poll() is None:
            time.sleep(0.005)
        time.sleep(rng.uniform(0.0, 0.02))
        process.kill()
        assert process.wait() == -signal.SIGKILL, 'it was through, or crashed, before it was killed'
        kills.append(written(folder))
    print(f'of {whole} bytes there were at each kill: {kills}')
    process = run_engine(folder)
    assert process.wait(100) == 0
    ran = Ran.read(folder)
    assert ran.result.audit is not None
    assert ran.result.audit.resumed_calls > 0
    assert_same(ran, unbroken)


@pytest.mark.parametrize('processes', [1, 2])
def test_signal_to_the_process(processes: int, tmp_path: Path, run_engine: Any, rerun: Any, unbroken: Ran) -> None:
    """As a batch system sends it: the process ends well, soon, and with its result; nothing is done twice."""
    folder = write_job(tmp_path / 'job', REPLICAS, parameters('rescaling-full'), runtime={'processes': processes})
    process = run_engine(folder)
    while written(folder) < 0.2 * written(unbroken.folder):
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    ran = Ran.read(folder)
    assert ran.result.exit.label == 'ERROR_OUT_OF_TIME'
    assert 0 < ran.calls < unbroken.calls
    with rerun.restored_signals():
        run_module.run(folder / files.JOB)
    resumed = Ran.read(folder)
    assert_same(resumed, unbroken)
    assert resumed.result.audit is not None
    assert resumed.result.audit.resumed_calls == ran.calls
