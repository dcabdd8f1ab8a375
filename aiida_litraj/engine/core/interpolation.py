"""Initial paths between relaxed ends. Positions are continuous: no minimum image is ever taken here."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...contract.arrays import Array
from .band import residual, tangent
from .optimisers import FireState, fire_step
from .periodic import lattice_vectors

_IDPP_CUTOFF = 6.0
"""Ang: pairs farther apart than this in every image are left out; their weight d^-4 is below 1/1000 of a bond's."""
_IDPP_NEAREST = 0.1
"""Ang: two atoms that a straight line puts on one place feel a large but finite push."""
_IDPP_SPRING = 0.1
_IDPP_FMAX = 0.01
_IDPP_STEPS = 500


def linear(source: Array, target: Array, n_images: int) -> Array:
    """Return the straight line (n_images, n_atoms, 3) between two ends (n_atoms, 3), both included."""
    fraction = np.linspace(0.0, 1.0, n_images)[:, None, None]
    path: Array = source + fraction * (target - source)
    return path


def shift(path: Array, source: Array, target: Array) -> Array:
    """Return ``path`` (n_images, n_atoms, 3) moved along with its ends to ``source`` and ``target``.

    Image i gets the share of each end's displacement that its place along the path gives it.
    """
    fraction = np.linspace(0.0, 1.0, len(path))[:, None, None]
    moved: Array = path + (1.0 - fraction) * (source - path[0]) + fraction * (target - path[-1])
    return moved


def _pairs(path: Array, cell: Array, pbc: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], ...]:
    """Return i, j and the index of the lattice vector of each pair (once) within the cutoff in an end or half way.

    A pair keeps its lattice vector along the whole path: that is what makes the interpolated distances smooth across
    the periodic boundary, where a minimum image would jump.
    """
    shifts = lattice_vectors(cell, pbc, _IDPP_CUTOFF, path)
    n = path.shape[1]
    near = np.zeros((n, n, len(shifts)), dtype=bool)
    middle = len(path) // 2  # of an even number of images there are two: the path must be the same from both sides
    for image in (path[0], path[middle], path[-1 - middle], path[-1]):
        for a in range(n):
            vectors = image[None, :, :] + shifts[:, None, :] - image[a]
            near[a] |= ((vectors**2).sum(axis=-1) < _IDPP_CUTOFF**2).T
    i, j, s = np.nonzero(near)
    keep = i < j  # each pair once; an atom and its own image never change their distance
    return i[keep], j[keep], s[keep]


def idpp(source: Array, target: Array, n_images: int, cell: Array, pbc: npt.NDArray[np.bool_], free: Array) -> Array:
    """Return the path (n_images, n_atoms, 3) whose pair distances change as evenly as they can.

    Image dependent pair potential, S. Smidstrup et al., J. Chem. Phys. 140, 214106 (2014): S = sum over pairs of
    w(d) (d_k - d)^2 with w = d^-4 and d_k the distance interpolated between the ends, minimised on a band from the
    straight line. Distances are those of fixed pairs of atoms and lattice vectors, so a hop across the boundary of
    the cell stays the hop it is.
    """
    path = linear(source, target, n_images)
    if n_images < 3:
        return path
    i, j, s = _pairs(path, cell, pbc)
    shifts = lattice_vectors(cell, pbc, _IDPP_CUTOFF, path)[s]

    def distances(image: Array) -> tuple[Array, Array]:
        vectors = image[j] + shifts - image[i]
        return vectors, np.sqrt((vectors**2).sum(axis=1)).clip(min=_IDPP_NEAREST)

    first, last = distances(path[0])[1], distances(path[-1])[1]
    fractions = np.linspace(0.0, 1.0, n_images)
    wanted = first + fractions[:, None] * (last - first)

    def evaluate(inner: Array) -> Array:
        images = np.concatenate([path[:1], inner, path[-1:]])
        energies = np.zeros(n_images)
        forces = np.zeros_like(images)
        for k in range(n_images):
            vectors, d = distances(images[k])
            miss = wanted[k] - d
            energies[k] = (miss**2 / d**4).sum()
            slope = -2.0 * miss * (1.0 + 2.0 * miss / d) / d**4
            pull = (slope / d)[:, None] * vectors
            np.add.at(forces[k], i, pull)
            np.add.at(forces[k], j, -pull)
        result = np.empty_like(inner)
        for k in range(1, n_images - 1):
            direction = tangent(images, energies, k)
            force = forces[k] * free
            stretch = np.linalg.norm(images[k + 1] - images[k]) - np.linalg.norm(images[k] - images[k - 1])
            result[k - 1] = force + (_IDPP_SPRING * stretch - np.vdot(force, direction)) * direction
        return result * free

    inner, state = path[1:-1].copy(), FireState()
    for _ in range(_IDPP_STEPS):
        force = evaluate(inner)
        if residual(force, 'norm') < _IDPP_FMAX:
            break
        state, step = fire_step(state, force.ravel())
        inner += step.reshape(inner.shape)
    return np.concatenate([path[:1], inner, path[-1:]])
