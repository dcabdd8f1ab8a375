"""The lowest curvature modes of a configuration, from forces alone."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from ...contract.arrays import Array
from ...contract.neb import SaddleParameters
from .stages import Demand, Evaluated, guard


@dataclass(frozen=True)
class Modes:
    """``curvatures`` (n_modes,) in eV/Ang^2, lowest first, and unit ``vectors`` (n_modes, n_atoms, 3)."""

    curvatures: Array
    vectors: Array
    calls: int
    converged: bool

    @property
    def n_negative(self) -> int:
        """Number of directions in which the energy falls."""
        return int((self.curvatures < 0.0).sum())


def lowest_modes(
    positions: Array, start: Array, parameters: SaddleParameters, free: Array, periodic: bool, seed: int, limit: float
) -> Generator[Demand, Evaluated, Modes]:
    """Return the lowest eigenpairs of the Hessian at ``positions`` (n_atoms, 3), by Lanczos iteration.

    C. Lanczos, J. Res. Natl. Bur. Stand. 45, 255 (1950), with full reorthogonalisation; the Hessian acts on a vector
    through a central difference of forces, two model calls an iteration. ``start`` (n_atoms, 3), the tangent, plus
    seeded noise, so that a mode orthogonal to the tangent by symmetry is found too. Uniform translations are
    projected out where no atom is frozen. Done when the residual bound of each wanted mode is below the tolerance.
    """
    shape, step = positions.shape, parameters.displacement_ang
    mask = np.broadcast_to(free, shape).ravel()
    translations = np.tile(np.eye(3), (shape[0], 1)).T / np.sqrt(shape[0])
    frozen = bool((free == 0).any())

    def project(vector: Array) -> Array:
        vector = vector * mask
        return vector if frozen or not periodic else vector - translations.T @ (translations @ vector)

    noise = np.random.default_rng(seed).standard_normal(mask.size)
    vector = project(start.ravel() / np.linalg.norm(start) + 0.3 * noise / np.linalg.norm(noise))
    vector /= np.linalg.norm(vector)
    basis: list[Array] = []
    alphas: list[float] = []
    betas: list[float] = []
    n_free = int(mask.sum()) - (0 if frozen or not periodic else 3)
    n_modes = min(parameters.n_modes, n_free)
    calls, converged = 0, False
    values, weights = np.empty(0), np.empty((0, 0))
    for iteration in range(min(parameters.max_iterations, n_free)):
        basis.append(vector)
        displacement = step * vector.reshape(shape)
        evaluated = yield Demand(
            np.stack([positions + displacement, positions - displacement]),
            'saddle',
            iteration,
            parameters.max_iterations,
        )
        guard(evaluated, limit, 'saddle')
        calls += 2
        product = project(-(evaluated.forces[0] - evaluated.forces[1]).ravel() / (2.0 * step))
        alphas.append(float(vector @ product))
        matrix = np.array(basis)
        for _ in range(2):  # once is not enough in floating point (Parlett, The Symmetric Eigenvalue Problem)
            product = product - matrix.T @ (matrix @ product)
        beta = float(np.linalg.norm(product))
        tridiagonal = np.diag(alphas) + np.diag(betas, 1) + np.diag(betas, -1)
        values, weights = np.linalg.eigh(tridiagonal)
        if len(alphas) >= n_modes:
            bounds = np.abs(beta * weights[-1, :n_modes])
            if (bounds < parameters.tolerance_ev_per_ang2).all() or beta < 1e-10:
                converged = True
                break
        betas.append(beta)
        vector = product / beta
    wanted = weights[:, : min(n_modes, len(values))]
    vectors = (np.array(basis).T @ wanted).T.reshape(-1, *shape)
    return Modes(values[: len(vectors)], vectors, calls, converged or len(values) == n_free)
