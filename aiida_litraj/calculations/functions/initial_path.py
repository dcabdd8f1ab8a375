"""From the entry of a data set that is a path to what its optimisation began with."""

from __future__ import annotations

from aiida.engine import calcfunction

from ...analysis.frames import to_ase
from ...contract.frames import PATH_FILES, Frames
from ...data.path import PathData


@calcfunction
def initial_path(entry: PathData) -> PathData:
    """Return the images which the publisher's optimisation of a path began with, as they were published.

    A layout such as that of nebDFT2k marks the framework as ``freezed`` in them: it was so while the path was guessed
    by bond valences, not while it was optimised, so that no atom is frozen here. Energies come along if all images have
    energies and forces.

    :raises ValueError: if the entry has no such images.
    """
    return first_images(entry)


def first_images(entry: PathData) -> PathData:
    """Return the same without provenance."""
    if not has_initial(entry):
        raise ValueError(f'the entry {entry.label!r} has no {PATH_FILES["initial"]}: it does not say where it began')
    frames = Frames.from_bytes(entry.base.repository.get_object_content(PATH_FILES['initial'], mode='rb'))
    attributes = entry.base.attributes.all
    labels = {**entry.labels, **{name: attributes.get(name) for name in ('entry_id', 'material_id')}}
    path = PathData.from_images(to_ase(frames), mobile=entry.mobile, labels=labels)
    path.label = entry.label
    return path


def has_initial(path: PathData) -> bool:
    """Return whether a path is an entry with the images that it began with."""
    return PATH_FILES['initial'] in path.base.repository.list_object_names()
