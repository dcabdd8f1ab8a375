"""From a path to its images as configurations, to be labelled by a better method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from aiida.engine import calcfunction
from aiida.orm import Dict

from ...contract.base import Model
from ...contract.frames import Frames
from ...data.frames import FramesData
from ...data.path import PathData
from ..validation import validated


class ImageChoice(Model):
    """Which images of a path are labelled: ``all``, or ``ends and saddle``, the highest image with both ends."""

    images: Literal['all', 'ends and saddle']


@calcfunction
def extract_images(path: PathData, check: Dict) -> FramesData:
    """Return images of a path as configurations, each with its number in ``info``, as the path has them: not wrapped.

    They carry the energies and forces of the potential.

    :param path: an optimised path.
    :param check: the fields of :class:`ImageChoice`.
    :raises ValueError: if the path has no energies, which tell the highest image.
    """
    return images_of(path, read_choice(check.get_dict()))


def images_of(path: PathData, choice: ImageChoice) -> FramesData:
    """Return the chosen images, unstored."""
    energies, forces, positions = path.energies, path.image_forces, path.get_positions()
    parts = [
        Frames.of_one(
            path.numbers,
            positions[image],
            path.cell,
            path.pbc,
            energy=None if energies is None else float(energies[image]),
            forces=None if forces is None else forces[image],
            info={'image': image},
        )
        for image in chosen_images(path, choice)
    ]
    material = path.labels.get('material_id')
    labels = {'sampled_from': 'path', **({} if material is None else {'material_id': material})}
    return FramesData.from_frames(Frames.stack(parts), labels)


def chosen_images(path: PathData, choice: ImageChoice) -> list[int]:
    """Return the numbers of the images, in order.

    :raises ValueError: if the path has no energies.
    """
    if path.energies is None:
        raise ValueError(
            'path: it has no energies, so it has not been optimised; give the output path of a finished barrier'
        )
    if choice.images == 'all':
        return list(range(path.n_images))
    return sorted({0, int(np.argmax(path.energies)), path.n_images - 1})


def read_choice(values: Mapping[str, Any]) -> ImageChoice:
    """Return a choice from its fields.

    :raises ValueError: naming each field that is missing, not known or out of range.
    """
    return validated(values, ImageChoice, 'check')
