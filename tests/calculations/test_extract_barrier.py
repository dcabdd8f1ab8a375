"""What is to be said of a barrier besides its numbers."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_litraj.analysis import Barrier
from aiida_litraj.calculations.functions.extract_barrier import barrier_warnings, hop_warnings

CONVERGED = {'converged': True, 'reason': None, 'negative_modes': None}


@pytest.mark.parametrize(('way', 'warned'), [((3.0, 0.0, 0.0), False), ((0.0, 4.0, 4.9), True)])
def test_hop_between_sites_that_are_no_neighbours_is_warned_of(way: tuple[float, ...], warned: bool) -> None:
    assert bool(hop_warnings(np.array(way))) is warned
    if warned:
        assert hop_warnings(np.array(way))[0].startswith('the hop is 6.33 Ang long')
    assert hop_warnings(None) == []


@pytest.mark.parametrize(('n_minima', 'said'), [(1, 'has a minimum between'), (3, 'has 3 minima between')])
def test_minima_are_counted_in_words(n_minima: int, said: str) -> None:
    barrier = Barrier(0.5, 0.5, 0.0, 0.5, 3, 0.5, n_minima)
    (warning,) = barrier_warnings(barrier, 7, CONVERGED)
    assert said in warning
