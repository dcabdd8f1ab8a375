"""Barriers and energy profiles of optimised paths.

Definitions: the barrier is the highest image minus the first, the reverse barrier the highest minus the last, the
reaction energy the last minus the first. The range, highest minus lowest over all images, is what Dembitskiy et al.
(npj Comput. Mater. 11, 131 (2025)) call the barrier.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..contract.arrays import Array

if TYPE_CHECKING:
    from scipy.interpolate import CubicHermiteSpline, CubicSpline

SHALLOW_EV = 0.005
"""A minimum of the profile less deep than this is a ripple of the spline, below the accuracy of a barrier."""


@dataclass(frozen=True)
class EnergyProfile:
    """Energy along a path: ``coordinate_ang`` (n,), ``energies_ev`` (n,) above the first image, and slopes (n,).

    The coordinate is the length of the path in the space of all atoms. ``slopes_ev_per_ang`` is dE/ds = -F.t with
    the tangent t, or ``None`` where forces are not known.
    """

    coordinate_ang: Array
    energies_ev: Array
    slopes_ev_per_ang: Array | None

    def curve(self, n_points: int = 201) -> tuple[Array, Array]:
        """Return coordinate (n_points,) in Ang and energy (n_points,) in eV of the spline through the images."""
        fine = np.linspace(self.coordinate_ang[0], self.coordinate_ang[-1], n_points)
        return fine, np.asarray(self._spline()(fine))

    def stationary_points(self) -> list[tuple[float, float, str]]:
        """Return coordinate, energy and kind (``maximum`` or ``minimum``) of the spline's inner extrema, in order."""
        spline = self._spline()
        slope, bend = spline.derivative(1), spline.derivative(2)
        first, last = self.coordinate_ang[0], self.coordinate_ang[-1]
        margin = 1e-6 * (last - first)
        # A flat piece makes the solver return nan for it: it has no extremum of its own.
        roots = [float(root) for root in slope.roots(extrapolate=False) if np.isfinite(root)]
        return [
            (root, float(spline(root)), 'maximum' if bend(root) < 0 else 'minimum')
            for root in sorted(set(roots))
            if first + margin < root < last - margin and abs(bend(root)) > 0
        ]

    def _spline(self) -> CubicHermiteSpline | CubicSpline:
        # Most commands and workers draw no spline: to load it with this module took a third of their start.
        from scipy.interpolate import CubicHermiteSpline, CubicSpline

        if self.slopes_ev_per_ang is None:
            return CubicSpline(self.coordinate_ang, self.energies_ev)
        return CubicHermiteSpline(self.coordinate_ang, self.energies_ev, self.slopes_ev_per_ang)


@dataclass(frozen=True)
class Barrier:
    """Energies of a hop in eV, the image at the top, and the same read off the spline through the images."""

    barrier_ev: float
    reverse_barrier_ev: float
    reaction_energy_ev: float
    range_ev: float
    saddle_image: int
    spline_barrier_ev: float
    n_minima: int
    """Minima of the spline between the ends, deeper than ``SHALLOW_EV``; a hop in one step has none."""


def path_coordinate(positions: Array) -> Array:
    """Return the length in Ang along a continuous path (n_images, n_atoms, 3) up to each image, all atoms counted."""
    steps = np.linalg.norm(np.diff(positions, axis=0).reshape(len(positions) - 1, -1), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def path_tangents(positions: Array) -> Array:
    """Return unit tangents (n_images, n_atoms, 3), by differences of second order in the path coordinate."""
    slopes = np.gradient(positions, path_coordinate(positions), axis=0, edge_order=2 if len(positions) > 2 else 1)
    norms = np.linalg.norm(slopes.reshape(len(slopes), -1), axis=1)
    return np.asarray(slopes / norms[:, None, None])


def energy_profile(positions: Array, energies: Array, forces: Array | None = None) -> EnergyProfile:
    """Return the profile of a path: ``positions`` (n_images, n_atoms, 3) in Ang, continuous; ``energies`` in eV.

    ``forces`` (n_images, n_atoms, 3) in eV/Ang are those of the potential, without springs; they give the slopes of
    the spline at the images (the idea of Henkelman and Jonsson, J. Chem. Phys. 113, 9978 (2000), appendix).

    :raises ValueError: if two neighbouring images coincide, or shapes differ.
    """
    if positions.shape[0] != energies.shape[0] or (forces is not None and forces.shape != positions.shape):
        shape = None if forces is None else forces.shape
        raise ValueError(f'shapes differ: positions {positions.shape}, energies {energies.shape}, forces {shape}')
    coordinate = path_coordinate(positions)
    if np.any(np.diff(coordinate) <= 0.0):
        raise ValueError('two neighbouring images of the path are the same configuration')
    slopes = None
    if forces is not None:
        slopes = -np.einsum('iax,iax->i', forces, path_tangents(positions))
    return EnergyProfile(coordinate, np.asarray(energies - energies[0]), slopes)


def measure_barrier(profile: EnergyProfile) -> Barrier:
    """Return the barrier of a profile, forward and backward, with the reaction energy and the range."""
    energies = profile.energies_ev
    top = int(energies.argmax())
    points = profile.stationary_points()
    crest = max([energy for _, energy, kind in points if kind == 'maximum'], default=float(energies[top]))
    return Barrier(
        barrier_ev=float(energies[top]),
        reverse_barrier_ev=float(energies[top] - energies[-1]),
        reaction_energy_ev=float(energies[-1]),
        range_ev=float(energies.max() - energies.min()),
        saddle_image=top,
        spline_barrier_ev=max(crest, float(energies[top])),
        n_minima=_count_minima(points, float(energies[0]), float(energies[-1])),
    )


def _count_minima(points: list[tuple[float, float, str]], first: float, last: float) -> int:
    """Return how many of the inner extrema are minima with higher ground on both sides."""
    heights = [first, *(energy for _, energy, _ in points), last]
    depths = [
        min(max(heights[: k + 1]), max(heights[k + 2 :])) - energy for k, (_, energy, _) in enumerate(points)
    ]  # heights[k + 1] is point k
    return sum(kind == 'minimum' and depth > SHALLOW_EV for (_, _, kind), depth in zip(points, depths))
