"""When a running job is ended early, and when it is left alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from aiida.engine.processes.calcjobs.monitors import CalcJobMonitors
from aiida.orm import CalcJobNode, Dict
from aiida.schedulers import JobState

from aiida_litraj import __version__
from aiida_litraj.calculations import monitors
from aiida_litraj.contract import files
from aiida_litraj.contract.audit import Audit
from aiida_litraj.contract.result import ActiveItem, Progress

HOUR = timedelta(hours=1)
MONITOR = {'entry_point': 'litraj.hopeless'}


@pytest.fixture
def running(computer: Any, tmp_path: Path) -> CalcJobNode:
    """A job that runs in a folder, as far as the database knows."""
    node = CalcJobNode(computer=computer, process_type='aiida.calculations:litraj.md')
    node.set_option('resources', {'num_machines': 1})
    node.store()
    node.set_remote_workdir(str(tmp_path))
    node.set_scheduler_state(JobState.RUNNING)
    return node


@pytest.fixture
def ask(running: CalcJobNode, computer: Any) -> Callable[..., str | None]:
    """``ask(**keywords)`` is what AiiDA hears of the monitor."""

    def make(**keywords: Any) -> str | None:
        with computer.get_transport() as transport:
            found = CalcJobMonitors({'hopeless': Dict({**MONITOR, 'kwargs': keywords})}).process(running, transport)
        return None if found is None else found.message

    return make


AUDIT: dict[str, Any] = {
    'engine_version': '0.1.0', 'schema_version': 1, 'python_version': '3.11', 'platform': 'x', 'packages': {},
    'potential': {'family': 'toy', 'name': 'morse', 'sha256': 'ab' * 32}, 'device': 'cpu', 'dtype': 'float64',
    'kernels': 'plain', 'processes': 1, 'seed': 0, 'model_calls': 7, 'resumed_calls': 0, 'model_seconds': 1.0,
    'cpu_seconds': 2.0, 'wall_seconds': 3.0, 'peak_memory_mb': 100.0, 'out_of_memory_halvings': 0,
}  # fmt: skip


def engine_says(
    folder: Path,
    calls: int,
    n_finished: int = 0,
    n_converged: int = 0,
    n_items: int = 4,
    started: str = 'noon',
    task: str = 'md',
    active: tuple[ActiveItem, ...] = (),
) -> None:
    progress = Progress(
        task=task, n_items=n_items, n_finished=n_finished, n_converged=n_converged, n_active=n_items - n_finished,
        active=list(active), model_calls=calls, wall_seconds=1.0, updated_at='2000-01-01T00:00:00+00:00',
        audit=Audit(**AUDIT, started_at=started),
    )  # fmt: skip
    (folder / files.PROGRESS).write_text(progress.model_dump_json())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The clock of this machine; ``clock.now`` can be set."""

    class Clock(datetime):
        moment = datetime(2026, 1, 1, tzinfo=timezone.utc)

        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return cls.moment

    monkeypatch.setattr(monitors, 'datetime', Clock)
    return Clock


def test_job_that_evaluates_goes_on(ask: Any, clock: Any, tmp_path: Path) -> None:
    for calls in range(3):
        engine_says(tmp_path, calls)
        assert ask() is None
        clock.moment += 2 * HOUR


def test_job_that_hangs_is_ended(ask: Any, clock: Any, running: CalcJobNode, tmp_path: Path) -> None:
    engine_says(tmp_path, 7)
    assert ask() is None
    clock.moment += 0.9 * HOUR
    assert ask() is None
    clock.moment += 0.2 * HOUR
    assert ask() == 'nothing was evaluated for 3960 s, more than 3600'
    assert running.base.extras.get(monitors.STOPPED_EXTRA) == monitors.STALLED


def test_training_goes_on_from_epoch_to_epoch(ask: Any, clock: Any, tmp_path: Path) -> None:
    """It evaluates nothing before its end; within an epoch nothing is seen of it."""
    for epoch in range(3):
        engine_says(tmp_path, 0, task='train', active=(ActiveItem(id='seed_0', phase='training', step=epoch),))
        assert ask() is None
        clock.moment += 2 * HOUR
    said = 'no epoch came to its end for 7200 s, more than 3600: if one takes longer, give the monitor more '
    assert ask() == said + 'stalled_seconds'


def test_next_training_of_a_job_moves(ask: Any, clock: Any, tmp_path: Path) -> None:
    for number in range(2):
        active = (ActiveItem(id=f'seed_{number}', phase='training', step=0),)
        engine_says(tmp_path, 0, n_finished=number, task='train', active=active)
        assert ask() is None
        clock.moment += 2 * HOUR


def test_patience_is_a_choice(ask: Any, clock: Any, tmp_path: Path) -> None:
    engine_says(tmp_path, 7)
    assert ask(stalled_seconds=10.0) is None
    clock.moment += timedelta(seconds=11)
    assert ask(stalled_seconds=10.0) == 'nothing was evaluated for 11 s, more than 10'


@pytest.mark.parametrize('seen_waiting', [True, False])
def test_job_that_was_queued_again_has_its_time_anew(
    ask: Any, clock: Any, running: CalcJobNode, tmp_path: Path, seen_waiting: bool
) -> None:
    """The calls of the new run may be those of the old one when it is first looked at."""
    engine_says(tmp_path, 7, started='noon')
    assert ask() is None
    clock.moment += 0.9 * HOUR
    if seen_waiting:
        running.set_scheduler_state(JobState.QUEUED)
        assert ask() is None
        running.set_scheduler_state(JobState.RUNNING)
    else:
        engine_says(tmp_path, 7, started='one')
    clock.moment += 0.2 * HOUR
    assert ask() is None
    clock.moment += 1.1 * HOUR
    assert ask() == 'nothing was evaluated for 3960 s, more than 3600'


@pytest.mark.parametrize('given_up', [0, 2, 3])
def test_too_many_dead(ask: Any, running: CalcJobNode, given_up: int, tmp_path: Path) -> None:
    """A replica that dies is a result, unless somebody says that all are needed."""
    engine_says(tmp_path, 7, n_finished=given_up + 1, n_converged=1, n_items=6)
    assert ask() is None
    found = ask(most_dead=0.4)
    if given_up < 3:
        assert found is None
    else:
        assert found == '3 of 6 replicas were given up, more than the share of 0.4'
        assert running.base.extras.get(monitors.STOPPED_EXTRA) == monitors.DEAD


@pytest.mark.parametrize('state', [JobState.QUEUED, JobState.DONE, JobState.UNDETERMINED])
def test_job_that_does_not_run_is_left_alone(
    ask: Any, clock: Any, running: CalcJobNode, state: JobState, tmp_path: Path
) -> None:
    engine_says(tmp_path, 7, n_finished=3)
    ask()
    clock.moment += 9 * HOUR
    running.set_scheduler_state(state)
    assert ask(most_dead=0.0) is None


def test_job_at_its_end_is_left_alone(ask: Any, tmp_path: Path) -> None:
    engine_says(tmp_path, 7, n_finished=4, n_converged=0)
    assert ask(most_dead=0.0) is None


@pytest.mark.parametrize('content', [None, '', '{"schema_version": 1, "ta'])
def test_job_that_has_not_said_anything_is_left_alone(ask: Any, content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / files.PROGRESS).write_text(content)
    assert ask(stalled_seconds=0.0) is None


def test_version_that_is_recorded() -> None:
    assert monitors.__version__ == __version__
