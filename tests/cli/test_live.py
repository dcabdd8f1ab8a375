"""The progress of a job in words and as a bar."""

from __future__ import annotations

from typing import Any

import pytest

from aiida_litraj.cli.live import Gauge, describe, seconds_left
from aiida_litraj.contract.result import ActiveItem, Progress


def item(phase: str, fmax: float | None, name: str = 'hop', step: int = 3) -> ActiveItem:
    return ActiveItem(id=name, phase=phase, step=step, max_steps=200, fmax_ev_per_ang=fmax, target_ev_per_ang=0.1)


def progress(*active: ActiveItem, n_items: int = 1, n_finished: int = 0) -> Progress:
    return Progress(
        task='neb', n_items=n_items, n_finished=n_finished, n_converged=n_finished, n_active=len(active),
        model_calls=42, wall_seconds=1.0, updated_at='2026-01-01T00:00:00', active=list(active),
    )  # fmt: skip


@pytest.mark.parametrize(
    ('state', 'expected'),
    [
        (progress(), 'starting, 42 model calls'),
        (
            progress(item('band', 0.234)),
            'band step 3 of at most 200, residual force 0.234 → 0.1 eV/Å, 42 model calls',
        ),
        (progress(item('source', None)), 'relaxing the source step 3 of at most 200, 42 model calls'),
        (
            progress(item('band', 0.2, 'a'), item('band', 0.5, 'b'), n_items=4, n_finished=1),
            '1 of 4 paths done, b: band step 3 of at most 200, residual force 0.500 → 0.1 eV/Å, 42 model calls',
        ),
    ],
)
def test_one_line_says_it_all(state: Progress, expected: str) -> None:
    assert describe(state) == expected


def test_bar_of_one_path_rises_and_never_falls() -> None:
    gauge = Gauge()
    states = [
        progress(item('source', 1.0), item('target', 1.0)),
        progress(item('source', 0.316), item('target', 0.1)),
        progress(item('target', 0.2)),
        progress(item('band', 2.0)),
        progress(item('band', 0.45)),
        progress(item('band', 1.5)),
        progress(item('band', 0.1)),
        progress(item('saddle', None)),
        progress(n_finished=1),
    ]
    values = [gauge.update(state) for state in states]
    assert values[0] == 0.0
    assert values[1] == pytest.approx(0.3, abs=0.01)  # half of one end and all of the other, a fifth each
    assert values[3] == pytest.approx(0.4)
    assert values[4] == pytest.approx(0.7, abs=0.01)  # half of the way of the band, on a logarithmic scale
    assert values == sorted(values)
    assert values[-2] < 1.0
    assert values[-1] == 1.0


def test_paths_that_are_done_count_fully() -> None:
    gauge = Gauge()
    assert gauge.update(progress(item('band', 0.5), n_items=4, n_finished=2)) == pytest.approx((2 + 0.4) / 4)


@pytest.mark.parametrize('content', [b'', b'{', b'{"task": "neb"}'])
def test_half_written_progress_is_no_progress(tmp_path: Any, content: bytes) -> None:
    from aiida_litraj.cli.live import _parse

    path = tmp_path / 'progress.json'
    path.write_bytes(content)
    assert _parse(path) is None


def dynamics(*steps: int, n_items: int, n_finished: int = 0, n_died: int = 0, calls: int, resumed: int = 0) -> Progress:
    """Replicas of 1000 steps under way, after 100 s."""
    active = [ActiveItem(id=f'r{k}', phase='segment 1 of 1', step=at, max_steps=1000) for k, at in enumerate(steps)]
    return Progress(
        task='md', n_items=n_items, n_finished=n_finished, n_converged=n_finished - n_died, n_active=len(active),
        model_calls=calls, resumed_calls=resumed, wall_seconds=100.0, updated_at='2026-01-01T00:00:00', active=active,
    )  # fmt: skip


def test_time_left_of_replicas_goes_by_their_steps() -> None:
    """600 steps are left of those under way and 2000 of those that wait, at 20 a second: 130 s."""
    state = dynamics(900, 500, n_items=5, n_finished=1, calls=3400, resumed=1400)
    assert seconds_left(state) == pytest.approx(130.0)
    assert (
        describe(state)
        == '1 of 5 replicas done, r1: segment 1 of 1 step 500 of 1000, 3400 model calls, about 2 min left'
    )
    assert seconds_left(dynamics(0, n_items=1, calls=1)) is None  # the first evaluation says nothing of the others
    assert seconds_left(progress(item('band', 0.2))) is None


def test_replicas_that_died_are_counted() -> None:
    assert '2 of them died' in describe(dynamics(10, n_items=4, n_finished=3, n_died=2, calls=10))


def test_bar_of_replicas_is_the_share_of_steps() -> None:
    gauge = Gauge()
    assert gauge.update(dynamics(250, 750, n_items=4, n_finished=1, calls=2000)) == pytest.approx(0.5)
    assert gauge.update(dynamics(0, n_items=4, n_finished=1, calls=2001)) == pytest.approx(0.5)
