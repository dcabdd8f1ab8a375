"""Labels that a file has under names which its card does not give."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..contract.frames import Frames
from .card import Card
from .importers import importer_of
from .source import Source

LABELS = ('energy', 'forces', 'stress')


def labels_not_taken(paths: Sequence[Path], card: Card) -> list[str]:
    """Return notes on numbers of the first configuration that look like labels and are not taken as such.

    Only of a person's own set: the names in published ones are known.

    :raises ValueError: if nothing in the source can be a set of this card.
    """
    if card.layout != 'plain':
        return []
    with Source.open(paths[0] if len(paths) == 1 else list(paths)) as source:
        importer = importer_of(card)
        parts, _ = importer.parts(source, card)
        chunk = next(importer.chunks(source, card, parts[0], size=1), None) if parts else None
        # What the card requires does not matter here: the note shall stand beside the refusal.
        found = importer.parse(card.model_copy(update={'required': (), 'identifier': None}), chunk) if chunk else None
    if found is None or not found.entries:
        return []
    frame = found.entries[0].frames
    names = {label: _names_of(label, frame) for label in LABELS}
    left = {label: these for label, these in names.items() if these and not _has(frame, label)}
    if not left:
        return []
    several = [name for these in left.values() for name in these]
    keys = ', '.join(f'{label}: {these[0]}' for label, these in left.items())
    return [
        f'{found.entries[0].file} has {", ".join(several)}, which the card {card.name} does not name: '
        f'{_listed(left)} are not taken from there. If they are the labels, write in the card: keys: {{{keys}}}'
    ]


def _listed(words: Iterable[str]) -> str:
    """Return words as one says them: energy, forces and stress."""
    *first, last = words
    return f'{", ".join(first)} and {last}' if first else last


def _has(frame: Frames, label: str) -> bool:
    values = {'energy': frame.energies, 'forces': frame.forces, 'stress': frame.stresses}[label]
    return values is not None


def _names_of(label: str, frame: Frames) -> list[str]:
    """Return the names under which a frame has numbers in the shape of a label, and called like it."""
    stem = label.removesuffix('s') if label == 'forces' else label
    if label == 'forces':
        return [name for name, one in frame.arrays.items() if stem in name.lower() and one.shape[1:] == (3,)]
    sizes = (1,) if label == 'energy' else (6, 9)
    return [
        name
        for name, value in frame.info[0].items()
        if stem in name.lower() and _size(value) in sizes and 'per_at' not in name.lower()
    ]


def _size(value: object) -> int:
    """Return how many numbers a value is, 0 if it is none."""
    if isinstance(value, bool | str | None):
        return 0
    numbers = np.asarray(value)
    return numbers.size if numbers.dtype.kind in 'iuf' else 0
