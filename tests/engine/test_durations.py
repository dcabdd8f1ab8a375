"""The time of a call does not depend on how long the first ones took."""

from __future__ import annotations

from aiida_litraj.engine.durations import Durations


def test_first_calls_that_compile_do_not_count() -> None:
    durations = Durations()
    assert durations.median is None
    durations.extend([3.0, 2.5, 0.01, 0.01, 0.01])
    assert durations.median == 0.01


def test_a_long_run_keeps_the_latest() -> None:
    durations = Durations()
    durations.extend([1.0] * 20_000 + [2.0] * 6_000)
    assert durations.median == 2.0
