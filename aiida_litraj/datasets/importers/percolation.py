"""BVEL13k: structures with the barriers of percolation in one, two and three dimensions."""

from __future__ import annotations

from .xyz import XyzImporter


class PercolationImporter(XyzImporter):
    """One file per split, and an index with a row per structure."""

    layout = 'percolation'
    indexed = True
