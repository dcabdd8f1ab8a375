"""From a path and labels of its images to the barrier on single points, beside that of the potential."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida.engine import calcfunction
from aiida.orm import Dict

from ...analysis.barrier_check import Crest, Heights, PathCheck, check_path_energies
from ...analysis.barriers import EnergyProfile
from ...contract.frames import Frames
from ...data.frames import FramesData
from ...data.path import PathData
from .extract_barrier import SPLINE_EXCESS_EV

MEV = 1000.0
SAME_PLACE_ANG = 1e-8
RELAXED_EV_PER_ANG = 0.1
"""Above this force an end would not count as relaxed in LiTraj either: how far the reference is from its own minimum
is then no longer a matter of a few meV."""
DISPLACED_ANG = 0.1
"""A crest that lies so much further on is another configuration, not the noise of a spline."""
CAVEAT = (
    'Single points on the path of a potential are not the barrier of the reference: relaxed in it, both ends would lie '
    'lower, and its saddle may lie above or below the highest image, so the number bounds nothing. litraj.dft_neb '
    'computes that barrier.'
)


@calcfunction
def compare_barrier(path: PathData, images: FramesData, labelled: FramesData, report: Dict) -> Dict:
    """Return the single-point barrier of a reference beside the potential's, image by image.

    :param path: the path of the potential, with energies.
    :param images: what was to be labelled.
    :param labelled: those of them that were, with energies and forces of the reference, their numbers in ``info``.
    :param report: how the labelling went, as ``litraj.label`` says it: images without a label get their reason.
    :raises ValueError: if a configuration is none of the path's images.
    """
    found = check_of(path, labelled.frames)
    asked = [info['image'] for info in images.frames.info]
    failed = failures(asked, found.labelled, report.get_dict())
    level = labelled.base.attributes.get('level', None)
    said = warnings(found, failed)
    return Dict({**describe_check(found), 'asked': asked, 'failed': failed, 'level': level, 'warnings': said})


def check_of(path: PathData, frames: Frames) -> PathCheck:
    """Return a path beside the labelled images among ``frames``.

    :raises ValueError: if the path has no energies, or a configuration is none of its images.
    """
    if path.energies is None:
        raise ValueError('the path has no energies: it has not been optimised')
    positions = path.get_positions()
    energies = np.full(path.n_images, np.nan)
    forces = np.full(positions.shape, np.nan)
    for frame in frames:
        image = frame.info[0].get('image')
        same = isinstance(image, int) and 0 <= image < path.n_images and frame.positions.shape == positions[0].shape
        if not same or abs(frame.positions - positions[image]).max() > SAME_PLACE_ANG:
            raise ValueError(f'a labelled configuration (image {image!r}) is none of the images of the path')
        if frame.energies is not None and frame.forces is not None:
            energies[image], forces[image] = frame.energies[0], frame.forces
    return check_path_energies(positions, path.energies, path.image_forces, energies, forces, path.fixed)


def describe_check(found: PathCheck) -> dict[str, Any]:
    """Return the content of the output ``check``; energies in eV, lengths in Ang, errors are potential - reference."""
    errors = found.errors
    both = None
    if found.potential is not None and found.reference is not None:
        names = ('barrier_ev', 'reverse_barrier_ev', 'reaction_energy_ev', 'range_ev')
        both = {name: getattr(found.potential, name) - getattr(found.reference, name) for name in names}
    return {
        'n_images': len(found.coordinate_ang),
        'labelled': found.labelled,
        'saddle_image': found.saddle_image,
        'potential': _heights(found.potential),
        'reference': _heights(found.reference),
        'error': both,
        'reference_at_saddle_ev': found.at_saddle_ev,
        'rmse_force_mev_per_ang': None if errors is None else MEV * errors.rmse,
        'mae_force_mev_per_ang': None if errors is None else MEV * errors.mae,
        'rmse_force_along_path_mev_per_ang': None if errors is None else MEV * errors.rmse_along_path,
        'potential_crest': _crest(found.potential_crest),
        'reference_crest': _crest(found.reference_crest),
        'images': [_image(found, image) for image in range(len(found.coordinate_ang))],
        'caveat': CAVEAT,
    }


def _image(found: PathCheck, image: int) -> dict[str, Any]:
    rmse = None if found.errors is None else _number(MEV * found.errors.rmse_of_image[image])
    return {
        'image': image,
        'distance_ang': float(found.coordinate_ang[image]),
        'potential_ev': float(found.potential_ev[image]),
        'reference_ev': _number(found.reference_ev[image]),
        'potential_slope_ev_per_ang': _number(found.potential_slopes[image]),
        'reference_slope_ev_per_ang': _number(found.reference_slopes[image]),
        'rmse_force_mev_per_ang': rmse,
        'reference_residual_ev_per_ang': _number(found.residual[image]),
    }


def profiles_from(content: Mapping[str, Any]) -> tuple[EnergyProfile, EnergyProfile]:
    """Return the profiles of the potential and of the reference that a stored output describes, to be drawn.

    The reference's has the images that are labelled only.
    """
    images = content['images']
    known = [image for image in images if image['reference_ev'] is not None]
    return _profile(images, 'potential'), _profile(known, 'reference')


def _profile(images: list[Mapping[str, Any]], of: str) -> EnergyProfile:
    slopes = [image[f'{of}_slope_ev_per_ang'] for image in images]
    return EnergyProfile(
        np.array([image['distance_ang'] for image in images]),
        np.array([image[f'{of}_ev'] for image in images]),
        None if None in slopes else np.array(slopes),
    )


def failures(asked: list[int], labelled: list[int], report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the images that were to be labelled and have no label, with the reason that the report gives."""
    said = {item.get('index'): item for item in report.get('items', {}).values()}
    return [
        {'image': image, **{key: said.get(index, {}).get(key) for key in ('label', 'reason')}}
        for index, image in enumerate(asked)
        if image not in labelled
    ]


def warnings(found: PathCheck, failed: list[dict[str, Any]]) -> list[str]:
    """Return what a person should know before using the comparison."""
    said = []
    if failed:
        reasons = {item['image']: item['reason'] or item['label'] or 'no reason given' for item in failed}
        which = ', '.join(f'{image} ({reason})' for image, reason in reasons.items())
        said.append(f'images without a label: {which}')
    if found.reference is None:
        needed = sorted({0, found.saddle_image, len(found.residual) - 1})
        lacking = [image for image in needed if image not in found.labelled]
        said.append(f'there is no barrier on single points: image {", ".join(map(str, lacking))} is not labelled')
        return said
    last = len(found.coordinate_ang) - 1
    if found.reference.highest_image in (0, last):
        said.append('the highest image of the reference is an end: on this path it has no barrier between the ends')
    elif found.reference.highest_image != found.saddle_image:
        said.append(
            f'the reference is highest on image {found.reference.highest_image}, the potential on {found.saddle_image}'
        )
    said += _of_crests(found)
    ends = {'first': float(found.residual[0]), 'last': float(found.residual[-1])}
    far = [f'{name} {force:.2f} eV/Ang' for name, force in ends.items() if force > RELAXED_EV_PER_ANG]
    if far:
        said.append(f'the ends are not relaxed in the reference ({", ".join(far)}): its own ends lie lower')
    return said


def _of_crests(found: PathCheck) -> list[str]:
    """Return warnings of where the reference has the top of its profile, as far as forces and labels tell."""
    said = []
    slope = float(found.reference_slopes[found.saddle_image])
    if not found.complete and abs(slope) > RELAXED_EV_PER_ANG:
        where = 'further on' if slope > 0.0 else 'before it'
        said.append(f'the slope of the reference at the saddle is {slope:+.2f} eV/Ang: its own top lies {where}')
    if found.reference is not None and found.reference_crest is not None:
        excess = found.reference_crest.energy_ev - found.reference.barrier_ev
        if excess > SPLINE_EXCESS_EV:
            said.append(f'the profile of the reference rises {excess:.3f} eV above its highest image')
        if found.potential_crest is not None:
            way = found.reference_crest.coordinate_ang - found.potential_crest.coordinate_ang
            if abs(way) > DISPLACED_ANG:
                where = f'{abs(way):.2f} Ang {"further on than" if way > 0.0 else "before"} that of the potential'
                said.append(f'the top of the profile of the reference lies {where}')
    return said


def _heights(heights: Heights | None) -> dict[str, Any] | None:
    return None if heights is None else dict(vars(heights))


def _crest(crest: Crest | None) -> dict[str, float] | None:
    return None if crest is None else dict(vars(crest))


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
