"""A protocol beside its own tight limit, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_litraj.analysis.protocol_error import protocol_error

IDS = ('w', 'x', 'y', 'z')
MATERIALS = ('a', 'a', 'b', 'c')
PROTOCOL = np.array([0.51, 0.30, 0.40, 0.70])
TIGHT = np.array([0.50, 0.38, 0.40, np.nan])


def test_mean_size_and_worst_of_those_that_converged_in_both() -> None:
    found = protocol_error(IDS, MATERIALS, PROTOCOL, TIGHT, n_benchmark=40)
    assert (found.n_paths, found.n_materials, found.n_lost, found.n_benchmark) == (3, 2, 1, 40)
    assert found.mean_ev.value == pytest.approx((0.01 - 0.08) / 3)
    assert found.mean_absolute_ev.value == pytest.approx(0.03)
    assert found.mean_absolute_ev.interval is None
    assert (found.max_ev, found.worst) == (pytest.approx(0.08), 'x')


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match='no hop of the sample has converged in both'):
        protocol_error(IDS, MATERIALS, PROTOCOL, np.full(4, np.nan), 40)
    with pytest.raises(ValueError, match='a sample of 4 hops cannot be of 3'):
        protocol_error(IDS, MATERIALS, PROTOCOL, TIGHT, 3)
    with pytest.raises(ValueError, match='4 names and 3 materials'):
        protocol_error(IDS, MATERIALS[:3], PROTOCOL, TIGHT, 40)
