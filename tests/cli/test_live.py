"""The progress of a job in words and as a bar."""

from __future__ import annotations

from typing import Any

import pytest

from aiida_litraj.cli.live import Gauge, describe
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
