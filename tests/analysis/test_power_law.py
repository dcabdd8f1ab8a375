"""Power laws that are known are found, with an error bar of the right size."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_litraj.analysis.power_law import fit_power_law


def test_exact() -> None:
    sizes = [10, 20, 40, 80, 20]
    law = fit_power_law(sizes, [300.0 * n**-0.4 for n in sizes])
    assert law is not None
    assert (law.prefactor, law.exponent, law.exponent_error) == pytest.approx((300.0, 0.4, 0.0), abs=1e-6)
    assert law.at(160) == pytest.approx(300.0 * 160**-0.4)


def test_error_bar_is_that_of_many_campaigns() -> None:
    rng, sizes = np.random.default_rng(0), np.repeat([10.0, 30.0, 100.0, 300.0], 3)
    laws = [fit_power_law(sizes, 50.0 * sizes**-0.5 * np.exp(rng.normal(scale=0.1, size=12))) for _ in range(400)]
    found = np.array([(law.exponent, law.exponent_error) for law in laws if law is not None])
    assert found[:, 0].mean() == pytest.approx(0.5, abs=0.005)
    assert np.sqrt((found[:, 1] ** 2).mean()) == pytest.approx(found[:, 0].std(), rel=0.12)


def test_two_sizes_are_no_law() -> None:
    assert fit_power_law([10, 20, 20, 40], [3.0, 2.0, 2.1, 0.0]) is None
