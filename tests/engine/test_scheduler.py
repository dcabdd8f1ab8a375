"""Many tasks over one pool: none waits for another without need, none sees another's trouble."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiida_litraj.engine.core.stages import Demand, Evaluated, StageFailed
from aiida_litraj.engine.failure import Failure
from aiida_litraj.engine.models import Configuration, Evaluation
from aiida_litraj.engine.scheduler import Scheduler, Task

N_STEPS = 6


class FakePool:
    """Answers with numbers that depend on the positions alone, in an order of its own and a few a time."""

    def __init__(self, capacity: int = 3, seed: int = 0) -> None:
        self.capacity = capacity
        self.asked = 0
        self.most_in_flight = 0
        self._rng = np.random.default_rng(seed)
        self._queue: list[tuple[int, Configuration]] = []

    @property
    def pending(self) -> int:
        return len(self._queue)

    def submit(self, ticket: int, configuration: Configuration) -> None:
        self.asked += 1
        self._queue.append((ticket, configuration))
        self.most_in_flight = max(self.most_in_flight, self.pending)

    def collect(self, block: bool = True, timeout: float | None = None) -> list[tuple[int, Evaluation | Failure]]:
        self._rng.shuffle(self._queue)
        n = int(self._rng.integers(1, len(self._queue) + 1)) if self._queue else 0
        ready, self._queue = self._queue[:n], self._queue[n:]
        return [(ticket, self.answer(c.positions)) for ticket, c in ready]

    def answer(self, positions: Any) -> Evaluation | Failure:
        return Evaluation(float(np.sin(positions).sum()), np.cos(positions))


class RefusingPool(FakePool):
    """Cannot evaluate what starts beyond 10; says where that was."""

    def answer(self, positions: Any) -> Evaluation | Failure:
        x = float(positions[0, 0])
        return super().answer(positions) if x < 10.0 else Failure('ERROR_EVALUATION', f'at {x:g}')


def walk(start: float, n_images: int = 2, n_steps: int = N_STEPS) -> Generator[Demand, Evaluated, float]:
    """A stage whose value depends on every answer and on which image it belongs to."""
    positions, total = np.full((n_images, 1, 3), start) + np.arange(n_images)[:, None, None], 0.0
    for step in range(n_steps):
        evaluated = yield Demand(positions, 'walk', step)
        total = 0.5 * total + float(evaluated.energies @ np.arange(1, n_images + 1))
        positions = positions + 0.1 * evaluated.forces
    return total


def walked(*arguments: Any) -> float:
    """The value of the same stage, driven one by one."""
    stage = walk(*arguments)
    demand = next(stage)
    while True:
        energies = np.array([np.sin(p).sum() for p in demand.positions])
        try:
            demand = stage.send(Evaluated(energies, np.cos(demand.positions)))
        except StopIteration as stop:
            return float(stop.value)


def task(name: str, start: Callable[[Mapping[str, Any]], Any], needs: tuple[str, ...] = ()) -> Task:
    one = np.ones(1, dtype=np.int64)
    return Task(name, one, np.eye(3), np.zeros(3, dtype=bool), f'{hash(name) % 2**64:064x}', start, needs)


class Run:
    """A scheduler with what it has told so far."""

    def __init__(self, folder: Path, pool: FakePool | None = None, evaluations: int | None = None) -> None:
        self.pool = pool or FakePool()
        self.outcomes: dict[str, Any] = {}
        self.ticks = 0
        self._evaluations = evaluations
        self.scheduler = Scheduler(self.pool, folder, self.outcomes.__setitem__, self._keep_running, self._tick)

    def _keep_running(self) -> bool:
        return self._evaluations is None or self.scheduler.calls < self._evaluations

    def _tick(self) -> None:
        self.ticks += 1


@pytest.mark.parametrize('capacity', [1, 3, 100])
@pytest.mark.parametrize('seed', [0, 1])
def test_outcomes_do_not_depend_on_the_order_of_the_answers(capacity: int, seed: int, tmp_path: Path) -> None:
    run = Run(tmp_path, FakePool(capacity, seed))
    starts = {f'task_{k}': (0.3 * k, 1 + k % 4, N_STEPS + k) for k in range(8)}
    assert run.scheduler.run([task(name, lambda _, a=a: walk(*a)) for name, a in starts.items()])
    assert run.outcomes == {name: walked(*a) for name, a in starts.items()}
    assert run.scheduler.calls == run.pool.asked == sum(n * steps for _, n, steps in starts.values())
    assert run.scheduler.resumed_calls == 0


def test_new_tasks_enter_as_room_is_made_and_not_before(tmp_path: Path) -> None:
    """As long as tasks wait the pool is full; each one under way has something in it, so they are at most as many."""
    capacity, n_tasks = 6, 20
    run = Run(tmp_path, FakePool(capacity))
    under_way, waiting, filled = [], [], []
    collect = run.pool.collect

    def watched(*arguments: Any, **keywords: Any) -> Any:
        under_way.append(len(run.scheduler.standing))
        waiting.append(n_tasks - len(run.outcomes) - under_way[-1])
        filled.append(run.pool.pending)
        return collect(*arguments, **keywords)

    run.pool.collect = watched  # type: ignore[method-assign]
    assert run.scheduler.run([task(f'{k}', lambda _, k=k: walk(0.1 * k)) for k in range(n_tasks)])
    assert len(run.outcomes) == n_tasks
    assert max(under_way) <= capacity
    assert waiting[0] >= n_tasks - capacity
    assert min(full for full, left in zip(filled, waiting) if left) >= capacity


def test_what_a_task_needs_is_there_first(tmp_path: Path) -> None:
    run, seen = Run(tmp_path), {}

    def start(outcomes: Mapping[str, Any]) -> Any:
        seen.update(outcomes)
        return walk(outcomes['end'])

    tasks = [task('end', lambda _: walk(1.0)), task('path', start, ('end',)), task('other', lambda _: walk(2.0))]
    assert run.scheduler.run(tasks)
    assert seen == {'end': walked(1.0)}
    assert run.outcomes == {'end': walked(1.0), 'path': walked(walked(1.0)), 'other': walked(2.0)}


def fails_at(step: int, error: Exception) -> Generator[Demand, Evaluated, float]:
    for k in range(step):
        yield Demand(np.zeros((2, 1, 3)) + k, 'doomed', k)
    raise error


@pytest.mark.parametrize('step', [0, 1, 3])
def test_trouble_stays_with_those_that_need_the_outcome(step: int, tmp_path: Path) -> None:
    run = Run(tmp_path)
    doom = StageFailed('ERROR_NON_FINITE', phase='band')
    tasks = [
        task('doomed', lambda _: fails_at(step, doom)),
        task('needs it', lambda _: walk(0.0), ('doomed',)),
        task('needs that', lambda _: walk(0.0), ('needs it',)),
        task('free', lambda _: walk(1.0)),
    ]
    assert run.scheduler.run(tasks)
    failure = Failure('ERROR_NON_FINITE', str(doom))
    assert run.outcomes == {'doomed': failure, 'needs it': failure, 'needs that': failure, 'free': walked(1.0)}


@pytest.mark.parametrize('seed', range(4))
def test_refused_configuration_ends_its_task_alone(seed: int, tmp_path: Path) -> None:
    """Two of four images at once: the first of them is told, whichever came first, and the others are counted."""
    run = Run(tmp_path, RefusingPool(5, seed))
    tasks = [
        task('doomed', lambda _: walk(8.5, 4)),
        task('free', lambda _: walk(1.0)),
        task('next', lambda _: walk(2.0)),
    ]
    assert run.scheduler.run(tasks)
    assert run.outcomes == {
        'doomed': Failure('ERROR_EVALUATION', 'at 10.5'),
        'free': walked(1.0),
        'next': walked(2.0),
    }
    assert (run.scheduler.spent['doomed'], run.scheduler.calls) == ({'walk': 2}, 2 + 4 * N_STEPS)


@pytest.mark.parametrize('step', [0, 2])
def test_a_bug_is_a_crash_of_its_own_task_told_with_its_place(step: int, tmp_path: Path) -> None:
    run = Run(tmp_path)
    tasks = [
        task('doomed', lambda _: fails_at(step, ZeroDivisionError('by zero'))),
        task('free', lambda _: walk(1.0)),
    ]
    assert run.scheduler.run(tasks)
    failure = run.outcomes['doomed']
    assert failure.label == 'ERROR_ENGINE_CRASHED'
    assert 'ZeroDivisionError: by zero (test_scheduler.py:' in failure.reason
    assert run.outcomes['free'] == walked(1.0)


def test_stopped_anywhere_it_resumes_to_the_same_outcomes(tmp_path: Path) -> None:
    """Stopped after every so many evaluations until it is through: the outcomes and counts of one unbroken run."""

    def tasks() -> list[Task]:
        paths = [task(f'path_{k}', lambda o, k=k: walk(o['end'] + k, 3), ('end',)) for k in range(3)]
        return [task('end', lambda _: walk(1.0, 1)), *paths]

    whole = Run(tmp_path / 'none')
    (tmp_path / 'none').mkdir()
    assert whole.scheduler.run(tasks())
    total = N_STEPS * (1 + 3 * 3)
    assert whole.scheduler.calls == total
    for every in (1, 4, 17):
        folder = tmp_path / f'{every}'
        folder.mkdir()
        asked, runs, known = 0, 0, 0
        while True:
            run = Run(folder, FakePool(seed=runs), evaluations=known + every)
            complete = run.scheduler.run(tasks())
            assert run.scheduler.resumed_calls == known  # nothing answered before is asked again
            asked += run.scheduler.calls - known
            known, runs = run.scheduler.calls, runs + 1
            if complete:
                break
        assert run.outcomes == whole.outcomes
        assert (known, asked) == (total, total)


def test_stopped_before_it_starts_nothing_is_asked(tmp_path: Path) -> None:
    run = Run(tmp_path, evaluations=0)
    assert not run.scheduler.run([task('a', lambda _: walk(0.0))])
    assert (run.pool.asked, run.outcomes) == (0, {})


def test_tells_what_is_under_way(tmp_path: Path) -> None:
    seen = []
    pool = FakePool()

    def tick() -> None:
        seen.extend((standing.id, standing.demand.step) for standing in scheduler.standing)

    scheduler = Scheduler(pool, tmp_path, lambda *_: None, lambda: True, tick)
    scheduler.run([task('a', lambda _: walk(0.0))])
    assert [name for name, _ in seen] == ['a'] * len(seen)
    steps = [step for _, step in seen]
    assert steps == sorted(steps)
    assert set(steps) <= set(range(N_STEPS))


def test_waiting_for_nobody_is_an_error_and_no_endless_loop(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match='path waits for what no task gives: end'):
        Run(tmp_path).scheduler.run([task('other', lambda _: walk(0.0)), task('path', lambda _: walk(0.0), ('end',))])


def test_task_that_takes_too_long_is_given_up_and_goes_on_later(tmp_path: Path) -> None:
    """Its checkpoint stays; the others are not affected, nor is one whose last answer comes late."""
    pool, outcomes = FakePool(), dict[str, Any]()
    tasks = [task('slow', lambda _: walk(0.0, 1)), task('last answer', lambda _: walk(1.0, 1, 1))]
    scheduler = Scheduler(pool, tmp_path, outcomes.__setitem__, lambda: True, lambda: None, task_seconds=0.0)
    assert scheduler.run(tasks)
    assert outcomes['last answer'] == walked(1.0, 1, 1)
    assert outcomes['slow'].label == 'ERROR_ITEM_OUT_OF_TIME'
    assert 'in walk, step 1' in outcomes['slow'].reason
    again = Run(tmp_path)
    assert again.scheduler.run(tasks)
    assert again.outcomes['slow'] == walked(0.0, 1)
    assert again.scheduler.resumed_calls == 2
