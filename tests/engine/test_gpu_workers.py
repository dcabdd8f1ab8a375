"""Several GPUs: a process each, which sees no other; work divided evenly; the same numbers however many there are.

The GPUs are stand-ins (tests/fixtures/fake_gpus) but for the last test, which wants two.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiida_litraj.contract import LitrajError, PotentialSpec, Runtime, files
from aiida_litraj.engine.evaluation import Pool
from aiida_litraj.engine.failure import Failure
from aiida_litraj.engine.gpu_workers import GpuWorkers
from aiida_litraj.engine.models import Configuration, Evaluation, devices, registry
from aiida_litraj.engine.workers import peak_memory_mb

from .tasks.replicas import Ran as MdRan
from .tasks.replicas import Replica, assert_same, crystal, hold, parameters
from .tasks.replicas import write_job as write_md
from .tasks.trainings import clusters
from .tasks.trainings import write_job as write_training

PACKAGE = Path(__file__).parents[1] / 'fixtures' / 'fake_gpus'
MORSE = PotentialSpec(family='toy', name='morse')


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., PotentialSpec]]:
    """``gpus('3,5', **options)`` has a scheduler leave those, and is a potential that is evaluated on them."""
    monkeypatch.syspath_prepend(str(PACKAGE))
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(filter(None, [str(PACKAGE), os.environ.get('PYTHONPATH')])))
    monkeypatch.delenv('HIP_VISIBLE_DEVICES', raising=False)
    monkeypatch.setattr(devices, 'gpu_count', devices.gpu_count)  # to be restored: importing the package changes it
    importlib.invalidate_caches()
    registry.discover.cache_clear()

    def make(visible: str, **options: Any) -> PotentialSpec:
        monkeypatch.setenv('CUDA_VISIBLE_DEVICES', visible)
        return PotentialSpec(family='fake_gpus', name='morse', options={'log': str(tmp_path / 'log'), **options})

    yield make
    registry.discover.cache_clear()
    sys.modules.pop('litraj_fake_gpus', None)


@pytest.fixture
def log(tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    """What the GPUs were given."""
    return lambda: [json.loads(line) for line in (tmp_path / 'log').read_text().splitlines()]


def configuration(n_atoms: int, seed: int = 0) -> Configuration:
    rng = np.random.default_rng(seed)
    side = int(np.ceil(n_atoms ** (1 / 3)))
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing='ij'), axis=-1).reshape(-1, 3)[:n_atoms]
    positions = 2.8 * grid + rng.normal(scale=0.05, size=(n_atoms, 3))
    return Configuration(np.full(n_atoms, 3), positions, 2.8 * side * np.eye(3), np.ones(3, dtype=bool))


MIXED = [configuration(n, seed) for seed, n in enumerate([8, 27, 8, 8, 12, 27, 8, 1, 8, 12, 8, 8, 27, 8, 8])]


def all_loaded(pool: Pool) -> None:
    """Wait until every worker can take its part."""
    backend = pool._backend
    assert isinstance(backend, GpuWorkers)
    while not all(worker.loaded for worker in backend._workers):
        assert pool.collect(block=False) == []
        time.sleep(0.01)


def answers_of(pool: Pool, configurations: Sequence[Configuration]) -> dict[int, Evaluation | Failure]:
    for ticket, asked in enumerate(configurations):
        pool.submit(ticket, asked)
    found = dict[int, Evaluation | Failure]()
    while pool.pending:
        found.update(pool.collect())
    return found


@pytest.mark.parametrize('batch_atoms', [None, 40])
def test_same_numbers_as_in_this_process(batch_atoms: int | None, gpus: Any, tmp_path: Path) -> None:
    spec = gpus('0,1,2')
    with Pool(MORSE, tmp_path, Runtime(device='cpu', processes=1), 'native') as pool:
        expected = pool.evaluate(MIXED)
    with Pool(spec, tmp_path, Runtime(batch_atoms=batch_atoms), 'native') as pool:
        assert (pool.processes, pool.device, pool.devices) == (3, 'cuda:0', ['cuda:0', 'cuda:1', 'cuda:2'])
        for found, wanted in zip(pool.evaluate(MIXED), expected, strict=True):
            assert found.energy == wanted.energy
            np.testing.assert_array_equal(found.forces, wanted.forces)
        assert pool.calls == len(MIXED)
        assert pool.seconds_per_call > 0.0
        assert pool.collect() == []


@pytest.mark.parametrize(
    'visible', ['3,5', '0, 1,2', 'GPU-8932f937,GPU-46b0f1d2', 'MIG-0a1b,MIG-2c3d,MIG-4e5f'], ids=lambda v: v[:4]
)
def test_each_worker_sees_its_own_gpu_and_no_other(visible: str, gpus: Any, log: Any, tmp_path: Path) -> None:
    names = [name.strip() for name in visible.split(',')]
    with Pool(gpus(visible), tmp_path, Runtime(device='cuda'), 'native') as pool:
        all_loaded(pool)
        pool.evaluate([configuration(8, seed) for seed in range(12)])
    seen = {(entry['pid'], entry['gpu'], tuple(entry['visible'])) for entry in log()}
    assert sorted(gpu for _, gpu, _ in seen) == sorted(names)
    assert all(visible == (gpu,) for _, gpu, visible in seen)
    assert len({pid for pid, _, _ in seen}) == len(names)


@pytest.mark.parametrize(('n', 'parts'), [(12, [4, 4, 4]), (7, [2, 2, 3]), (2, [1, 1]), (1, [1])])
def test_what_is_asked_at_once_is_divided_evenly(n: int, parts: list[int], gpus: Any, log: Any, tmp_path: Path) -> None:
    """Although all of it would fit into the first."""
    with Pool(gpus('0,1,2'), tmp_path, Runtime(), 'native') as pool:
        all_loaded(pool)
        pool.evaluate([configuration(8, seed) for seed in range(n)])
    given = log()
    assert sorted(len(entry['sizes']) for entry in given) == parts
    assert len({entry['gpu'] for entry in given}) == len(parts)


def test_large_and_small_are_divided_by_atoms(gpus: Any, log: Any, tmp_path: Path) -> None:
    with Pool(gpus('0,1'), tmp_path, Runtime(), 'native') as pool:
        all_loaded(pool)
        pool.evaluate([configuration(n) for n in (64, 8, 8, 8, 8, 8, 8, 8, 8)])
    assert sorted(sum(entry['sizes']) for entry in log()) == [64, 64]


def test_who_asks_again_first_does_not_get_the_work_of_the_others(gpus: Any, log: Any, tmp_path: Path) -> None:
    """As in dynamics, where each replica asks for its next step as soon as it has the last: six, by three GPUs."""
    with Pool(gpus('0,1,2'), tmp_path, Runtime(), 'native') as pool:
        all_loaded(pool)
        ticket = 0
        while ticket < 120:
            while pool.pending < 6:
                pool.submit(ticket, configuration(8, ticket))
                ticket += 1
            pool.collect()
    assert max(len(entry['sizes']) for entry in log()) == 2


def test_who_is_free_leaves_others_their_part_of_what_comes_later(gpus: Any, log: Any, tmp_path: Path) -> None:
    """One works on one configuration when nine more come: the other takes half of all ten, and leaves the rest."""
    with Pool(gpus('0,1'), tmp_path, Runtime(), 'native') as pool:
        all_loaded(pool)
        assert isinstance(pool._backend, GpuWorkers)
        first = pool._backend._workers[0].process.pid
        os.kill(first, signal.SIGSTOP)
        found = dict[int, Evaluation | Failure]()
        for tickets in (range(1), range(1, 10)):
            for ticket in tickets:
                pool.submit(ticket, configuration(8, ticket))
            found.update(pool.collect(block=False))
        os.kill(first, signal.SIGCONT)
        while pool.pending:
            found.update(pool.collect())
    assert sorted(found) == list(range(10))
    assert sorted(len(entry['sizes']) for entry in log() if entry['gpu'] == '1')[-1] == 5


def test_no_more_workers_than_there_is_to_do_at_once(gpus: Any, tmp_path: Path) -> None:
    with Pool(gpus('0,1,2'), tmp_path, Runtime(), 'native', useful=2) as pool:
        assert pool.devices == ['cuda:0', 'cuda:1']
    with Pool(gpus('0,1,2'), tmp_path, Runtime(), 'native', useful=1) as pool:
        assert (pool.devices, pool.processes, pool.worker_cpu_seconds) == (['cuda:0'], 1, 0.0)


def test_one_gpu_by_its_number_is_that_one(gpus: Any, log: Any, tmp_path: Path) -> None:
    with Pool(gpus('3,5'), tmp_path, Runtime(device='cuda:1'), 'native') as pool:
        assert (pool.devices, pool.processes) == (['cuda:1'], 1)
        pool.evaluate(MIXED)
    assert {(entry['pid'], entry['gpu']) for entry in log()} == {(os.getpid(), '5')}


def test_more_gpus_than_the_job_has_are_refused(gpus: Any, tmp_path: Path) -> None:
    with pytest.raises(LitrajError, match=r'gpus=3 is not there: this node has 2 GPU\(s\)') as caught:
        Pool(gpus('3,5'), tmp_path, Runtime(device='cuda', gpus=3), 'native')
    assert caught.value.code.label == 'ERROR_DEVICE'


@pytest.mark.parametrize(('device', 'n'), [('cpu', 1), ('cuda:1', 2)])
def test_gpus_of_a_device_that_has_not_so_many_are_refused(device: str, n: int) -> None:
    with pytest.raises(ValueError, match=f'gpus is {n}, but the device {device} is .*take the device cuda'):
        Runtime(device=device, gpus=n)


def test_memory_that_runs_out_everywhere_halves_everywhere(gpus: Any, log: Any, tmp_path: Path) -> None:
    asked = [configuration(8, seed) for seed in range(24)]
    with Pool(MORSE, tmp_path, Runtime(device='cpu', processes=1), 'native') as pool:
        expected = pool.evaluate(asked)
    with Pool(gpus('0,1,2', room=20), tmp_path, Runtime(batch_atoms=64), 'native') as pool:
        all_loaded(pool)
        for found, wanted in zip(pool.evaluate(asked), expected, strict=True):
            np.testing.assert_array_equal(found.forces, wanted.forces)
        assert pool.halvings == 6  # 64 -> 32 -> 16 atoms, on each
        assert pool.calls == 24


def test_memory_that_runs_out_on_one_halves_there_alone(gpus: Any, log: Any, tmp_path: Path) -> None:
    with Pool(gpus('3,5', small='5'), tmp_path, Runtime(batch_atoms=64), 'native') as pool:
        all_loaded(pool)
        assert len(pool.evaluate([configuration(8, seed) for seed in range(48)])) == 48
        assert pool.halvings == 2
    sizes = defaultdict(list)
    for entry in log():
        sizes[entry['gpu']].append(sum(entry['sizes']))
    assert max(sizes['3']) == 64
    assert sizes['5'][:2] == [64, 32]
    assert max(sizes['5'][2:]) <= 16


def test_budgets_grow_on_each(gpus: Any, log: Any, tmp_path: Path) -> None:
    """From 2048 atoms, by full batches that fit."""
    with Pool(gpus('0,1'), tmp_path, Runtime(), 'native') as pool:
        all_loaded(pool)
        capacity = pool.capacity
        pool.evaluate([configuration(27)] * 600)
        assert pool.capacity != capacity
    largest = defaultdict(int)
    for entry in log():
        largest[entry['gpu']] = max(largest[entry['gpu']], sum(entry['sizes']))
    assert set(largest) == {'0', '1'}
    assert all(2048 < most <= 8192 for most in largest.values())


def test_configuration_that_never_fits_fails_alone_and_names_the_gpu(gpus: Any, tmp_path: Path) -> None:
    """By its number in the job, not by that in the process that sees no other."""
    with Pool(gpus('3,5', room=20), tmp_path, Runtime(batch_atoms=16), 'native') as pool:
        all_loaded(pool)
        found = answers_of(pool, [configuration(n) for n in (16, 27)])
    assert isinstance(found[0], Evaluation)
    assert found[1] == Failure('ERROR_DEVICE_MEMORY', 'out of memory on cuda:1 with one configuration of 27 atoms')


def test_killed_worker_is_reported_and_not_waited_for(gpus: Any, tmp_path: Path) -> None:
    with Pool(gpus('0,1'), tmp_path, Runtime(), 'native') as pool:
        all_loaded(pool)
        assert isinstance(pool._backend, GpuWorkers)
        os.kill(pool._backend._workers[1].process.pid, signal.SIGKILL)
        with pytest.raises(RuntimeError, match='killed by signal 9'):
            pool.evaluate(MIXED)


def test_gpu_that_breaks_ends_the_job_and_blames_no_configuration(gpus: Any, tmp_path: Path) -> None:
    with Pool(gpus('3,5', broken='5'), tmp_path, Runtime(batch_atoms=16), 'native') as pool:
        all_loaded(pool)
        with pytest.raises(RuntimeError, match='unspecified launch failure'):
            pool.evaluate([configuration(8, seed) for seed in range(24)])


def test_memory_and_calls_are_those_of_all(gpus: Any, tmp_path: Path) -> None:
    with Pool(gpus('0,1,2'), tmp_path, Runtime(), 'native') as pool:
        all_loaded(pool)
        pool.evaluate(MIXED)
        assert isinstance(pool._backend, GpuWorkers)
        workers = [worker.peak_memory_mb for worker in pool._backend._workers]
        assert pool.peak_memory_mb == pytest.approx(peak_memory_mb() + sum(workers), rel=1e-6)
        assert min(workers) > 10.0
        assert pool.calls == len(MIXED)


def test_closing_leaves_no_process(gpus: Any, tmp_path: Path) -> None:
    pool = Pool(gpus('0,1,2'), tmp_path, Runtime(), 'native')
    assert isinstance(pool._backend, GpuWorkers)
    workers = list(pool._backend._workers)
    assert len(workers) == 3
    pool.close()
    assert all(worker.process.poll() is not None for worker in workers)


def on_gpus(folder: Path, spec: PotentialSpec, n: int) -> Path:
    """Have a job evaluated with ``spec`` on so many GPUs."""
    job = json.loads((folder / files.JOB).read_text())
    job |= {'potential': spec.model_dump(), 'runtime': {'device': 'cuda', 'gpus': n}}
    (folder / files.JOB).write_text(json.dumps(job))
    return folder


def test_bands_are_those_of_one_gpu(gpus: Any, log: Any, fan: Any, job_folder: Any, rerun: Any) -> None:
    spec = gpus('3,5,7', room=100)
    one, three = (rerun(on_gpus(job_folder(fan), spec, n)) for n in (1, 3))
    assert one.result.exit.status == 0
    audits = one.result.audit, three.result.audit
    assert [(audit.devices, audit.processes) for audit in audits] == [
        (['cuda:0'], 1),
        (['cuda:0', 'cuda:1', 'cuda:2'], 3),
    ]
    assert audits[0].device == audits[1].device == 'cuda:0'
    assert one.calls == three.calls
    assert one.result.items == three.result.items
    assert set(one.arrays) == set(three.arrays)
    for name, values in one.arrays.items():
        np.testing.assert_array_equal(three.arrays[name], values, err_msg=name)
    assert sum(len(entry['sizes']) for entry in log() if entry['pid'] != os.getpid()) >= three.calls


def test_replicas_are_those_of_one_gpu(gpus: Any, log: Any, tmp_path: Path, rerun: Any) -> None:
    """To the last bit; and no GPU is given more than its part of them."""
    replicas = {f'r{k}': Replica(crystal(), [hold(60.0, 200.0 + 50.0 * k)], seed=k) for k in range(6)}
    spec = gpus('3,5,7')
    ran = []
    for n in (1, 3):
        folder = on_gpus(write_md(tmp_path / f'md_{n}', replicas, parameters('langevin')), spec, n)
        rerun.engine(folder)
        ran.append(MdRan.read(folder))
    assert_same(ran[1], ran[0])
    alone = [entry for entry in log() if entry['pid'] == os.getpid()]
    shared = [entry for entry in log() if entry['pid'] != os.getpid()]
    assert max(len(entry['sizes']) for entry in alone) == 6
    assert max(len(entry['sizes']) for entry in shared) == 2
    assert sum(len(entry['sizes']) for entry in shared) == ran[1].calls


def test_training_has_one(rerun: Any, tmp_path: Path) -> None:
    """Refused before its device is looked for."""
    sets = {'train.a': clusters(2), 'valid.a': clusters(2)}
    folder = write_training(tmp_path / 'job', sets, runtime={'device': 'cuda', 'gpus': 2})
    ended = rerun.engine(folder).exit
    assert ended.label == 'ERROR_JOB_INVALID'
    assert 'gpus is 2, but a training uses one: leave it out' in ended.message


@pytest.mark.gpu
@pytest.mark.sevennet
def test_two_real_gpus_give_the_forces_of_one(tmp_path: Path) -> None:
    """In float32, in which sums on a GPU have no fixed order."""
    tolerance = {'rtol': 0, 'atol': 1e-4}  # eV/Ang
    if devices.gpu_count() < 2:
        pytest.skip('needs two GPUs')
    spec = PotentialSpec(family='sevennet', name='7net-0')
    asked = [configuration(n, seed) for seed, n in enumerate([8, 27, 64] * 8)]
    with Pool(spec, tmp_path, Runtime(device='cuda', gpus=1), 'native') as pool:
        expected = pool.evaluate(asked)
    with Pool(spec, tmp_path, Runtime(device='cuda', gpus=2), 'native') as pool:
        assert pool.devices == ['cuda:0', 'cuda:1']
        for found, wanted in zip(pool.evaluate(asked), expected, strict=True):
            np.testing.assert_allclose(found.forces, wanted.forces, **tolerance)
        assert isinstance(pool._backend, GpuWorkers)
        assert all(worker.cpu_seconds > 0 for worker in pool._backend._workers)
