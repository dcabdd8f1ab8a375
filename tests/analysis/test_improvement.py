"""Ratios of errors on data where they are known: exact where all is proportional, covered as often as they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aiida_litraj.analysis.bootstrap import Bootstrap
from aiida_litraj.analysis.improvement import judge, ratio
from aiida_litraj.contract.frames import Frames

EXACT = 1e-12
CAMPAIGNS, GROUPS, PER_GROUP = 200, 20, 2
COVERAGE = (0.88, 0.99)
"""Of intervals for 95 %; 200 campaigns scatter by 0.015."""


def reference(n_frames: int, rng: np.random.Generator) -> Frames:
    """Random forces of 1 eV/Ang on three atoms each."""
    cell, pbc = 9.0 * np.eye(3), [True] * 3
    drawn = rng.normal(size=(n_frames, 2, 3, 3))
    return Frames.stack([Frames.of_one([3, 3, 16], places, cell, pbc, -4.0, forces) for places, forces in drawn])


def off(frames: Frames, force_error: np.ndarray, energy_error: float) -> Frames:
    assert frames.forces is not None and frames.energies is not None
    return replace(frames, forces=frames.forces + force_error, energies=frames.energies + energy_error)


def test_half_the_error_everywhere() -> None:
    """The ratio is a half without any doubt, however hard single groups are; the energies are as far off as given."""
    rng = np.random.default_rng(1)
    frames = reference(12, rng)
    noise = rng.normal(size=(36, 3)) * np.repeat(rng.lognormal(size=12), 3)[:, None]
    predicted = {'before': off(frames, noise, 0.6), 'after': off(frames, 0.5 * noise, 0.3)}
    groups = [f'm{k // 2}' for k in range(12)]
    shifts = {'before': np.full(12, -0.3)}
    found = judge(frames, predicted, groups, Bootstrap(), shifts)
    assert found['before'].force.rmse == pytest.approx(float(np.sqrt(np.square(noise).mean())), rel=EXACT)
    assert found['before'].energy.rmse == pytest.approx(0.1, rel=1e-9), 'after the shift, of three atoms'
    one = ratio([found['after'].force_sums], [found['before'].force_sums], groups, Bootstrap())
    assert (one.value, one.n_groups) == (pytest.approx(0.5, rel=EXACT), 6)
    assert one.interval == pytest.approx((0.5, 0.5), rel=1e-6)
    assert one.is_below(1.0) is True and one.is_above(0.4) is True
    energy = ratio([found['after'].energy_sums], [found['before'].energy_sums], groups, Bootstrap())
    assert energy.value == pytest.approx(1.0, rel=1e-9)


def test_repeats_count_by_their_mean_square() -> None:
    rng = np.random.default_rng(2)
    frames = reference(8, rng)
    noise = rng.normal(size=(24, 3))
    sums = {
        name: one.force_sums
        for name, one in judge(
            frames, {str(k): off(frames, k * noise, 0.0) for k in (1, 3, 5)}, None, Bootstrap()
        ).items()
    }  # fmt: skip
    one = ratio([sums['1'], sums['3']], [sums['5']], None, Bootstrap())
    assert one.value == pytest.approx(np.sqrt((1 + 9) / 2) / 5, rel=EXACT)


def test_only_what_all_have_evaluated_counts() -> None:
    """A configuration that one potential failed on is in the error of none, and energies only where they compare."""
    rng = np.random.default_rng(3)
    frames = reference(6, rng)
    good, broken = off(frames, np.full((18, 3), 0.1), 0.3), off(frames, np.full((18, 3), 0.2), 0.3)
    assert broken.forces is not None and broken.energies is not None
    broken.forces[4, 0] = broken.energies[1] = np.nan
    mask = np.array([True, True, True, True, True, False])
    found = judge(frames, {'good': good, 'broken': broken}, None, Bootstrap(), comparable=mask)
    assert (found['good'].force.n_frames, found['good'].energy.n_frames) == (5, 4)
    assert found['broken'].force.rmse == pytest.approx(0.2, rel=EXACT)


def test_too_few_groups_have_no_interval() -> None:
    rng = np.random.default_rng(4)
    frames = reference(4, rng)
    sums = judge(frames, {'a': off(frames, np.full((12, 3), 0.1), 0.0)}, None, Bootstrap())['a'].force_sums
    one = ratio([sums], [sums], None, Bootstrap())
    assert (one.value, one.interval, one.is_below(1.0), one.is_above(1.0)) == (1.0, None, None, None)
    with pytest.raises(ValueError, match='no error to compare'):
        ratio([sums], [replace(sums, values=0.0 * sums.values)], None, Bootstrap())


def test_interval_holds_the_truth() -> None:
    """Of errors with a part that both potentials have in common, in about as many campaigns as it says."""
    rng = np.random.default_rng(5)
    frames = reference(GROUPS * PER_GROUP, rng)
    groups = [f'm{k // PER_GROUP}' for k in range(frames.n_frames)]
    truth, shape = np.sqrt((1.0 + 0.25) / (1.0 + 1.0)), (frames.n_frames * 3, 3)
    held = 0
    for _ in range(CAMPAIGNS):
        hard = np.repeat(rng.lognormal(sigma=0.4, size=GROUPS), 3 * PER_GROUP)[:, None]
        both, own, other = (rng.normal(size=shape) * hard for _ in range(3))
        predicted = {'before': off(frames, both + own, 0.0), 'after': off(frames, both + 0.5 * other, 0.0)}
        found = judge(frames, predicted, groups, Bootstrap(samples=300))
        one = ratio([found['after'].force_sums], [found['before'].force_sums], groups, Bootstrap(samples=300))
        assert one.interval is not None
        held += one.interval[0] <= truth <= one.interval[1]
    assert COVERAGE[0] <= held / CAMPAIGNS <= COVERAGE[1]
