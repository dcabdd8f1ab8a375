"""Optimisers against ASE's, step for step, and their guarantees on surfaces known on paper."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ase.optimize import FIRE, LBFGS

from aiida_litraj.contract.arrays import Array
from aiida_litraj.engine.core.optimisers import FireState, LbfgsState, fire_step, lbfgs_step

PARITY = 1e-10
"""Ang: ASE and we sum in another order; round-off of 1e-16 may grow by the condition of a crystal over the run."""
N_STEPS = 40
ASE_CURVATURE = 70.0
LONGEST_STEP = 0.2


def run_fire(start: Array, force: Callable[[Array], Array], n_steps: int) -> list[Array]:
    path, state = [start], FireState()
    for _ in range(n_steps):
        state, step = fire_step(state, force(path[-1]).ravel())
        path.append(path[-1] + step.reshape(start.shape))
    return path


def run_lbfgs(
    start: Array, force: Callable[[Array], Array], n_steps: int, inverse: Array | float = 1.0 / ASE_CURVATURE
) -> list[Array]:
    path, state = [start], LbfgsState(inverse, memory=100)
    for _ in range(n_steps):
        state, step, _ = lbfgs_step(state, force(path[-1]).ravel())
        path.append(path[-1] + step.reshape(start.shape))
    return path


@pytest.mark.parametrize(('ours', 'theirs'), [(run_fire, FIRE), (run_lbfgs, LBFGS)], ids=['FIRE', 'L-BFGS'])
def test_steps_are_those_of_ase(ours: Any, theirs: Any, vacancy_hop: Any, ase_atoms: Any, toy: Any) -> None:
    """A crystal with a vacancy, its atoms 0.15 Ang off their sites: long steps first, capped, then convergence."""
    hop = vacancy_hop(noise=0.15)
    atoms = ase_atoms(hop, 0)
    expected = [atoms.positions.copy()]
    for _ in theirs(atoms, logfile=None).irun(fmax=1e-12, steps=N_STEPS):
        if not np.array_equal(atoms.positions, expected[-1]):
            expected.append(atoms.positions.copy())
    evaluate = toy('morse')(hop)
    found = ours(hop.positions[0], lambda p: evaluate(p).forces, N_STEPS)
    assert len(expected) == N_STEPS + 1
    first_forces, last_forces = (np.abs(evaluate(p).forces).max() for p in (found[0], found[-1]))
    assert first_forces > 1.0 > 10.0 * last_forces  # it went somewhere
    for step, (a, b) in enumerate(zip(found, expected)):
        np.testing.assert_allclose(a, b, rtol=0, atol=PARITY, err_msg=f'step {step}')


def quadratic(n: int = 12, seed: int = 0) -> tuple[Array, Array, Callable[[Array], Array]]:
    """Hessian with curvatures from 0.5 to 50 eV/Ang^2, its minimum, and the force (n/3, 3) at a point."""
    rng = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(rng.normal(size=(n, n)))
    hessian = axes @ np.diag(np.geomspace(0.5, 50.0, n)) @ axes.T
    minimum = rng.normal(size=(n // 3, 3))
    return hessian, minimum, lambda p: -(hessian @ (p - minimum).ravel()).reshape(-1, 3)


def test_lbfgs_learns_a_quadratic() -> None:
    """Superlinear: a hundred-fold spread of curvatures costs some fifty steps, then ten digits come within five.

    Steepest descent with the same initial Hessian gains a factor of 1 - 0.5/70 a step in the softest direction.
    """
    _, minimum, force = quadratic()
    errors = [np.abs(p - minimum).max() for p in run_lbfgs(minimum + 0.02, force, 60)]
    assert errors[55] / errors[50] < 1e-4
    assert errors[-1] < 1e-12


def test_exact_hessian_is_newtons_step() -> None:
    """With the true Hessian, as one block, the first step lands in the minimum and the next leaves it alone."""
    hessian, minimum, force = quadratic()
    path = run_lbfgs(minimum + 0.02, force, 2, inverse=np.linalg.inv(hessian)[None])
    assert np.abs(path[1] - minimum).max() < 1e-12
    assert np.abs(path[2] - minimum).max() < 1e-12


def test_blocks_are_images_that_know_nothing_of_one_another() -> None:
    """Two images with a Hessian each take the steps each would take alone."""
    (h1, m1, f1), (h2, m2, f2) = quadratic(seed=1), quadratic(seed=2)
    together = run_lbfgs(
        np.stack([m1, m2]) + 0.02,
        lambda p: np.stack([f1(p[0]), f2(p[1])]),
        1,
        inverse=np.linalg.inv(np.stack([h1, h2])),
    )
    assert np.abs(together[1] - np.stack([m1, m2])).max() < 1e-12


@pytest.mark.parametrize('ours', [run_fire, run_lbfgs])
def test_steps_are_short_even_where_forces_are_huge(ours: Any) -> None:
    path = ours(np.zeros((3, 3)), lambda p: np.full_like(p, 1e6), 5)
    steps = np.diff(path, axis=0)
    assert np.linalg.norm(steps, axis=2).max() <= LONGEST_STEP * (1 + 1e-12)


def test_negative_curvature_does_not_turn_lbfgs_uphill() -> None:
    """From the top of a barrier, where every pair has negative curvature, each step still goes along the force."""
    force = lambda p: 5.0 * np.tanh(3.0 * p)  # noqa: E731  uphill nowhere: the energy falls away from the origin
    path = run_lbfgs(np.array([[0.01, -0.02, 0.0]]), force, 20)
    for before, after in itertools.pairwise(path):
        assert np.vdot(force(before), after - before) > 0.0


def test_no_force_no_step() -> None:
    state, step = fire_step(FireState(), np.zeros(3))
    state, step = fire_step(state, np.zeros(3))
    assert not step.any()
    state, step, _ = lbfgs_step(LbfgsState(1.0 / ASE_CURVATURE, 100), np.zeros(3))
    state, step, _ = lbfgs_step(state, np.zeros(3))
    assert not step.any()


def test_state_is_a_value() -> None:
    """The same state and force give the same step again: nothing is kept beside the state."""
    rng = np.random.default_rng(0)
    forces = rng.normal(size=(6, 9))
    for start, step_of in ((FireState(), fire_step), (LbfgsState(0.02, 3), lbfgs_step)):
        states: list[Any] = [start]
        steps = []
        for force in forces:
            state, step, *_ = step_of(states[-1], force)  # type: ignore[operator]
            states.append(state)
            steps.append(step.copy())
        for state, force, step in zip(states, forces, steps):
            np.testing.assert_array_equal(step_of(state, force)[1], step)  # type: ignore[operator]
