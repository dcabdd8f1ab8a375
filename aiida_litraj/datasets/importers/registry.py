"""Which importer reads which layout."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Final

from ..card import Card
from .base import Importer

LAYOUTS: Final = {
    'nebdft2k': 'nebdft2k:TrajectoryImporter',
    'mplitrj': 'mplitrj:ConfigurationImporter',
    'mplitrj_raw': 'mplitrj_raw:BandImporter',
    'percolation': 'percolation:PercolationImporter',
    'centroids': 'centroids:CentroidImporter',
    'lips25': 'lips25:LipsImporter',
    'obelix': 'obelix:ObelixImporter',
    'plain': 'plain:PlainImporter',
}


def importer_of(card: Card) -> Importer:
    """Return the importer of a card's layout.

    :raises ValueError: naming the known layouts if it is none of them.
    """
    if card.layout not in LAYOUTS:
        raise ValueError(f'the card {card.name} has the layout {card.layout}; known are {", ".join(LAYOUTS)}')
    return _importer(card.layout)


@cache
def _importer(layout: str) -> Importer:
    module, name = LAYOUTS[layout].split(':')
    importer = getattr(import_module(f'.{module}', __package__), name)()
    assert isinstance(importer, Importer)
    return importer
