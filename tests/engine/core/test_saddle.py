"""Curvature modes against dense Hessians, and how many of them are negative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from aiida_litraj.contract import SaddleParameters
from aiida_litraj.contract.arrays import Array
from aiida_litraj.engine.core.saddle import Modes, lowest_modes
from aiida_litraj.engine.core.stages import StageFailed
from aiida_litraj.engine.models import Evaluation

STEP = 1e-3
"""Ang: displacement of finite differences, here and in the Lanczos search."""
TOLERANCE = 1e-4
"""eV/Ang^2: the residual bound the search is asked for."""
CURVATURE = 1e-3
"""eV/Ang^2: agreement with a dense Hessian; round-off in forces of 1e-14 over the step is far below."""


def search(
    drive: Any, evaluate: Callable[[Array], Evaluation], positions: Array, start: Array | None = None, **changes: Any
) -> Modes:
    settings = {'n_modes': 3, 'displacement_ang': STEP, 'max_iterations': 200, 'tolerance_ev_per_ang2': TOLERANCE}
    free = changes.pop('free', np.ones((len(positions), 1)))
    periodic, limit = changes.pop('periodic', False), changes.pop('limit', 1e3)
    start = np.ones_like(positions) if start is None else start
    parameters = SaddleParameters(**(settings | changes))
    modes: Modes = drive(lowest_modes(positions, start, parameters, free, periodic, 0, limit), evaluate)
    return modes


def dense_modes(evaluate: Callable[[Array], Evaluation], positions: Array, free: Array) -> tuple[Array, Array]:
    """All eigenvalues and eigenvectors (as columns) of the Hessian over the free atoms, by central differences."""
    dofs = np.flatnonzero(np.broadcast_to(free, positions.shape).ravel())
    columns = []
    for k in dofs:
        shift = np.zeros(positions.size)
        shift[k] = STEP
        shift = shift.reshape(positions.shape)
        columns.append(-(evaluate(positions + shift).forces - evaluate(positions - shift).forces).ravel()[dofs])
    hessian = np.array(columns) / (2.0 * STEP)
    return np.linalg.eigh(0.5 * (hessian + hessian.T))


def quadratic(curvatures: list[float], seed: int = 0) -> Callable[[Array], Evaluation]:
    axes, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(curvatures),) * 2))
    hessian = axes @ np.diag(curvatures) @ axes.T
    return lambda p: Evaluation(0.5 * p.ravel() @ hessian @ p.ravel(), -(hessian @ p.ravel()).reshape(-1, 3))


@pytest.mark.parametrize('where', ['saddle', 'minimum'])
def test_modes_of_a_crystal_are_those_of_the_dense_hessian(
    where: str, vacancy_saddle: Any, toy: Any, drive: Any
) -> None:
    """93 dimensions less three translations; one negative mode at the saddle, along the hop, none at the minimum."""
    hop, evaluate = vacancy_saddle.hop, toy('morse')(vacancy_saddle.hop)
    positions = vacancy_saddle.positions if where == 'saddle' else vacancy_saddle.minimum
    values, vectors = dense_modes(evaluate, positions, np.ones((len(positions), 1)))
    rigid = np.argsort(np.abs(values))[:3]
    assert np.abs(values[rigid]).max() < 1e-6  # translations
    values, vectors = np.delete(values, rigid), np.delete(vectors, rigid, axis=1)
    found = search(drive, evaluate, positions, hop.positions[-1] - hop.positions[0], periodic=True)
    assert found.converged
    assert found.n_negative == (1 if where == 'saddle' else 0)
    assert (values < 0.0).sum() == found.n_negative
    np.testing.assert_allclose(found.curvatures, values[:3], atol=CURVATURE)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=(1, 2)), 1.0, atol=1e-10)
    if where == 'saddle':
        lowest = found.vectors[0]
        assert abs(np.vdot(lowest, vectors[:, 0])) > 1.0 - 1e-5
        hop_share = np.vdot(lowest[0], [0.0, 1.0, 1.0]) ** 2 / 2.0
        assert hop_share > 0.5  # mostly the hopping ion, along the hop
    assert found.calls < 2 * 93  # fewer than for the dense Hessian


def test_frozen_atoms_take_no_part(vacancy_saddle: Any, toy: Any, drive: Any) -> None:
    evaluate, positions = toy('morse')(vacancy_saddle.hop), vacancy_saddle.positions
    free = np.zeros((len(positions), 1))
    free[:6] = 1.0
    values, _ = dense_modes(evaluate, positions, free)
    found = search(drive, evaluate, positions, free=free, periodic=True)
    np.testing.assert_allclose(found.curvatures, values[:3], atol=CURVATURE)
    assert not found.vectors[:, 6:].any()


def test_quadratic_to_the_last_mode(drive: Any) -> None:
    curvatures = [-2.0, -0.3, 0.1, 0.7, 5.0, 60.0]
    found = search(drive, quadratic(curvatures), np.zeros((2, 3)), n_modes=6)
    np.testing.assert_allclose(found.curvatures, curvatures, atol=1e-8)
    assert found.n_negative == 2
    assert found.calls == 12


def test_more_modes_than_dimensions(drive: Any) -> None:
    found = search(drive, quadratic([1.0, 2.0, 3.0]), np.zeros((1, 3)), n_modes=10)
    np.testing.assert_allclose(found.curvatures, [1.0, 2.0, 3.0], atol=1e-8)
    assert found.converged


def test_top_of_the_double_well(surface_hop: Any, toy: Any, drive: Any) -> None:
    """V'' = -4 height / width^2 along the hop and 1 across it, twice: a degenerate pair."""
    hop = surface_hop((-1.0, 0.0, 0.0), (1.0, 0.0, 0.0))
    evaluate = toy('double_well', height=0.4)(hop)
    found = search(drive, evaluate, np.zeros((1, 3)), hop.positions[-1] - hop.positions[0])
    np.testing.assert_allclose(found.curvatures, [-1.6, 1.0, 1.0], atol=CURVATURE)
    assert found.n_negative == 1


def test_negative_pair_of_equal_modes_is_seen_twice(drive: Any) -> None:
    """A maximum with threefold symmetry is no saddle of a hop, though its two modes have one curvature."""
    found = search(drive, quadratic([-1.5, -1.5, 0.8, 2.0, 2.0, 9.0]), np.zeros((2, 3)), n_modes=2)
    np.testing.assert_allclose(found.curvatures, [-1.5, -1.5], atol=CURVATURE)
    assert found.n_negative == 2


def test_mode_across_the_start_is_found(drive: Any) -> None:
    """By symmetry the tangent may be orthogonal to a negative mode, which noise must bring in."""
    diagonal = np.array([-1.0, 2.0, -4.0])
    found = search(
        drive,
        lambda p: Evaluation(0.5 * float(diagonal @ p[0] ** 2), -diagonal * p),
        np.zeros((1, 3)),
        np.array([[1.0, 0.0, 0.0]]),
        n_modes=2,
    )
    np.testing.assert_allclose(found.curvatures, [-4.0, -1.0], atol=CURVATURE)


@pytest.mark.parametrize('n_iterations', [1, 4])
def test_search_ends_with_its_iterations(n_iterations: int, vacancy_saddle: Any, toy: Any, drive: Any) -> None:
    """Two calls a wanted mode and iteration."""
    evaluate = toy('morse')(vacancy_saddle.hop)
    found = search(drive, evaluate, vacancy_saddle.positions, periodic=True, max_iterations=n_iterations)
    assert found.calls == 2 * 3 * n_iterations
    assert not found.converged


def test_non_finite_answer_ends_the_search(drive: Any) -> None:
    with pytest.raises(StageFailed, match='not finite in saddle') as caught:
        search(drive, lambda p: Evaluation(float('nan'), np.full_like(p, np.nan)), np.zeros((2, 3)))
    assert caught.value.label == 'ERROR_NON_FINITE'
