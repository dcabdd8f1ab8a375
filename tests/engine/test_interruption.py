"""Stopped, killed, damaged: whatever happens in between, the numbers are those of an unbroken run, to the last bit."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiida_litraj.contract import PotentialSpec, files
from aiida_litraj.engine import batch as batch_module
from aiida_litraj.engine import ends as ends_module
from aiida_litraj.engine import folder as folder_module
from aiida_litraj.engine.journal import Journal
from aiida_litraj.engine.models import Configuration, Evaluation, load

from .unbroken import assert_unbroken

SEED = 20251121
LOOSE = {
    'ends': {'fmax_ev_per_ang': 0.05},
    'band': {'fmax_ev_per_ang': 0.05},
    'acceptance': {'fmax_ev_per_ang': 0.1},
    'verify_saddle': {
        'n_modes': 2,
        'displacement_ang': 0.01,
        'max_iterations': 3,
        'tolerance_ev_per_ang2': 0.01,
    },
}


class Killed(BaseException):
    """What no handler catches: the process is gone."""


class Counting:
    """A toy that counts its calls and does something before one of them."""

    device, dtype = 'cpu', 'float64'

    def __init__(self, name: str = 'morse', **options: float) -> None:
        self._toy = load(PotentialSpec(family='toy', name=name, options=options), Path.cwd(), device='cpu')
        self.report = self._toy.report
        self.calls = 0
        self.before: tuple[int, Callable[[], None]] = (-1, lambda: None)

    def evaluate(self, configurations: Sequence[Configuration]) -> list[Evaluation]:
        if self.before[0] == self.calls:
            self.before[1]()
        self.calls += len(configurations)
        return self._toy.evaluate(configurations)


@pytest.fixture
def counting(with_potential: Any) -> Counting:
    """A Morse crystal's."""
    return with_potential(Counting())


@pytest.fixture
def well(with_potential: Any, monkeypatch: pytest.MonkeyPatch) -> Counting:
    """A potential without cost, for jobs that are run very often; no power cut is feigned, so no wait for the disk."""
    monkeypatch.setattr(os, 'fsync', lambda _: None)
    return with_potential(Counting('double_well', height=0.5))


@pytest.fixture(scope='module')
def wells(surface_hop: Any) -> dict[str, Any]:
    """Two paths on the double well that share their source."""
    source = (-1.1, 0.1, 0.0)
    return {'a': surface_hop(source, (1.2, 0.2, 0.1), 5), 'b': surface_hop(source, (0.8, 0.0, 0.1), 4)}


@pytest.fixture(scope='module')
def unbroken(fan: dict[str, Any], run_elsewhere: Any) -> Any:
    ran = run_elsewhere(fan, LOOSE)
    assert ran.result.exit.status == 0
    assert [item.source_shared_with for item in ran.result.items] == [None, 'from_0', 'from_0']
    return ran


def stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


STOPS = sorted(random.Random(SEED).sample(range(1, 100), 5))


@pytest.mark.parametrize('at', STOPS)
def test_signal_leads_to_a_checkpoint_that_resumes(
    at: int, fan: Any, unbroken: Any, job_folder: Any, rerun: Any, counting: Counting
) -> None:
    """The evaluation under way when the signal comes is the last; what it answered is not lost."""
    counting.before = (at, stop)
    folder = job_folder(fan, LOOSE)
    ran = rerun(folder)
    assert (ran.result.exit.status, ran.result.exit.label) == (400, 'ERROR_OUT_OF_TIME')
    done = [item.id for item in ran.result.items if item.status == 'finished']
    cut = [item for item in ran.result.items if item.status == 'unfinished']
    assert len(done) + len(cut) == 3
    assert len(cut) > 0
    assert ran.result.exit.message.startswith(f'{len(done)} of 3 paths finished')
    assert all((item.label, 'SIGTERM' in item.reason) == ('ERROR_OUT_OF_TIME', True) for item in cut)
    assert {key.split('/')[0] for key in ran.arrays} == set(done)
    assert ran.calls == counting.calls == at + 1
    ran = rerun(folder)
    assert_unbroken(ran, unbroken)
    assert ran.resumed_calls == at + 1
    assert counting.calls == unbroken.calls
    assert not (folder / files.CHECKPOINT).exists()


def test_stopped_again_and_again(fan: Any, unbroken: Any, job_folder: Any, rerun: Any, counting: Counting) -> None:
    folder = job_folder(fan, LOOSE)
    runs, status = 0, 400
    while status == 400:
        counting.before = (counting.calls + 12, stop)
        ran = rerun(folder)
        runs, status = runs + 1, ran.result.exit.status
    assert_unbroken(ran, unbroken)
    assert runs == 1 + (unbroken.calls - 1) // 13
    assert counting.calls == unbroken.calls


@pytest.mark.parametrize('at', STOPS)
def test_only_what_is_left_is_carried_on_elsewhere(
    at: int, fan: Any, unbroken: Any, job_folder: Any, rerun: Any, counting: Counting
) -> None:
    """The restarting chain's way: a job with the unfinished paths alone, beside a copy of checkpoint and items.

    The end they share with a path that is finished, and was relaxed in that one's atom order, is found again.
    """
    counting.before = (at, stop)
    first = job_folder(fan, LOOSE)
    ran = rerun(first)
    left = [item.id for item in ran.result.items if item.status == 'unfinished']
    second = job_folder({name: fan[name] for name in reversed(left)}, LOOSE)
    for name in (files.CHECKPOINT, files.ITEMS):
        shutil.copytree(first / name, second / name)
    ran = rerun(second)
    assert ran.result.exit.status == 0
    assert [item.id for item in ran.result.items] == left[::-1]
    assert_unbroken(ran, unbroken, left) if len(left) == 1 else None
    for name in left:
        assert ran[name] == unbroken[name]
        np.testing.assert_array_equal(ran.energies(name), unbroken.energies(name))
    assert counting.calls == unbroken.calls


def test_clock_of_the_engine(fan: Any, unbroken: Any, job_folder: Any, rerun: Any, counting: Counting) -> None:
    counting.before = (20, lambda: time.sleep(2.1))
    folder = job_folder(fan, LOOSE, runtime={'max_seconds': 2.0})
    ran = rerun(folder)
    assert ran.result.exit.label == 'ERROR_OUT_OF_TIME'
    assert 'cut off by max_seconds' in next(item.reason for item in ran.result.items if item.status == 'unfinished')
    assert counting.calls <= 21
    change_job(folder, 'runtime.max_seconds', None)  # what cannot change an answer leaves the checkpoint valid
    ran = rerun(folder)
    assert_unbroken(ran, unbroken)
    assert ran.resumed_calls > 0


def change_job(folder: Path, where: str, value: Any) -> None:
    job = json.loads((folder / files.JOB).read_text())
    *keys, last = where.split('.')
    inner = job
    for key in keys:
        inner = inner[key]
    inner[last] = value
    (folder / files.JOB).write_text(json.dumps(job))


CHANGES: dict[str, tuple[str, Any]] = {
    'spring': ('parameters.band.spring_constant_ev_per_ang2', 4.0),
    'end': ('parameters.source.fmax_ev_per_ang', 0.04),
    'seed': ('parameters.seed', 1),
    'acceptance': ('parameters.acceptance.fmax_ev_per_ang', 0.09),
    'options': ('potential.options', {'height': 0.5}),
    'checksum': ('', None),
}


@pytest.mark.parametrize('change', CHANGES)
def test_checkpoint_of_another_question_is_not_used(
    change: str, wells: Any, well: Counting, with_potential: Any, job_folder: Any, rerun: Any
) -> None:
    """Other parameters, whatever they are for, or another potential: nothing of the earlier run is left."""
    expected_calls = rerun(job_folder(wells)).calls
    well.before = (2 * expected_calls - 4, stop)
    folder, fresh = job_folder(wells), job_folder(wells)
    ran = rerun(folder)
    assert [item.status for item in ran.result.items] == ['finished', 'unfinished']
    where, value = CHANGES[change]
    for target in (folder, fresh):
        if where:
            change_job(target, where, value)
        else:
            with_potential(Counting('double_well', height=0.4))
    ran, expected = rerun(folder), rerun(fresh)
    assert ran.resumed_calls == 0
    assert_unbroken(ran, expected)


def test_another_path_under_the_same_name_starts_anew(
    fan: Any, unbroken: Any, vacancy_hop: Any, job_folder: Any, rerun: Any, counting: Counting
) -> None:
    """And the others go on."""
    counting.before = (unbroken.calls - 3, stop)
    folder = job_folder(fan, LOOSE)
    assert rerun(folder).result.exit.status == 400
    hops = fan | {'from_2': vacancy_hop(n_images=4, noise=0.05)}
    elsewhere = job_folder(hops, LOOSE)
    shutil.copytree(folder / files.CHECKPOINT, elsewhere / files.CHECKPOINT)
    shutil.copytree(folder / files.ITEMS, elsewhere / files.ITEMS)
    ran, expected = rerun(elsewhere), rerun(job_folder(hops, LOOSE))
    assert_unbroken(ran, expected)
    paid = unbroken['from_2'].band_calls + unbroken['from_2'].saddle_calls + unbroken['from_2'].target_steps + 1
    assert ran.resumed_calls == unbroken.calls - 2 - paid


def damaged(content: bytes) -> Iterator[tuple[str, bytes | None]]:
    yield 'gone', None
    yield 'empty', b''
    yield 'half', content[: len(content) // 2]
    yield 'a bit flipped', content[:-9] + bytes([content[-9] ^ 1]) + content[-8:] if len(content) > 9 else b'\0'
    yield 'garbage', b'\xff\x00' * 40


def test_damage_costs_time_and_never_the_truth(
    wells: Any, well: Counting, job_folder: Any, rerun: Any, tmp_path: Path
) -> None:
    """Each file of a checkpoint and of the finished items, damaged in five ways, one after the other."""
    expected = rerun(job_folder(wells))
    well.before = (well.calls + expected.calls - 4, stop)
    folder, kept = job_folder(wells), tmp_path / 'kept'
    assert rerun(folder).result.exit.status == 400
    shutil.copytree(folder, kept)
    names = [path.relative_to(kept) for name in (files.CHECKPOINT, files.ITEMS) for path in (kept / name).iterdir()]
    assert {name.suffix for name in names} == {'.journal', '.done', '.npz', '.json'}
    for name in names:
        for how, content in damaged((kept / name).read_bytes()):
            shutil.rmtree(folder)
            shutil.copytree(kept, folder)
            (folder / name).unlink()
            if content is not None:
                (folder / name).write_bytes(content)
            before = well.calls
            ran = rerun(folder)
            for key in expected.arrays:
                np.testing.assert_array_equal(ran.arrays[key], expected.arrays[key], err_msg=f'{name} {how}: {key}')
            assert ran.result.items == expected.result.items, f'{name} {how}'
            assert ran.calls - ran.resumed_calls == well.calls - before
            assert ran.calls == expected.calls, f'{name} {how}'


class Breaker:
    """Dies at the n-th write to disk, before it or after it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left, self.late = -1, False
        self.writes: list[str] = []
        for owner, name in (
            (batch_module, 'write_atomic'),
            (folder_module, 'write_atomic'),
            (ends_module, 'write_atomic'),
            (Journal, 'append'),
            (Journal, 'close'),
            (Path, 'unlink'),
            (shutil, 'rmtree'),
        ):
            monkeypatch.setattr(owner, name, self._watched(getattr(owner, name), name))

    def _watched(self, function: Any, name: str) -> Any:
        def watched(*arguments: Any, **keywords: Any) -> Any:
            self.writes.append(name)
            dies = len(self.writes) - 1 == self.left
            if dies and not self.late:
                raise Killed
            result = function(*arguments, **keywords)
            if dies:
                raise Killed
            return result

        return watched


@pytest.mark.parametrize('late', [False, True], ids=['before it', 'after it'])
def test_killed_at_every_write(
    late: bool, wells: Any, well: Counting, job_folder: Any, rerun: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All the places where a kill can fall between two writes; of the many answers in journals every fifth."""
    quick = {'ends': {'fmax_ev_per_ang': 0.2}, 'band': {'fmax_ev_per_ang': 0.2}, 'acceptance': {'fmax_ev_per_ang': 0.3}}
    breaker = Breaker(monkeypatch)
    expected = rerun(job_folder(wells, quick))
    writes = list(breaker.writes)
    assert {'write_atomic', 'append', 'close', 'unlink', 'rmtree'} == set(writes)
    for k in [k for k, name in enumerate(writes) if name != 'append' or not k % 5]:
        folder = job_folder(wells, quick)
        breaker.writes, breaker.left, breaker.late = [], k, late
        well.calls = 0
        with pytest.raises(Killed):
            rerun(folder)
        breaker.left = -1
        if (folder / files.RESULT).exists():  # it was dead already when it had nothing left to say
            assert_unbroken(rerun.read(folder), expected)
            continue
        assert_unbroken(rerun(folder), expected)
        assert well.calls <= expected.calls + 1  # at most the one answer that was not on disk yet
