"""Offsets of elements: exact where compositions determine them, and the rank where they do not."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_litraj.analysis.energy_offsets import fit_offsets

ELEMENTS = ('Li', 'P', 'S')
TRUE_EV = np.array([0.4, -1.5, 0.9])
COMPOSITIONS = {
    'one': ([[7, 3, 11]] * 25, 1),
    'one of several sizes': ([[7, 3, 11], [14, 6, 22], [28, 12, 44]], 1),
    'the line Li2S-P2S5': ([[2, 0, 1], [0, 2, 5], [3, 1, 4], [7, 3, 11]], 2),
    'all': ([[2, 0, 1], [0, 2, 5], [3, 1, 3]], 3),
    'almost one': ([[7, 3, 11], [69, 30, 110]], 2),
    'elements': ([[4, 0, 0], [0, 4, 0], [0, 0, 8]], 3),
}


@pytest.mark.parametrize('name', COMPOSITIONS)
def test_rank(name: str) -> None:
    """The rank by hand; whatever it is, the energies of the compositions in the fit come out exactly."""
    rows, rank = COMPOSITIONS[name]
    counts = np.array(rows, dtype=float)
    fit = fit_offsets(counts, counts @ TRUE_EV, ELEMENTS)
    assert fit.rank == rank == len(fit.basis) == np.linalg.matrix_rank(counts)
    assert fit.unique == (rank == 3)
    np.testing.assert_allclose(counts @ fit.offsets_ev, counts @ TRUE_EV, atol=1e-9)
    if fit.unique:
        np.testing.assert_allclose(fit.offsets_ev, TRUE_EV, atol=1e-9)


def test_what_a_line_determines() -> None:
    """Everything on the line Li2S-P2S5, and nothing off it; what it says of the line is right."""
    counts = np.array(COMPOSITIONS['the line Li2S-P2S5'][0], dtype=float)
    fit = fit_offsets(counts, counts @ TRUE_EV, ELEMENTS)
    for on_the_line in ([7, 1, 6], [4, 2, 7], [20, 0, 10]):
        assert fit.determines(on_the_line)
        assert np.array(on_the_line) @ fit.offsets_ev == pytest.approx(np.array(on_the_line) @ TRUE_EV, abs=1e-9)
    for off_it in ([1, 0, 0], [4, 2, 6]):
        assert not fit.determines(off_it)
        assert abs(np.array(off_it) @ (fit.offsets_ev - TRUE_EV)) > 0.01


def test_least_squares_minimises_what_is_left_per_atom() -> None:
    """Small and large cells count alike: the gradient of the mean square per atom vanishes."""
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 60, size=(40, 3)).astype(float)
    short = counts @ TRUE_EV + rng.normal(size=40)
    fit = fit_offsets(counts, short, ELEMENTS)
    n_atoms = counts.sum(axis=1)
    left = (short - counts @ fit.offsets_ev) / n_atoms
    np.testing.assert_allclose(left @ (counts / n_atoms[:, None]), 0.0, atol=1e-10)


def test_ridge_is_that_of_graph_pes() -> None:
    """Total energies, alpha 1e-5, no intercept: the minimum of |short - N x|^2 + alpha |x|^2, also at rank one."""
    rng = np.random.default_rng(1)
    counts = rng.integers(1, 20, size=(30, 3)).astype(float)
    short = counts @ TRUE_EV + rng.normal(size=30)
    alpha = 1e-5
    fit = fit_offsets(counts, short, ELEMENTS, 'ridge', alpha)
    gradient = counts.T @ (counts @ fit.offsets_ev - short) + alpha * fit.offsets_ev
    np.testing.assert_allclose(gradient, 0.0, atol=1e-8)
    one = np.array([[7.0, 3.0, 11.0]] * 25)
    degenerate = fit_offsets(one, one @ TRUE_EV, ELEMENTS, 'ridge', alpha)
    assert degenerate.rank == 1
    np.testing.assert_allclose(degenerate.offsets_ev / degenerate.offsets_ev[0], [1.0, 3 / 7, 11 / 7], rtol=1e-6)


def test_none() -> None:
    fit = fit_offsets(np.array([[2.0, 0.0, 1.0]]), np.array([5.0]), ELEMENTS, 'none')
    assert not fit.offsets_ev.any() and fit.rank == 0
