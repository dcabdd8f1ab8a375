"""The lowest curvature modes of a configuration, from forces alone."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np

from ...contract.arrays import Array
from ...contract.neb import SaddleParameters
from .hessian import System, model_hessian
from .stages import Demand, Evaluated, guard

_DEPENDENT = 1e-6
"""Part of a vector outside the space searched so far below which it is round-off, and says nothing new."""


@dataclass(frozen=True)
class Modes:
    """``curvatures`` (n_modes,) in eV/Ang^2, lowest first, and unit ``vectors`` (n_modes, n_atoms, 3).

    Each curvature is within ``tolerance`` in eV/Ang^2 of a true one if the search ``converged``.
    """

    curvatures: Array
    vectors: Array
    calls: int
    converged: bool
    tolerance: float

    @property
    def n_negative(self) -> int:
        """Number of directions in which the energy falls, beyond what the tolerance leaves open."""
        return int((self.curvatures < -self.tolerance).sum())


def lowest_modes(
    positions: Array,
    start: Array,
    parameters: SaddleParameters,
    free: Array,
    periodic: bool,
    seed: int,
    limit: float,
    system: System | None = None,
) -> Generator[Demand, Evaluated, Modes]:
    """Return the lowest eigenpairs of the Hessian at ``positions`` (n_atoms, 3), by a block subspace iteration.

    The Hessian acts on a vector through a central difference of forces, two model calls. The space searched grows by
    the residuals of the wanted modes: as they are, which is block Lanczos iteration (C. Lanczos, J. Res. Natl. Bur.
    Stand. 45, 255 (1950)), or, where ``system`` tells the atoms, divided by the model Hessian (E. R. Davidson,
    J. Comput. Phys. 17, 87 (1975)), which takes the stiff bonds out of the way. The block has as many vectors as
    modes are wanted: from a single one, modes of one curvature (a top of threefold symmetry has two) would be found
    only once. The first is ``start`` (n_atoms, 3), the tangent, with seeded noise, the others are noise, so that modes
    orthogonal to the tangent by symmetry are found too. Uniform translations are projected out where no atom is
    frozen. Done when the residual norm of each wanted mode, which bounds the error of its curvature, is below the
    tolerance.
    """
    shape, step = positions.shape, parameters.displacement_ang
    project, n_free = _projection(free, shape, periodic)
    n_modes = min(parameters.n_modes, n_free)
    block = np.random.default_rng(seed).standard_normal((n_modes, positions.size))
    block *= 0.3 / np.linalg.norm(block, axis=1, keepdims=True)
    block[:1] += start.ravel() / max(float(np.linalg.norm(start)), 1e-300)
    basis = np.empty((0, positions.size))
    products = np.empty((0, positions.size))
    values, vectors = np.empty(0), np.empty((0, positions.size))
    inverse = None if system is None else np.linalg.inv(model_hessian(system, positions))
    calls, converged = 0, n_modes == 0
    for iteration in range(parameters.max_iterations):
        block = _orthonormal(block, basis, project)[: n_free - len(basis)]
        if converged or not len(block):
            break
        moves = step * np.concatenate([block, -block]).reshape(-1, *shape)
        evaluated = yield Demand(positions + moves, 'saddle', iteration, parameters.max_iterations)
        guard(evaluated, limit, 'saddle')
        calls += len(moves)
        up, down = np.split(evaluated.forces.reshape(len(moves), -1), 2)
        basis = np.concatenate([basis, block])
        products = np.concatenate([products, np.array([project(change) for change in (down - up) / (2.0 * step)])])
        matrix = basis @ products.T
        values, weights = np.linalg.eigh(0.5 * (matrix + matrix.T))
        values, weights = values[:n_modes], weights[:, :n_modes].T
        vectors = weights @ basis
        residuals = weights @ products - values[:, None] * vectors
        left = np.linalg.norm(residuals, axis=1) >= parameters.tolerance_ev_per_ang2
        converged = len(values) == n_modes and not left.any()
        block = residuals[left] @ inverse if inverse is not None else residuals[left]
    return Modes(values, vectors.reshape(-1, *shape), calls, converged, parameters.tolerance_ev_per_ang2)


def _projection(free: Array, shape: tuple[int, ...], periodic: bool) -> tuple[Callable[[Array], Array], int]:
    """Return what takes frozen atoms and rigid translations out of a vector (n_dof,), and how many dimensions stay."""
    mask = np.broadcast_to(free, shape).ravel()
    if not periodic or not mask.all():
        return lambda vector: vector * mask, int(mask.sum())
    translations = np.tile(np.eye(3), (shape[0], 1)).T / np.sqrt(shape[0])
    return lambda vector: vector - translations.T @ (translations @ vector), mask.size - 3


def _orthonormal(block: Array, basis: Array, project: Callable[[Array], Array]) -> Array:
    """Return the directions (n, n_dof) that ``block`` adds to the orthonormal ``basis``, as unit vectors."""
    known, n_known = basis, len(basis)
    for vector in block:
        length = np.linalg.norm(vector)
        for _ in range(2):  # once is not enough in floating point (Parlett, The Symmetric Eigenvalue Problem)
            vector = project(vector)
            vector = vector - known.T @ (known @ vector)
        rest = np.linalg.norm(vector)
        if rest > _DEPENDENT * length:
            known = np.concatenate([known, vector[None] / rest])
    return known[n_known:]
