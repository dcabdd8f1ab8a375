"""The pool: same numbers wherever it evaluates, memory budgets, dying workers."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from aiida_litraj.contract import LitrajError, PotentialReport, PotentialSpec, Runtime
from aiida_litraj.engine.budget import FIRST_BATCH_ATOMS
from aiida_litraj.engine.evaluation import Pool
from aiida_litraj.engine.failure import Failure
from aiida_litraj.engine.models import Configuration, DeviceOutOfMemory, Evaluation
from aiida_litraj.engine.workers import Workers

MORSE = PotentialSpec(family='toy', name='morse')


def configuration(n_atoms: int, seed: int = 0) -> Configuration:
    rng = np.random.default_rng(seed)
    side = int(np.ceil(n_atoms ** (1 / 3)))
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing='ij'), axis=-1).reshape(-1, 3)[:n_atoms]
    positions = 2.8 * grid + rng.normal(scale=0.05, size=(n_atoms, 3))
    return Configuration(np.full(n_atoms, 3), positions, 2.8 * side * np.eye(3), np.ones(3, dtype=bool))


CONFIGURATIONS = [configuration(8, seed) for seed in range(6)] + [configuration(27, 7)]


class FakeGpu:
    """A device with room for ``room`` atoms, which notes the size of every batch that was tried."""

    device = 'cuda:0'
    dtype = 'float64'
    report = PotentialReport(family='toy', name='fake', dtypes=['float64'])

    def __init__(self, room: int) -> None:
        self.room = room
        self.tried: list[int] = []

    def evaluate(self, configurations: Sequence[Configuration]) -> list[Evaluation]:
        self.tried.append(sum(map(len, configurations)))
        if self.tried[-1] > self.room:
            raise DeviceOutOfMemory
        return [Evaluation(float(c.positions.sum()), c.positions) for c in configurations]


def answers_of(pool: Pool, configurations: Sequence[Configuration]) -> dict[int, Evaluation | Failure]:
    for ticket, asked in enumerate(configurations):
        pool.submit(ticket, asked)
    found = dict[int, Evaluation | Failure]()
    while pool.pending:
        found.update(pool.collect())
    return found


@pytest.mark.parametrize('processes', [1, 2])
def test_pool_returns_what_the_potential_says(processes: int, tmp_path: Path) -> None:
    with Pool(MORSE, tmp_path, Runtime(device='cpu', processes=1), 'native') as pool:
        expected = [pool.evaluate([c])[0] for c in CONFIGURATIONS]
    with Pool(MORSE, tmp_path, Runtime(device='cpu', processes=processes), 'native') as pool:
        assert (pool.processes, pool.capacity, pool.device, pool.dtype) == (processes, processes, 'cpu', 'float64')
        for found, wanted in zip(pool.evaluate(CONFIGURATIONS), expected, strict=True):
            assert found.energy == wanted.energy
            np.testing.assert_array_equal(found.forces, wanted.forces)
        assert pool.calls == len(CONFIGURATIONS)
        assert pool.seconds_per_call > 0.0
        assert pool.pending == 0
        assert pool.collect() == []


def test_tickets_name_their_configuration_whatever_the_order(tmp_path: Path) -> None:
    with Pool(MORSE, tmp_path, Runtime(processes=2), 'native') as pool:
        for ticket in (5, 3, 9):
            pool.submit(ticket, configuration(8, ticket))
        found = dict[int, Evaluation]()
        while pool.pending:
            found.update(pool.collect())
        for ticket, evaluation in found.items():
            np.testing.assert_array_equal(evaluation.forces, pool.evaluate([configuration(8, ticket)])[0].forces)
    assert set(found) == {3, 5, 9}


def test_light_family_needs_no_worker_unless_asked(tmp_path: Path) -> None:
    with Pool(MORSE, tmp_path, Runtime(), 'native') as pool:
        assert pool.processes == 1


def test_budget_is_respected_and_order_kept() -> None:
    gpu = FakeGpu(room=10_000)
    pool = Pool.of(gpu, Runtime(batch_atoms=20))
    for ticket in range(5):
        pool.submit(ticket, configuration(8, ticket))
    assert [[ticket for ticket, _ in pool.collect()] for _ in range(3)] == [[0, 1], [2, 3], [4]]
    assert gpu.tried == [16, 16, 8]


def test_budget_is_halved_until_it_fits_and_stays_there() -> None:
    gpu = FakeGpu(room=30)
    pool = Pool.of(gpu, Runtime(batch_atoms=100))
    evaluations = pool.evaluate([configuration(8, seed) for seed in range(16)])
    for seed, evaluation in enumerate(evaluations):
        np.testing.assert_array_equal(evaluation.forces, configuration(8, seed).positions)
    assert pool.halvings == 2
    assert pool.calls == 16
    assert gpu.tried[:3] == [96, 48, 24]
    assert max(gpu.tried[2:]) <= 24


def test_budget_grows_to_the_memory_and_not_beyond() -> None:
    gpu = FakeGpu(room=3 * FIRST_BATCH_ATOMS)
    pool = Pool.of(gpu)
    capacity = pool.capacity
    pool.evaluate([configuration(64)] * 1000)
    assert pool.halvings == 1
    assert 0.5 * gpu.room <= max(size for size in gpu.tried if size <= gpu.room)
    assert sum(size > gpu.room for size in gpu.tried) == 1
    assert capacity != pool.capacity
    assert 64 * pool.capacity >= FIRST_BATCH_ATOMS


def test_configuration_that_never_fits_fails_alone() -> None:
    found = answers_of(Pool.of(FakeGpu(room=30)), [configuration(n) for n in (8, 64, 27)])
    assert isinstance(found[0], Evaluation)
    assert isinstance(found[2], Evaluation)
    assert found[1] == Failure('ERROR_DEVICE_MEMORY', 'out of memory on cuda:0 with one configuration of 64 atoms')


def test_positions_that_are_not_finite_do_not_reach_the_potential() -> None:
    gpu = FakeGpu(room=100)
    pool = Pool.of(gpu)
    broken = configuration(8)
    broken.positions[3, 1] = np.inf
    good, bad = pool.evaluate([configuration(8), broken])
    assert np.isfinite(good.forces).all()
    assert np.isnan(bad.energy)
    assert bad.forces.shape == (8, 3)
    assert gpu.tried == [8]


def test_element_that_is_not_covered_is_refused_on_submission() -> None:
    gpu = FakeGpu(room=100)
    gpu.report = PotentialReport(family='toy', name='fake', elements=['O', 'P'])
    pool = Pool.of(gpu)
    with pytest.raises(LitrajError, match='toy:fake does not cover Li') as caught:
        pool.submit(0, configuration(8))
    assert caught.value.code.label == 'ERROR_ELEMENTS_NOT_COVERED'
    assert pool.pending == 0


def test_error_of_the_table_crosses_from_a_worker(tmp_path: Path) -> None:
    spec = PotentialSpec(family='toy', name='no_such')
    with pytest.raises(LitrajError, match='no_such') as caught:
        Pool(spec, tmp_path, Runtime(processes=2), 'native')
    assert caught.value.code.label == 'ERROR_POTENTIAL_NOT_LOADED'


def test_dead_worker_is_reported_and_not_waited_for(tmp_path: Path) -> None:
    with Pool(MORSE, tmp_path, Runtime(processes=2), 'native') as pool:
        assert isinstance(pool._backend, Workers)
        os.kill(pool._backend._workers[0].process.pid, signal.SIGKILL)
        with pytest.raises(RuntimeError, match='killed by signal 9'):
            pool.evaluate(CONFIGURATIONS)


MALFORMED = Configuration(np.array([3]), np.zeros((1, 2)), np.eye(3), np.ones(3, dtype=bool))
"""What a potential raises on."""


@pytest.mark.parametrize('processes', [1, 2])
def test_what_a_potential_raises_on_fails_alone(processes: int, tmp_path: Path) -> None:
    """The first or one in between: the reason names the exception, the others get what they would have got."""
    with Pool(MORSE, tmp_path, Runtime(processes=processes), 'native') as pool:
        expected = pool.evaluate(CONFIGURATIONS)
        calls = pool.calls
        found = answers_of(pool, [MALFORMED, *CONFIGURATIONS[:3], MALFORMED, *CONFIGURATIONS[3:]])
        assert pool.calls == 2 * calls
        with pytest.raises(RuntimeError, match='ValueError'):
            pool.evaluate([MALFORMED])
    for ticket in (0, 4):
        failure = found.pop(ticket)
        assert isinstance(failure, Failure)
        assert failure.label == 'ERROR_EVALUATION'
        assert re.search(r': ValueError: .* \(\w+\.py:\d+\)$', failure.reason), failure.reason
    for (_, answer), wanted in zip(sorted(found.items()), expected, strict=True):
        assert isinstance(answer, Evaluation)
        np.testing.assert_array_equal(answer.forces, wanted.forces)


class Refusing(FakeGpu):
    """A device that raises on batches with a certain number of atoms in one of their configurations."""

    refused = 9
    broken = False

    def evaluate(self, configurations: Sequence[Configuration]) -> list[Evaluation]:
        found = super().evaluate(configurations)
        self.broken |= self.refused == 0
        if self.broken or any(len(c) == self.refused for c in configurations):
            raise ArithmeticError('no')
        return found


def test_batch_with_one_that_raises_is_taken_apart() -> None:
    gpu = Refusing(room=100)
    found = answers_of(Pool.of(gpu), [configuration(n) for n in (8, 9, 10)])
    assert [isinstance(found[ticket], Failure) for ticket in range(3)] == [False, True, False]
    assert gpu.tried == [27, 8, 9, 8, 10]  # the one before is asked once more: is it the device?


def test_device_that_is_broken_is_no_fault_of_the_configurations() -> None:
    gpu = Refusing(room=100)
    pool = Pool.of(gpu)
    pool.evaluate([configuration(8)])
    gpu.refused = 0
    pool.submit(0, configuration(10))
    with pytest.raises(ArithmeticError, match='no'):
        pool.collect()


def test_workers_outlive_the_signals_that_end_a_job(tmp_path: Path) -> None:
    with Pool(MORSE, tmp_path, Runtime(processes=2), 'native') as pool:
        assert isinstance(pool._backend, Workers)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            os.kill(pool._backend._workers[0].process.pid, number)
        assert len(pool.evaluate(CONFIGURATIONS)) == len(CONFIGURATIONS)


def test_closing_leaves_no_process(tmp_path: Path) -> None:
    pool = Pool(MORSE, tmp_path, Runtime(processes=2), 'native')
    assert isinstance(pool._backend, Workers)
    pool.evaluate(CONFIGURATIONS)
    workers = list(pool._backend._workers)
    pool.close()
    assert all(worker.process.poll() is not None for worker in workers)


def test_waiting_ends_after_the_timeout(tmp_path: Path) -> None:
    with Pool(MORSE, tmp_path, Runtime(processes=2), 'native') as pool:
        assert isinstance(pool._backend, Workers)
        worker = pool._backend._workers[0].process.pid
        os.kill(worker, signal.SIGSTOP)
        pool.submit(0, configuration(8))
        assert pool.collect(timeout=0.05) == []
        assert pool.collect(block=False) == []
        assert pool.pending == 1
        os.kill(worker, signal.SIGCONT)
        assert [ticket for ticket, _ in pool.collect()] == [0]
