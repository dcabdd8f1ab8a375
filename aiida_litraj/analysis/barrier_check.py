"""The path of one potential beside single points of another method, the reference, on its images.

Energies count from the first image in both, as in ``barriers``. What the comparison is not: the barrier of the
reference. Its own ends lie lower than these images, by what they would gain if they relaxed. Its own saddle lies no
higher than the highest point of a continuous path from its one basin to the other, and the images are points of such a
path only, so that the highest of them may lie above or below that saddle. The difference of both bounds nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..contract.arrays import Array
from .barriers import EnergyProfile, path_coordinate, path_tangents


@dataclass(frozen=True)
class Heights:
    """Energies of a hop on some of the images, in eV; ``range_ev`` is what LiTraj calls the barrier."""

    barrier_ev: float
    reverse_barrier_ev: float
    reaction_energy_ev: float
    range_ev: float
    highest_image: int


@dataclass(frozen=True)
class Crest:
    """Highest point of the spline through all images: where on the path, in Ang, and how high, in eV."""

    coordinate_ang: float
    energy_ev: float


@dataclass(frozen=True)
class ForceErrors:
    """Differences of the forces on free atoms over the labelled images, in eV/Ang.

    :ivar rmse: root mean square over components.
    :ivar mae: mean of the magnitudes of components.
    :ivar rmse_of_image: (n,) the same as ``rmse`` of each image, NaN without a label.
    :ivar rmse_along_path: root mean square, over images, of the component along the path.
    """

    rmse: float
    mae: float
    rmse_of_image: Array
    rmse_along_path: float


@dataclass(frozen=True)
class PathCheck:
    """A path of n images in both methods; what is not known of an image is NaN.

    :ivar coordinate_ang: (n,) length of the path up to each image.
    :ivar potential_ev: (n,) energies of the potential above its first image.
    :ivar reference_ev: (n,) the same of the reference; all NaN if the first image has no label.
    :ivar potential_slopes: (n,) dE/ds = -F.t in eV/Ang.
    :ivar reference_slopes: (n,) the same of the reference.
    :ivar potential: heights over the labelled images, ``None`` where ``reference`` is.
    :ivar reference: ``None`` unless both ends and the highest image of the potential have labels.
    :ivar at_saddle_ev: energy of the reference on the potential's highest image above the first.
    :ivar errors: ``None`` if the potential's forces are not known.
    :ivar residual: (n,) largest reference force on a free atom, in eV/Ang: all of it at the ends, across the path
        between; zero on a path that the reference would have found itself.
    :ivar potential_crest: ``None`` without forces.
    :ivar reference_crest: ``None`` unless every image has a label.
    """

    coordinate_ang: Array
    potential_ev: Array
    reference_ev: Array
    potential_slopes: Array
    reference_slopes: Array
    saddle_image: int
    potential: Heights | None
    reference: Heights | None
    at_saddle_ev: float | None
    errors: ForceErrors | None
    residual: Array
    potential_crest: Crest | None
    reference_crest: Crest | None

    @property
    def labelled(self) -> list[int]:
        """Images that have a label."""
        return [int(image) for image in np.flatnonzero(np.isfinite(self.reference_slopes))]

    @property
    def complete(self) -> bool:
        """Whether every image has one."""
        return len(self.labelled) == len(self.coordinate_ang)


def check_path_energies(
    positions: Array,
    energies: Array,
    forces: Array | None,
    reference_energies: Array,
    reference_forces: Array,
    fixed: npt.NDArray[np.bool_] | None = None,
) -> PathCheck:
    """Return a path of a potential beside the reference.

    :param positions: (n, n_atoms, 3) in Ang, continuous.
    :param energies: (n,) of the potential in eV.
    :param forces: (n, n_atoms, 3) of the potential in eV/Ang, without springs; ``None`` if they are not known.
    :param reference_energies: (n,), NaN where an image has no label.
    :param reference_forces: (n, n_atoms, 3), NaN there too.
    :param fixed: (n_atoms,) frozen atoms, whose forces count for nothing.
    :raises ValueError: if shapes differ, two neighbouring images are one, or no image has a label.
    """
    _check_shapes(positions, energies, forces, reference_energies, reference_forces)
    free = np.ones(positions.shape[1], dtype=bool) if fixed is None else ~np.asarray(fixed, dtype=bool)
    coordinate, tangents = path_coordinate(positions), path_tangents(positions)
    known = np.isfinite(reference_energies)
    saddle = int(np.argmax(energies))
    slopes = np.full(len(energies), np.nan) if forces is None else _along(forces, tangents)
    reference_slopes = _along(reference_forces, tangents)
    above, reference_above = energies - energies[0], reference_energies - reference_energies[0]
    whole = bool(known[[0, saddle, -1]].all())
    return PathCheck(
        coordinate_ang=coordinate,
        potential_ev=above,
        reference_ev=reference_above,
        potential_slopes=slopes,
        reference_slopes=reference_slopes,
        saddle_image=saddle,
        potential=heights(above, known) if whole else None,
        reference=heights(reference_above, known) if whole else None,
        at_saddle_ev=float(reference_above[saddle]) if known[0] and known[saddle] else None,
        errors=None if forces is None else force_errors(forces, reference_forces, tangents, free),
        residual=_residual(reference_forces, tangents, free),
        potential_crest=None if forces is None else crest(EnergyProfile(coordinate, above, slopes)),
        reference_crest=crest(EnergyProfile(coordinate, reference_above, reference_slopes)) if known.all() else None,
    )


def heights(energies: Array, known: npt.NDArray[np.bool_]) -> Heights:
    """Return the heights of energies (n,) in eV over the images that are ``known``, both ends among them."""
    highest = int(np.argmax(np.where(known, energies, -np.inf)))
    top = energies[highest]
    return Heights(
        barrier_ev=float(top - energies[0]),
        reverse_barrier_ev=float(top - energies[-1]),
        reaction_energy_ev=float(energies[-1] - energies[0]),
        range_ev=float(top - energies[known].min()),
        highest_image=highest,
    )


def crest(profile: EnergyProfile) -> Crest:
    """Return the highest point of a profile's spline, which may be an image."""
    image = int(np.argmax(profile.energies_ev))
    points = [(float(profile.coordinate_ang[image]), float(profile.energies_ev[image]))]
    points += [(at, energy) for at, energy, kind in profile.stationary_points() if kind == 'maximum']
    return Crest(*max(points, key=lambda point: point[1]))


def force_errors(forces: Array, reference: Array, tangents: Array, free: npt.NDArray[np.bool_]) -> ForceErrors:
    """Return how forces (n, n_atoms, 3) differ from those of the reference, in its images without NaN."""
    difference = (forces - reference)[:, free]
    known = np.isfinite(difference).all(axis=(1, 2))
    of_image = np.full(len(forces), np.nan)
    of_image[known] = np.sqrt(np.square(difference[known]).mean(axis=(1, 2)))
    along = np.einsum('iax,iax->i', difference, tangents[:, free])[known]
    return ForceErrors(
        rmse=float(np.sqrt(np.square(difference[known]).mean())),
        mae=float(np.abs(difference[known]).mean()),
        rmse_of_image=of_image,
        rmse_along_path=float(np.sqrt(np.square(along).mean())),
    )


def _along(forces: Array, tangents: Array) -> Array:
    """Return dE/ds (n,) of forces (n, n_atoms, 3)."""
    return np.asarray(-np.einsum('iax,iax->i', forces, tangents))


def _residual(forces: Array, tangents: Array, free: npt.NDArray[np.bool_]) -> Array:
    """Return the largest force (n,) on a free atom, without its part along the path between the ends."""
    across = forces - np.einsum('iax,iax->i', forces, tangents)[:, None, None] * tangents
    across[[0, -1]] = forces[[0, -1]]
    return np.asarray(np.linalg.norm(across[:, free], axis=2).max(axis=1))


def _check_shapes(
    positions: Array, energies: Array, forces: Array | None, reference_energies: Array, reference_forces: Array
) -> None:
    arrays = {'energies': energies, 'reference_energies': reference_energies}
    for name, values in arrays.items():
        if values.shape != positions.shape[:1]:
            raise ValueError(f'{name} has the shape {values.shape}, the path has {len(positions)} images')
    for name, each in {'forces': forces, 'reference_forces': reference_forces}.items():
        if each is not None and each.shape != positions.shape:
            raise ValueError(f'{name} has the shape {each.shape}, positions have {positions.shape}')
    if np.any(np.diff(path_coordinate(positions)) <= 0.0):
        raise ValueError('two neighbouring images of the path are the same configuration')
    known = np.isfinite(reference_energies)
    if not known.any():
        raise ValueError('no image of the path has a label')
    if not np.isfinite(reference_forces[known]).all():
        raise ValueError('an image has the energy of the reference without its forces')
