"""Gone on with in another folder, as the restarting chain does: what lies there, and what is fetched of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from aiida_litraj.contract import files

from .replicas import Ran, Replica, assert_same, crystal, hold, parameters, write_job
from .trouble import Run, StopAfter, spoilt

ALL = {
    'dies': Replica(crystal(1), [hold(20.0)], seed=1),
    'done': Replica(crystal(1), [hold(10.0)], seed=2),
    'v1.5': Replica(crystal(2), [hold(40.0)], seed=3),
}
TROUBLE = {(4, 3): spoilt(energy=1000.0)}
NEVER = 10**9
OF_ONE_DONE = {f'v1.5{suffix}' for suffix in ('.frames', '.thermo', '.json', '.npz')}


def go_on(parent: Path, names: list[str]) -> Path:
    """Return a new folder beside that of an earlier job, with a job of some replicas that resumes it."""
    folder = write_job(parent.with_name(f'{parent.name}_next'), {name: ALL[name] for name in names}, parameters())
    for name in (files.CHECKPOINT, files.ITEMS):
        shutil.copytree(parent / name, folder / name)
    return folder


def fetched(folder: Path) -> set[str]:
    return {path.name for path in (folder / files.ITEMS).rglob('*')}


@pytest.fixture
def unbroken(run_md: Run, monkeypatch: pytest.MonkeyPatch) -> Ran:
    StopAfter(NEVER, monkeypatch, TROUBLE)
    return run_md(ALL)


@pytest.fixture
def first(run_md: Run, monkeypatch: pytest.MonkeyPatch, unbroken: Ran) -> Ran:
    """Of a job in which one died, one came to its end, and one was cut off."""
    StopAfter(20, monkeypatch, TROUBLE)
    ran = run_md(ALL)
    assert [item.status for item in ran.result.items] == ['failed', 'finished', 'unfinished']
    return ran


def test_what_earlier_jobs_have_finished_is_not_fetched_again(
    run_md: Run, first: Ran, unbroken: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = go_on(first.folder, ['v1.5'])
    (folder / files.ITEMS / '.v1.5.json.99').write_text('left by a kill in the middle of a write')
    StopAfter(NEVER, monkeypatch)
    ran = run_md(again=folder)
    assert ran.result.audit is not None
    assert ran.result.audit.resumed_calls > 0
    assert fetched(folder) == OF_ONE_DONE
    assert_same(ran, unbroken, ['v1.5'])


@pytest.mark.parametrize(('calls', 'status', 'evaluated'), [(3, 'unfinished', {8}), (NEVER, 'finished', set())])
def test_a_job_that_wants_all_of_them_again_finds_them(
    calls: int, status: str, evaluated: set[int],
    run_md: Run, first: Ran, unbroken: Ran, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Resumed by hand from the last folder of a chain, with all its replicas: dead and done are as they were."""
    StopAfter(calls, monkeypatch)
    second = run_md(again=go_on(first.folder, ['v1.5']))
    assert second['v1.5'].status == status
    evaluator = StopAfter(NEVER, monkeypatch)
    third = run_md(again=go_on(second.folder, list(ALL)))
    assert set(evaluator.seen) == evaluated
    assert_same(third, unbroken)
    assert fetched(third.folder) == fetched(unbroken.folder)


def test_progress_of_an_earlier_run_in_the_folder_is_not_taken_for_that_of_this_one(
    run_md: Run, first: Ran, rerun: Any
) -> None:
    """A job that was queued again has not evaluated anything yet, and may never."""
    assert (first.folder / files.PROGRESS).exists()
    (first.folder / files.ARRAYS).write_bytes(b'')
    assert rerun.engine(first.folder).exit.label == 'ERROR_JOB_INVALID'
    assert not (first.folder / files.PROGRESS).exists()
