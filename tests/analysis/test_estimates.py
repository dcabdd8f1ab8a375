"""Intervals of shares, by hand and on synthetic benchmarks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import stdtrit

from aiida_litraj.analysis.bootstrap import Bootstrap
from aiida_litraj.analysis.estimates import share

from .campaigns import campaign

BOOTSTRAP = Bootstrap()
CAMPAIGNS = 300
CHANCE = 0.8
"""Mean of the chances to converge that materials have in a campaign."""


def test_all_of_ten_materials_leave_room_for_some_that_fail() -> None:
    """Exactly: were the share 0.6915, ten of ten would be seen in 0.6915^10 = 0.025 of all cases."""
    found = share(np.ones(10, dtype=bool), tuple('abcdefghij'), BOOTSTRAP)
    assert found.value == 1.0
    assert found.interval == pytest.approx((0.025**0.1, 1.0))
    none = share(np.zeros(10, dtype=bool), tuple('abcdefghij'), BOOTSTRAP)
    assert none.interval == pytest.approx((0.0, 1.0 - 0.025**0.1))


def test_five_of_ten_materials_is_the_exact_interval_of_five_of_ten() -> None:
    """Clopper and Pearson's, 0.1871 to 0.8129, nearly: clusters of one have a variance of p (1 - p) / (n - 1)."""
    found = share(np.arange(10) % 2 == 0, tuple('abcdefghij'), BOOTSTRAP)
    low, high = found.interval or (0.0, 0.0)
    assert (low, high) == pytest.approx((0.1871, 0.8129), abs=0.02) and low < 0.1871
    assert low + high == pytest.approx(1.0)


def test_hops_of_one_material_that_agree_are_not_more_evidence() -> None:
    """Each material twice: worth no more than once, but for the factor of Student's t that Korn and Graubard take."""
    hits = np.repeat(np.ones(10, dtype=bool), 2)
    found = share(hits, tuple('aabbccddeeffgghhiijj'), BOOTSTRAP)
    worth = 10 * (stdtrit(19, 0.025) / stdtrit(9, 0.025)) ** 2
    assert found.interval == pytest.approx((0.025 ** (1.0 / worth), 1.0))


def test_few_materials_have_none() -> None:
    found = share(np.array([True, False, True]), ('a', 'b', 'b'), BOOTSTRAP)
    assert found.value == pytest.approx(2 / 3)
    assert found.interval is None and found.reason == 'no interval: 2 material(s), at least 5 are needed'
    assert share(np.zeros(0, dtype=bool), (), BOOTSTRAP).reason == 'there is no path'


def test_the_interval_holds_the_truth_at_least_as_often_as_it_says() -> None:
    held, alone = 0, 0
    for number in range(CAMPAIGNS):
        one = campaign(np.random.default_rng([2, number]), 30)
        interval = share(one.converged, one.materials, BOOTSTRAP).interval
        assert interval is not None
        held += interval[0] <= CHANCE <= interval[1]
        naive = share(one.converged, [str(path) for path in range(len(one.converged))], BOOTSTRAP).interval
        assert naive is not None
        alone += naive[0] <= CHANCE <= naive[1]
    assert 0.93 <= held / CAMPAIGNS <= 0.995
    assert alone < held
